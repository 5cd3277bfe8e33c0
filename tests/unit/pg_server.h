/* SPDX-License-Identifier: MIT */
/*
 * The server that test_pg.c talks to, told by CONNFS_TEST_PG_HOST (a socket
 * directory), _PORT (at 127.0.0.1 as well, with TLS), _USER, _PASSWORD,
 * _DATABASE and _CA. Its certificate is good for localhost.
 */
#ifndef CONNFS_TESTS_UNIT_PG_SERVER_H
#define CONNFS_TESTS_UNIT_PG_SERVER_H

#include <pthread.h>
#include <stdbool.h>

#include "backends/db.h"
#include "tests/unit/pg_sink.h"

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

/* The session works: nothing of a statement that failed is left over. */
void check_alive(struct client *c);

/*
 * Whether the driver finds a libpq whose insides it does not know, and must do
 * without its own way of reading rows. Programs are linked with
 * --wrap=PQlibVersion for it.
 */
extern bool other_libpq;

/* A statement on a thread of its own, as a worker of the file system. */
struct background {
	pthread_t thread;
	struct db *db;
	const char *sql;
	struct seen seen; /* the caller inits and finishes it */
	int rc;
};

void background_start(struct background *b, struct db *db, const char *sql);
int background_join(struct background *b); /* what db_exec() returned */

/* Until the server says that the session of `who` runs a statement. */
void wait_until_active(struct db *asks, const struct db *who);

#endif
