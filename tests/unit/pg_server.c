/* SPDX-License-Identifier: MIT */
#include "tests/unit/pg_server.h"

#include <libpq-fe.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_ROW = 64 * 1024 * 1024, CONNECT_TIMEOUT_MS = 20000 };

bool other_libpq;

/* The linker puts it in front of libpq's (--wrap). */
int __wrap_PQlibVersion(void);
int __real_PQlibVersion(void);

int __wrap_PQlibVersion(void)
{
	return other_libpq ? 10000 : __real_PQlibVersion();
}

static const char *told(const char *name)
{
	const char *value = getenv(name);

	if (value == NULL)
		(void)fprintf(stderr, "%s is not set\n", name);
	CHECK(value != NULL);
	return value;
}

struct db_params server_params(void)
{
	return (struct db_params){
		.host = told("CONNFS_TEST_PG_HOST"),
		.port = (uint16_t)strtoul(told("CONNFS_TEST_PG_PORT"), NULL,
					  10),
		.database = told("CONNFS_TEST_PG_DATABASE"),
		.user = told("CONNFS_TEST_PG_USER"),
		.password = told("CONNFS_TEST_PG_PASSWORD"),
		.application_name = "connfs-test",
		.connect_timeout_ms = CONNECT_TIMEOUT_MS,
		.max_row = MAX_ROW,
	};
}

struct db_params server_tls_params(const char *host, const char *sslmode)
{
	struct db_params params = server_params();

	params.host = host;
	params.sslmode = sslmode;
	return params;
}

const char *server_ca(void)
{
	return told("CONNFS_TEST_PG_CA");
}

struct db *server_session(const struct db_params *params)
{
	struct err err = {0};
	struct db *db;

	if (db_open(&db, "postgres", params, &err) < 0)
		(void)fprintf(stderr, "cannot connect: %s\n", err.msg);
	CHECK(db != NULL);
	return db;
}

void check_open_fails(const char *file, int line,
		      const struct db_params *params, int expected,
		      const char *words)
{
	struct err err = {0};
	struct db *db;
	int rc = db_open(&db, "postgres", params, &err);

	if (rc != -expected)
		(void)fprintf(stderr, "%s\n", err.msg);
	check_int(file, line, "db_open()", rc, -expected);
	if (strstr(err.msg, words) == NULL)
		check_text(file, line, err.msg, words);
}

struct client client_with(const struct db_params *params)
{
	struct client c;

	c.db = server_session(params);
	seen_init(&c.seen);
	return c;
}

struct client client_open(void)
{
	const struct db_params params = server_params();

	return client_with(&params);
}

void client_close(struct client *c)
{
	seen_finish(&c->seen);
	db_close(c->db);
}

int run(struct client *c, const char *sql)
{
	return run_sql(c->db, &c->seen, sql);
}

void check_alive(struct client *c)
{
	struct err err = {0};

	CHECK_INT(db_check(c->db, &err), 0);
	CHECK_INT(run(c, "select 'alive', 2"), 0);
	CHECK_TEXT(buf_cstr(&c->seen.rows), "alive|2\n");
	CHECK_TEXT(buf_cstr(&c->seen.tag), "SELECT 1/1");
}

static void *run_background(void *arg)
{
	struct background *b = arg;

	b->rc = run_sql(b->db, &b->seen, b->sql);
	return NULL;
}

void background_start(struct background *b, struct db *db, const char *sql)
{
	b->db = db;
	b->sql = sql;
	CHECK(pthread_create(&b->thread, NULL, run_background, b) == 0);
}

int background_join(struct background *b)
{
	CHECK(pthread_join(b->thread, NULL) == 0);
	return b->rc;
}

void wait_until_active(struct db *asks, const struct db *who)
{
	bool active = false;
	char sql[128];

	(void)snprintf(sql, sizeof(sql),
		       "select state = 'active' from pg_stat_activity "
		       "where pid = %d",
		       db_server_pid(who));
	while (!active) {
		char *answer = ask(asks, sql);

		active = strcmp(answer, "t") == 0;
		free(answer);
		(void)sched_yield();
	}
}
