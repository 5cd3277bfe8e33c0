/* SPDX-License-Identifier: MIT */
/*
 * Sessions with the server that the tests of a driver talk to. Where it is,
 * CONNFS_TEST_PG_* or CONNFS_TEST_MARIADB_* tell: _USER, _PASSWORD, _DATABASE,
 * _PORT (of 127.0.0.1, with TLS) and _CA, by which its certificate is good for
 * localhost. Programs are linked with pg_server.c or mariadb_server.c.
 */
#ifndef CONNFS_TESTS_UNIT_DB_CLIENT_H
#define CONNFS_TESTS_UNIT_DB_CLIENT_H

#include <pthread.h>
#include <stddef.h>

#include "backends/db.h"
#include "tests/unit/pg_sink.h"

/* What differs from server to server. */
struct server_words {
	const char *backend;
	const char *variables; /* what their names begin with */
	const char *socket;    /* and how that of the local socket ends */
	const char *alive_tag; /* of a select that finds one row */
	const char *active;    /* counts the busy of those with the id behind */
};

extern const struct server_words server_words;

/* By its socket; the tests change what they are about. */
struct db_params server_params(void);

/* By TCP, host is the name to verify. */
struct db_params server_tls_params(const char *host, const char *sslmode);

const char *server_ca(void);

struct db *server_session(const struct db_params *params);

/* Fails with errno code `expected`, and has `words` in its message. */
#define CHECK_OPEN_FAILS(params, expected, words) \
	check_open_fails(__FILE__, __LINE__, params, expected, words)

void check_open_fails(const char *file, int line,
		      const struct db_params *params, int expected,
		      const char *words);

/* A session, and what it delivers. */
struct client {
	struct db *db;
	struct seen seen;
};

struct client client_with(const struct db_params *params);
struct client client_open(void); /* with server_params() */
void client_close(struct client *c);

/* Runs a statement, and returns what db_exec() did. */
int run(struct client *c, const char *sql);
int run_args(struct client *c, const char *sql, const struct db_args *args);

/* Runs it, and compares what it delivered: "1|<null>\n". */
#define CHECK_ROWS(c, sql, expected)                             \
	do {                                                     \
		CHECK_INT(run(c, sql), 0);                       \
		CHECK_TEXT(buf_cstr(&(c)->seen.rows), expected); \
	} while (0)

/* The session works: nothing of a statement that failed is left over. */
void check_alive(struct client *c);

/* A statement on a thread of its own, as a worker of the file system. */
struct background {
	pthread_t thread;
	struct db *db;
	const char *sql;
	const struct db_args *args;
	struct seen seen; /* the caller inits and finishes it */
	int rc;
};

void background_start(struct background *b, struct db *db, const char *sql);
void background_start_args(struct background *b, struct db *db, const char *sql,
			   const struct db_args *args);
int background_join(struct background *b); /* what db_exec() returned */

/* Until the first cell of what sql finds is `answer`. */
void wait_until_answer(struct db *asks, const char *sql, const char *answer);

/* Until the server says that the session of `who` runs a statement. */
void wait_until_active(struct db *asks, const struct db *who);

/* Has the server end the session of db, and returns when it has. */
void server_end_session(struct client *by, const struct db *db);

/* So many times `fill`, for free(). */
char *text_of(char fill, size_t len);

#endif
