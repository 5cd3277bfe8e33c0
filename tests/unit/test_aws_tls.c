/* SPDX-License-Identifier: MIT */
/* Whom HTTP over TLS trusts: never a server that cannot prove its name. */
#include "auth/aws/http.h"

#include <errno.h>
#include <pthread.h>

#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "tests/unit/loopback.h"

enum { PLENTY_MS = 20000 };

struct tls_server {
	pthread_t thread;
	SSL_CTX *ctx;
	int fd;
	unsigned n_answers; /* read once the thread has been joined */
	char url[48];
	char ca_file[1024];
};

/* A certificate for that address, by its own key. */
static X509 *certificate(EVP_PKEY *key, const char *san)
{
	X509 *x = X509_new();
	X509_EXTENSION *e;

	CHECK(x != NULL && X509_set_version(x, X509_VERSION_3) == 1);
	CHECK(ASN1_INTEGER_set(X509_get_serialNumber(x), 1) == 1);
	CHECK(X509_gmtime_adj(X509_getm_notBefore(x), -3600) != NULL);
	CHECK(X509_gmtime_adj(X509_getm_notAfter(x), 3600) != NULL);
	CHECK(X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN",
					 MBSTRING_ASC,
					 (const unsigned char *)"unit test", -1,
					 -1, 0) == 1);
	CHECK(X509_set_issuer_name(x, X509_get_subject_name(x)) == 1);
	e = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, san);
	CHECK(e != NULL && X509_add_ext(x, e, -1) == 1);
	X509_EXTENSION_free(e);
	CHECK(X509_set_pubkey(x, key) == 1);
	CHECK(X509_sign(x, key, EVP_sha256()) > 0);
	return x;
}

/* One connection, one request; or a client that goes away. */
static void *serve(void *arg)
{
	static const char answer[] =
		"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nsecret";
	struct tls_server *s = arg;
	char request[4096];
	SSL *ssl = SSL_new(s->ctx);
	int fd = accept4(s->fd, NULL, NULL, SOCK_CLOEXEC);
	sigset_t signals;

	/* Of this thread only: the client has to see to it by itself. */
	CHECK(sigemptyset(&signals) == 0 && sigaddset(&signals, SIGPIPE) == 0);
	CHECK(pthread_sigmask(SIG_BLOCK, &signals, NULL) == 0);
	CHECK(fd >= 0 && ssl != NULL && SSL_set_fd(ssl, fd) == 1);
	if (SSL_accept(ssl) == 1 &&
	    SSL_read(ssl, request, sizeof(request)) > 0 &&
	    SSL_write(ssl, answer, sizeof(answer) - 1) > 0)
		s->n_answers++;
	SSL_free(ssl);
	CHECK(close(fd) == 0);
	return NULL;
}

static void start(struct tls_server *s, const char *san)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *x = certificate(key, san);
	uint16_t port;
	FILE *f;

	*s = (struct tls_server){.ctx = SSL_CTX_new(TLS_server_method())};
	CHECK(s->ctx != NULL);
	CHECK(SSL_CTX_use_certificate(s->ctx, x) == 1);
	CHECK(SSL_CTX_use_PrivateKey(s->ctx, key) == 1);
	(void)snprintf(s->ca_file, sizeof(s->ca_file), "%s",
		       check_path("ca.pem"));
	f = fopen(s->ca_file, "we");
	CHECK(f != NULL && PEM_write_X509(f, x) == 1 && fclose(f) == 0);
	X509_free(x);
	EVP_PKEY_free(key);
	s->fd = loopback_socket(true, &port);
	(void)snprintf(s->url, sizeof(s->url), "https://127.0.0.1:%u", port);
	CHECK(pthread_create(&s->thread, NULL, serve, s) == 0);
}

static void stop(struct tls_server *s)
{
	CHECK(pthread_join(s->thread, NULL) == 0);
	SSL_CTX_free(s->ctx);
	CHECK(close(s->fd) == 0);
}

static enum http_failure perform(const struct tls_server *s,
				 const char *ca_file,
				 struct http_response *response,
				 struct err *err)
{
	static const char *const headers[] = {"Authorization: hunter2", NULL};
	const struct http_request request = {
		.method = "GET",
		.url = s->url,
		.headers = headers,
		.connect_timeout_ms = PLENTY_MS,
		.timeout_ms = PLENTY_MS,
		.direct = true,
		.ca_file = ca_file,
	};

	*err = (struct err){0};
	return http_perform(response, &request, err);
}

static void test_trusted(void)
{
	struct http_response response;
	struct tls_server s;
	struct err err;

	start(&s, "IP:127.0.0.1");
	CHECK(perform(&s, s.ca_file, &response, &err) == HTTP_OK);
	CHECK(response.status == 200);
	CHECK_TEXT(response.body.data, "secret");
	http_response_finish(&response);
	stop(&s);
	CHECK(s.n_answers == 1);
}

static void check_distrusted(const char *san, bool with_ca, const char *why)
{
	struct http_response response;
	struct tls_server s;
	struct err err;

	start(&s, san);
	CHECK(perform(&s, with_ca ? s.ca_file : NULL, &response, &err) ==
	      HTTP_FATAL);
	CHECK(err.code == EIO && response.body.data == NULL);
	if (strstr(err.msg, why) == NULL)
		CHECK_TEXT(err.msg, why);
	http_response_finish(&response);
	stop(&s);
	CHECK(s.n_answers == 0);
}

static void test_distrusted(void)
{
	check_distrusted("IP:127.0.0.1", false, "self-signed certificate");
	check_distrusted("IP:127.0.0.2", true, "127.0.0.1");
	check_distrusted("DNS:example.com", true, "127.0.0.1");
}

/* A store that cannot be read is no reason to use another. */
static void test_store_that_is_not_there(void)
{
	struct tls_server s = {.url = "https://127.0.0.1:1"};
	struct http_response response;
	struct err err;
	uint16_t port;

	s.fd = loopback_socket(true, &port);
	(void)snprintf(s.url, sizeof(s.url), "https://127.0.0.1:%u", port);
	CHECK(perform(&s, check_path("none.pem"), &response, &err) ==
	      HTTP_FATAL);
	CHECK(err.code == EIO && strstr(err.msg, "none.pem") != NULL);
	http_response_finish(&response);
	CHECK(close(s.fd) == 0);
}

int main(int argc, char **argv)
{
	check_init(argc, argv);
	test_trusted();
	test_distrusted();
	test_store_that_is_not_there();
	return 0;
}
