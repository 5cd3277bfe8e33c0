/* SPDX-License-Identifier: MIT */
/*
 * What the MariaDB driver does with a server that does not mean well, or that
 * is none of MariaDB's: one of the test's own, that says what it is told to.
 */
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "backends/db.h"
#include "backends/sql.h"
#include "common/buf.h"
#include "common/err.h"
#include "tests/unit/loopback.h"
#include "tests/unit/pg_sink.h"

enum { MAX_SAID = 1024 * 1024, HEADER = 4, MAX_STEPS = 16 };

static const char password[] = "a5ecret-pa55word";

struct text {
	const char *data;
	size_t len;
};

#define TEXT(s)                  \
	{                        \
		s, sizeof(s) - 1 \
	}

/* An answer is a payload, sent for each packet that the client sends. */
struct server {
	struct text greeting;
	const struct text *answers;
	size_t n_answers;
	int fd;
	uint16_t port;
	pthread_t thread;
	struct buf heard; /* payloads */
};

/* Offers no TLS, and says that it is MySQL. */
static const struct text greeting = TEXT("\x0a"
					 "8.0.33\0"
					 "\x07\0\0\0"
					 "12345678\0"
					 "\xdf\xf7"
					 "\x2d"
					 "\x02\0"
					 "\xbe\0"
					 "\x15"
					 "\0\0\0\0\0\0\0\0\0\0"
					 "123456789012\0"
					 "mysql_native_password\0");

#define SALT "12345678901234567890\0"

static const struct text ok = TEXT("\0\0\0\x02\0\0\0");
static const struct text native = TEXT("\xfe"
				       "mysql_native_password\0" SALT);

static bool say(int fd, unsigned char number, struct text text)
{
	unsigned char header[HEADER] = {
		(unsigned char)(text.len & 255),
		(unsigned char)(text.len >> 8 & 255),
		(unsigned char)(text.len >> 16),
		number,
	};

	return send(fd, header, HEADER, MSG_NOSIGNAL) == HEADER &&
	       send(fd, text.data, text.len, MSG_NOSIGNAL) == (ssize_t)text.len;
}

/* One packet; false when the client hangs up. */
static bool hear(int fd, struct buf *heard, unsigned char *number)
{
	unsigned char header[HEADER];
	char data[65536];
	size_t len;

	if (recv(fd, header, HEADER, MSG_WAITALL) != HEADER)
		return false;
	len = header[0] | (size_t)header[1] << 8;
	*number = header[3];
	if (len > 0 && recv(fd, data, len, MSG_WAITALL) != (ssize_t)len)
		return false;
	buf_put(heard, data, len);
	return true;
}

/* What follows an answer is sent with it, behind an empty text. */
static bool answer(struct server *server, int fd, unsigned char number,
		   size_t *n)
{
	do {
		if (*n == server->n_answers)
			return false;
		if (!say(fd, ++number, server->answers[(*n)++]))
			return false;
	} while (*n < server->n_answers && server->answers[*n].data == NULL &&
		 ++*n > 0);
	return true;
}

static void *serve(void *arg)
{
	struct server *server = arg;
	int fd = accept4(server->fd, NULL, NULL, SOCK_CLOEXEC);
	unsigned char number = 0;
	size_t n = 0;

	CHECK(fd >= 0);
	CHECK(say(fd, 0, server->greeting));
	while (hear(fd, &server->heard, &number) &&
	       answer(server, fd, number, &n))
		;
	(void)close(fd);
	return NULL;
}

static void start(struct server *server, struct text first,
		  const struct text *answers, size_t n)
{
	*server = (struct server){
		.greeting = first,
		.answers = answers,
		.n_answers = n,
	};
	buf_init(&server->heard, MAX_SAID);
	server->fd = loopback_socket(true, &server->port);
	CHECK(pthread_create(&server->thread, NULL, serve, server) == 0);
}

static bool heard(const struct server *server, const char *what)
{
	return server->heard.len > 0 &&
	       memmem(server->heard.data, server->heard.len, what,
		      strlen(what)) != NULL;
}

/* It never got to know the password. */
static void stop(struct server *server)
{
	CHECK(pthread_join(server->thread, NULL) == 0);
	CHECK(!heard(server, password));
	(void)close(server->fd);
	buf_finish(&server->heard);
}

static struct db_params params_of(const struct server *server)
{
	return (struct db_params){
		.host = "127.0.0.1",
		.port = server->port,
		.user = "someone",
		.password = password,
		.connect_timeout_ms = 20000,
		.max_row = MAX_SAID,
	};
}

static void check_refused(const struct text *answers, size_t n,
			  const char *sslmode, int code, const char *words)
{
	struct server server;
	struct db_params params;
	struct err err = {0};
	struct db *db;

	start(&server, greeting, answers, n);
	params = params_of(&server);
	params.sslmode = sslmode;
	CHECK_INT(db_open(&db, "mariadb", &params, &err), -code);
	if (strstr(err.msg, words) == NULL)
		CHECK_TEXT(err.msg, words);
	stop(&server);
}

static void test_tls_that_is_not_offered(void)
{
	static const char *const modes[] = {"require", "verify-ca",
					    "verify-full"};
	const struct text answers[] = {native, ok};

	for (size_t i = 0; i < COUNT(modes); i++)
		check_refused(answers, 2, modes[i], EHOSTUNREACH,
			      "does not offer TLS");
}

static void test_methods_that_give_the_password_away(void)
{
	static const struct {
		struct text answer;
		const char *words;
	} cases[] = {
		{TEXT("\xfe"
		      "mysql_clear_password\0" SALT),
		 "asks for mysql_clear_password"},
		{TEXT("\xfe"
		      "dialog\0" SALT),
		 "asks for dialog"},
		{TEXT("\xfe"
		      "caching_sha2_password\0" SALT),
		 "asks for caching_sha2_password, which connfs does not use "
		 "on this connection without TLS"},
		{TEXT("\xfe"
		      "sha256_password\0" SALT),
		 "without TLS"},
		{TEXT("\xfe"
		      "\xff\xfe\x80\0" SALT),
		 "asks for"},
		{TEXT("\xfe"), "asks for"},
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		check_refused(&cases[i].answer, 1, "disable", EACCES,
			      cases[i].words);
		check_refused(&cases[i].answer, 1, "prefer", EACCES,
			      cases[i].words);
	}
}

/* It says so before there could be any TLS. */
static void test_server_that_is_full(void)
{
	struct server server;
	struct db_params params;
	struct err err = {0};
	struct db *db;

	start(&server,
	      (struct text)TEXT("\xff\x10\x04"
				"Too many connections"),
	      NULL, 0);
	params = params_of(&server);
	CHECK_INT(db_open(&db, "mariadb", &params, &err), -EAGAIN);
	CHECK(strstr(err.msg, "Too many connections") != NULL);
	stop(&server);
}

/* First one that does no harm, then the other. */
static void test_method_that_is_changed_later(void)
{
	const struct text answers[] = {
		native,
		TEXT("\xfe"
		     "mysql_clear_password\0" SALT),
		ok,
	};

	check_refused(answers, 3, "disable", EACCES, "asks for");
}

static struct db *log_in(struct server *server, const struct text *answers,
			 size_t n)
{
	struct db_params params;
	struct err err = {0};
	struct db *db;

	start(server, greeting, answers, n);
	params = params_of(server);
	if (db_open(&db, "mariadb", &params, &err) < 0)
		(void)fprintf(stderr, "%s\n", err.msg);
	CHECK(db != NULL);
	return db;
}

static void test_file_that_is_asked_for(void)
{
	const struct text answers[] = {
		native,
		ok,
		ok,
		TEXT("\xfb"
		     "/etc/passwd"),
		ok,
	};
	struct server server;
	struct seen seen;
	struct db *db = log_in(&server, answers, COUNT(answers));

	seen_init(&seen);
	CHECK_INT(run_sql(db, &seen, "select 1"), -EOPNOTSUPP);
	CHECK(strstr(seen.err.msg, "local infile") != NULL);
	seen_finish(&seen);
	db_close(db);
	CHECK(!heard(&server, "root:"));
	stop(&server);
}

static void test_modes_of_mysql(void)
{
	const struct text answers[] = {
		native,
		ok,
		TEXT("\0\0\0\x02\x40\0\0\0\x18"
		     "\0\x16\x08"
		     "sql_mode\x0c"
		     "ANSI_QUOTES,"),
		TEXT("\0\0\0\x02\x40\0\0\0\x0e"
		     "\0\x0c\x08"
		     "sql_mode\x02"
		     "X,"),
	};
	struct server server;
	struct seen seen;
	struct db *db = log_in(&server, answers, COUNT(answers));

	CHECK_INT((long)db_sql_modes(db), SQL_ANSI_QUOTES);
	seen_init(&seen);
	CHECK_INT(run_sql(db, &seen, "set sql_mode = 'X'"), 0);
	CHECK_INT((long)db_sql_modes(db), 0);
	seen_finish(&seen);
	db_close(db);
	CHECK(heard(&server, "session_track_system_variables"));
	CHECK(heard(&server, "program_name"));
	stop(&server);
}

/* A result of one column, and a row of the test's. */
static void check_row(struct text row, int code)
{
	static const struct text next = {NULL, 0};
	const struct text answers[] = {
		native,
		ok,
		ok,
		TEXT("\x01"),
		next,
		TEXT("\x03"
		     "def\0\0\0\x01"
		     "a\0\x0c\x2d\0\xff\0\0\0\xfd\0\0\0\0\0"),
		next,
		TEXT("\xfe\0\0\x02\0"),
		next,
		row,
		next,
		TEXT("\xfe\0\0\x02\0"),
		ok, /* to the question for the state */
	};
	struct server server;
	struct seen seen;
	struct db *db = log_in(&server, answers, COUNT(answers));

	seen_init(&seen);
	CHECK_INT(run_sql(db, &seen, "select 1"), -code);
	seen_finish(&seen);
	db_close(db);
	stop(&server);
}

static void test_rows_that_are_malformed(void)
{
	check_row((struct text)TEXT("\x01"
				    "x"),
		  0);
	check_row((struct text)TEXT("\xfb"), 0);
	check_row((struct text)TEXT("\x05"
				    "x"),
		  EIO);
	check_row((struct text)TEXT("\xfc"), EIO);
	check_row((struct text)TEXT("\xfc\xff"), EIO);
	check_row((struct text)TEXT("\xfe\xff\xff\xff\xff\xff\xff\xff\xff"),
		  EIO);
	check_row((struct text)TEXT(""), EIO);
}

int main(void)
{
	test_tls_that_is_not_offered();
	test_methods_that_give_the_password_away();
	test_method_that_is_changed_later();
	test_server_that_is_full();
	test_file_that_is_asked_for();
	test_modes_of_mysql();
	test_rows_that_are_malformed();
	return 0;
}
