/* SPDX-License-Identifier: MIT */
#include "tests/unit/tls_server.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/unit/check.h"

enum { DAY = 24 * 60 * 60 };

static void add_extension(X509 *cert, int nid, const char *value)
{
	X509V3_CTX ctx;
	X509_EXTENSION *extension;

	X509V3_set_ctx_nodb(&ctx);
	X509V3_set_ctx(&ctx, cert, cert, NULL, NULL, 0);
	extension = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
	CHECK(extension != NULL);
	CHECK(X509_add_ext(cert, extension, -1) == 1);
	X509_EXTENSION_free(extension);
}

static X509 *make_certificate(EVP_PKEY *key, const char *name)
{
	X509 *cert = X509_new();
	X509_NAME *subject;
	char names[128];

	CHECK(cert != NULL && X509_set_version(cert, 2) == 1);
	subject = X509_get_subject_name(cert);
	CHECK(ASN1_INTEGER_set(X509_get_serialNumber(cert), 1) == 1);
	CHECK(X509_gmtime_adj(X509_getm_notBefore(cert), -DAY) != NULL);
	CHECK(X509_gmtime_adj(X509_getm_notAfter(cert), DAY) != NULL);
	CHECK(X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC,
					 (const unsigned char *)"connfs tests",
					 -1, -1, 0) == 1);
	CHECK(X509_set_issuer_name(cert, subject) == 1);
	CHECK(X509_set_pubkey(cert, key) == 1);
	(void)snprintf(names, sizeof(names), "DNS:%s", name);
	add_extension(cert, NID_basic_constraints, "critical,CA:TRUE");
	add_extension(cert, NID_subject_alt_name, names);
	CHECK(X509_sign(cert, key, EVP_sha256()) > 0);
	return cert;
}

static void note_fingerprint(struct identity *id, const X509 *cert)
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	unsigned len = 0;

	CHECK(X509_digest(cert, EVP_sha256(), digest, &len) == 1 && len == 32);
	for (size_t i = 0; i < len; i++)
		(void)snprintf(id->fingerprint + 2 * i, 3, "%02x", digest[i]);
}

void identity_create(struct identity *id, const char *name, const char *file)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *cert = make_certificate(key, name);
	const struct sigaction ignore = {.sa_handler = SIG_IGN};
	FILE *f;

	/* TLS writes to clients that have gone. */
	CHECK(sigaction(SIGPIPE, &ignore, NULL) == 0);
	(void)snprintf(id->path, sizeof(id->path), "%s", check_path(file));
	f = fopen(id->path, "we");
	CHECK(f != NULL && PEM_write_X509(f, cert) == 1 && fclose(f) == 0);
	note_fingerprint(id, cert);
	id->ctx = SSL_CTX_new(TLS_server_method());
	CHECK(id->ctx != NULL);
	CHECK(SSL_CTX_use_certificate(id->ctx, cert) == 1);
	CHECK(SSL_CTX_use_PrivateKey(id->ctx, key) == 1);
	X509_free(cert);
	EVP_PKEY_free(key);
}

void identity_destroy(struct identity *id)
{
	SSL_CTX_free(id->ctx);
}

bool peer_start_tls(struct peer *p, const struct identity *id)
{
	p->ssl = SSL_new(id->ctx);
	CHECK(p->ssl != NULL && SSL_set_fd(p->ssl, p->fd) == 1);
	return SSL_accept(p->ssl) == 1;
}

bool peer_read(struct peer *p, void *data, size_t len)
{
	char *to = data;

	if (len == 0)
		return true;
	if (p->ssl == NULL)
		return recv(p->fd, data, len, MSG_WAITALL) == (ssize_t)len;
	while (len > 0) {
		int n = SSL_read(p->ssl, to, (int)len);

		if (n <= 0)
			return false;
		to += n;
		len -= (size_t)n;
	}
	return true;
}

bool peer_write(struct peer *p, const void *data, size_t len)
{
	if (p->ssl == NULL)
		return send(p->fd, data, len, MSG_NOSIGNAL) == (ssize_t)len;
	return len == 0 || SSL_write(p->ssl, data, (int)len) == (int)len;
}

void peer_close(struct peer *p)
{
	if (p->ssl != NULL)
		(void)SSL_shutdown(p->ssl);
	SSL_free(p->ssl);
	(void)close(p->fd);
}
