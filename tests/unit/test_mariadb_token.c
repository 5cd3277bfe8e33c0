/* SPDX-License-Identifier: MIT */
/*
 * Tokens, which the MariaDB driver sends as they are: to a server that is
 * known, when it asks, and to nobody else. The servers are the test's own.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include "backends/db.h"
#include "common/buf.h"
#include "common/err.h"
#include "tests/unit/loopback.h"
#include "tests/unit/pg_sink.h"
#include "tests/unit/tls_server.h"

enum { MAX_HEARD = 1024 * 1024, HEADER = 4, SSL_REQUEST = 32 };

static const char token[] = "db.example:3306/?Action=connect&X-Amz-Signature=1";
static const char new_token[] = "db.example:3306/?Action=connect&X-Amz-Date=2";

struct text {
	const char *data;
	size_t len;
};

#define TEXT(s)                  \
	{                        \
		s, sizeof(s) - 1 \
	}

/* MySQL, without TLS and with it, and one that names the method at once. */
#define VERSION      \
	"\x0a"       \
	"8.0.33\0"   \
	"\x07\0\0\0" \
	"12345678\0"
#define REST                   \
	"\x2d"                 \
	"\x02\0"               \
	"\xbe\0"               \
	"\x15"                 \
	"\0\0\0\0\0\0\0\0\0\0" \
	"123456789012\0"
static const struct text plain =
	TEXT(VERSION "\xdf\xf7" REST "mysql_native_password\0");
static const struct text with_tls =
	TEXT(VERSION "\xdf\xff" REST "mysql_native_password\0");
static const struct text plain_clear =
	TEXT(VERSION "\xdf\xf7" REST "mysql_clear_password\0");
static const struct text tls_clear =
	TEXT(VERSION "\xdf\xff" REST "mysql_clear_password\0");

static const struct text ok = TEXT("\0\0\0\x02\0\0\0");
static const struct text clear = TEXT("\xfe"
				      "mysql_clear_password\0");
static const struct text refusal = TEXT("\xff\x15\x04#28000"
					"Access denied for user 'app'");

/* An answer is a payload, sent for each packet that the client sends. */
struct server {
	struct text greeting;
	const struct identity *id; /* null: there is no TLS */
	const struct text *answers;
	size_t n_answers;
	int fd;
	uint16_t port;
	pthread_t thread;
	struct buf heard; /* payloads */
};

static struct identity good;  /* of db.example */
static struct identity other; /* of somebody else */

static bool say(struct peer *p, unsigned char number, struct text text)
{
	const unsigned char header[HEADER] = {
		(unsigned char)(text.len & 255),
		(unsigned char)(text.len >> 8),
		0,
		number,
	};

	return peer_write(p, header, HEADER) &&
	       peer_write(p, text.data, text.len);
}

/* The length of one packet, 0 when the client hangs up. */
static size_t hear(struct peer *p, struct buf *heard, unsigned char *number)
{
	unsigned char header[HEADER];
	static char data[65536];
	size_t len;

	if (!peer_read(p, header, HEADER))
		return 0;
	len = header[0] | (size_t)header[1] << 8;
	*number = header[3];
	if (!peer_read(p, data, len))
		return 0;
	buf_put(heard, data, len);
	return len;
}

static void *serve(void *arg)
{
	struct server *s = arg;
	struct peer p = {.fd = accept4(s->fd, NULL, NULL, SOCK_CLOEXEC)};
	unsigned char number = 0;
	size_t n = 0;
	size_t len;

	CHECK(p.fd >= 0);
	CHECK(say(&p, 0, s->greeting));
	while ((len = hear(&p, &s->heard, &number)) > 0) {
		if (len == SSL_REQUEST && p.ssl == NULL && s->id != NULL) {
			if (!peer_start_tls(&p, s->id))
				break;
			continue;
		}
		if (n == s->n_answers)
			break;
		(void)say(&p, (unsigned char)(number + 1), s->answers[n++]);
	}
	peer_close(&p);
	return NULL;
}

static void start(struct server *s, struct text greeting,
		  const struct identity *id, const struct text *answers,
		  size_t n)
{
	*s = (struct server){
		.greeting = greeting,
		.id = id,
		.answers = answers,
		.n_answers = n,
	};
	buf_init(&s->heard, MAX_HEARD);
	s->fd = loopback_socket(true, &s->port);
	CHECK(pthread_create(&s->thread, NULL, serve, s) == 0);
}

static bool heard(const struct server *s, const char *what)
{
	return s->heard.len > 0 &&
	       memmem(s->heard.data, s->heard.len, what, strlen(what)) != NULL;
}

static void join(struct server *s)
{
	CHECK(pthread_join(s->thread, NULL) == 0);
	(void)close(s->fd);
}

static struct db_params params_to(uint16_t port)
{
	return (struct db_params){
		.host = "db.example",
		.connect_host = "127.0.0.1",
		.port = 3306,
		.connect_port = port,
		.user = "app",
		.password = token,
		.password_is_token = true,
		.sslmode = "verify-full",
		.ca_cert = good.path,
		.connect_timeout_ms = 20000,
		.max_row = 65536,
	};
}

static void check_fails(const struct db_params *params, int code,
			const char *words)
{
	struct err err = {0};
	struct db *db;

	CHECK_INT(db_open(&db, "mariadb", params, &err), -code);
	if (strstr(err.msg, words) == NULL)
		CHECK_TEXT(err.msg, words);
}

/* What is sent without TLS that is verified would be anybody's. */
static void test_refused_before_it_dials(void)
{
	static const char *const modes[] = {NULL,     "disable", "allow",
					    "prefer", "require", "verify-ca"};
	uint16_t port;
	int fd = loopback_socket(true, &port);
	struct pollfd pfd = {.fd = fd, .events = POLLIN};
	struct db_params params;

	for (size_t i = 0; i < COUNT(modes); i++) {
		params = params_to(port);
		params.sslmode = modes[i];
		check_fails(&params, EACCES,
			    "a token is sent with verify-full");
	}
	params = params_to(port);
	params.sslmode = "disable";
	params.tls_fingerprint = good.fingerprint;
	check_fails(&params, EACCES, "a token is sent with");
	params = params_to(port);
	params.connect_host = "/nonexistent/socket";
	check_fails(&params, EACCES, "a token is sent with");
	CHECK(poll(&pfd, 1, 0) == 0);
	(void)close(fd);
}

struct stranger {
	struct text greeting;
	const struct identity *id;
	const char *words;
};

/* Whoever it is, it does not get to know the token. */
static void check_stranger(const struct stranger *who, struct db_params *params)
{
	const struct text answers[] = {clear, ok, ok};
	struct server server;

	start(&server, who->greeting, who->id, answers, COUNT(answers));
	params->connect_port = server.port;
	check_fails(params, EHOSTUNREACH, who->words);
	join(&server);
	CHECK(!heard(&server, "Action"));
	buf_finish(&server.heard);
}

static void test_strangers(void)
{
	const struct stranger strangers[] = {
		{plain, NULL, "does not offer TLS"},
		{plain_clear, NULL, "does not offer TLS"},
		{with_tls, &other, "self-signed certificate"},
		{tls_clear, &other, "self-signed certificate"},
		{with_tls, &other, "certificate; RDS and Aurora need https"},
	};
	struct stranger who = {with_tls, &good, "is not for elsewhere"};
	struct db_params params;

	for (size_t i = 0; i < COUNT(strangers); i++) {
		params = params_to(0);
		check_stranger(&strangers[i], &params);
	}
	params = params_to(0);
	params.host = "elsewhere";
	check_stranger(&who, &params);
	who.greeting = tls_clear;
	check_stranger(&who, &params);
}

static void test_other_fingerprint(void)
{
	static const char *const modes[] = {"require", "prefer"};
	struct stranger who = {with_tls, &other, "the tls_fingerprint"};
	struct db_params params;

	for (size_t i = 0; i < COUNT(modes); i++) {
		params = params_to(0);
		params.sslmode = modes[i];
		params.tls_fingerprint = good.fingerprint;
		params.ca_cert = NULL;
		who.greeting = with_tls;
		check_stranger(&who, &params);
		who.greeting = tls_clear;
		check_stranger(&who, &params);
	}
	/* It does not stand in for the certificate. */
	params = params_to(0);
	params.ca_cert = other.path;
	params.tls_fingerprint = good.fingerprint;
	who.greeting = tls_clear;
	check_stranger(&who, &params);
	/* And it is of TLS. */
	who = (struct stranger){plain, NULL, "does not offer TLS"};
	params = params_to(0);
	params.sslmode = "prefer";
	params.ca_cert = NULL;
	params.tls_fingerprint = good.fingerprint;
	check_stranger(&who, &params);
}

/* A password that is no token is not for sending, whoever it is. */
static void test_password_that_is_no_token(void)
{
	const struct text answers[] = {clear, ok, ok};
	struct server server;
	struct db_params params;

	start(&server, tls_clear, &good, answers, COUNT(answers));
	params = params_to(server.port);
	params.password_is_token = false;
	check_fails(&params, EACCES, "asks for mysql_clear_password");
	join(&server);
	CHECK(!heard(&server, "Action"));
	buf_finish(&server.heard);
}

static void test_refused_token(void)
{
	const struct text answers[] = {clear, refusal};
	struct server server;
	struct db_params params;

	start(&server, with_tls, &good, answers, COUNT(answers));
	params = params_to(server.port);
	check_fails(&params, EACCES, "Access denied for user 'app'");
	join(&server);
	CHECK(heard(&server, token));
	buf_finish(&server.heard);
}

/* Logs in, and in again, with another token; then the settings of each. */
static void check_known(struct db_params *params, struct text greeting)
{
	const struct text answers[] = {clear, ok, ok, clear, ok, ok};
	struct db_params again = *params;
	struct err err = {0};
	struct server server;
	struct db *db;

	start(&server, greeting, &good, answers, COUNT(answers));
	params->connect_port = server.port;
	if (db_open(&db, "mariadb", params, &err) < 0)
		CHECK_TEXT(err.msg, "");
	CHECK(db != NULL);
	again.password = new_token;
	CHECK_INT(db_reset(db, &again, &err), 0);
	db_close(db);
	join(&server);
	CHECK(heard(&server, params->password) && heard(&server, new_token));
	buf_finish(&server.heard);
}

static void test_servers_that_are_known(void)
{
	struct db_params params = params_to(0);
	char *large;

	check_known(&params, with_tls);
	check_known(&params, tls_clear);
	params.sslmode = "require";
	params.ca_cert = NULL;
	params.tls_fingerprint = good.fingerprint;
	check_known(&params, with_tls);

	/* With the credentials of a session it can have any length. */
	large = malloc(6001);
	CHECK(large != NULL);
	memset(large, 'T', 6000);
	large[6000] = '\0';
	params.password = large;
	check_known(&params, with_tls);
	free(large);
}

int main(int argc, char **argv)
{
	check_init(argc, argv);
	identity_create(&good, "db.example", "good.pem");
	identity_create(&other, "db.example", "other.pem");
	test_refused_before_it_dials();
	test_strangers();
	test_other_fingerprint();
	test_password_that_is_no_token();
	test_refused_token();
	test_servers_that_are_known();
	identity_destroy(&good);
	identity_destroy(&other);
	return 0;
}
