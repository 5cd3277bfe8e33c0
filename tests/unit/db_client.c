/* SPDX-License-Identifier: MIT */
#include "tests/unit/db_client.h"

#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_ROW = 64 * 1024 * 1024, CONNECT_TIMEOUT_MS = 20000 };

static const char *told(const char *what)
{
	char name[64];
	const char *value;

	(void)snprintf(name, sizeof(name), "%s%s", server_words.variables,
		       what);
	value = getenv(name);
	if (value == NULL)
		(void)fprintf(stderr, "%s is not set\n", name);
	CHECK(value != NULL);
	return value;
}

struct db_params server_params(void)
{
	return (struct db_params){
		.host = told(server_words.socket),
		.port = (uint16_t)strtoul(told("PORT"), NULL, 10),
		.database = told("DATABASE"),
		.user = told("USER"),
		.password = told("PASSWORD"),
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
	return told("CA");
}

struct db *server_session(const struct db_params *params)
{
	struct err err = {0};
	struct db *db;

	if (db_open(&db, server_words.backend, params, &err) < 0)
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
	int rc = db_open(&db, server_words.backend, params, &err);

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

int run_args(struct client *c, const char *sql, const struct db_args *args)
{
	return run_sql_args(c->db, &c->seen, sql, args);
}

void check_alive(struct client *c)
{
	struct err err = {0};

	CHECK_INT(db_check(c->db, &err), 0);
	CHECK_ROWS(c, "select 'alive', 2", "alive|2\n");
	CHECK_TEXT(buf_cstr(&c->seen.tag), server_words.alive_tag);
}

static void *run_background(void *arg)
{
	struct background *b = arg;

	b->rc = run_sql_args(b->db, &b->seen, b->sql, b->args);
	return NULL;
}

void background_start(struct background *b, struct db *db, const char *sql)
{
	background_start_args(b, db, sql, NULL);
}

void background_start_args(struct background *b, struct db *db, const char *sql,
			   const struct db_args *args)
{
	b->db = db;
	b->sql = sql;
	b->args = args;
	CHECK(pthread_create(&b->thread, NULL, run_background, b) == 0);
}

int background_join(struct background *b)
{
	CHECK(pthread_join(b->thread, NULL) == 0);
	return b->rc;
}

void wait_until_answer(struct db *asks, const char *sql, const char *answer)
{
	bool is_so = false;

	while (!is_so) {
		char *got = ask(asks, sql);

		is_so = strcmp(got, answer) == 0;
		free(got);
		(void)sched_yield();
	}
}

void wait_until_active(struct db *asks, const struct db *who)
{
	char sql[160];

	(void)snprintf(sql, sizeof(sql), "%s%d", server_words.active,
		       db_server_pid(who));
	wait_until_answer(asks, sql, "1");
}

char *text_of(char fill, size_t len)
{
	char *text = malloc(len + 1);

	CHECK(text != NULL);
	memset(text, fill, len);
	text[len] = '\0';
	return text;
}
