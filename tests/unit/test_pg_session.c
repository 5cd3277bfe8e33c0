/* SPDX-License-Identifier: MIT */
/*
 * The sessions of the PostgreSQL driver: logging in, and what they share with
 * others. With a real server: see pg_server.h.
 */
#include <errno.h>
#include <libpq-fe.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "backends/db.h"
#include "common/err.h"
#include "tests/unit/pg_server.h"
#include "tests/unit/pg_sink.h"
#include "tests/unit/session_cases.h"

static const struct session_words words = {
	.busy = "select pg_sleep(600)",
	.sleep = "select pg_sleep(600)",
	.brief = "select pg_sleep(0.01)",
	.rows = "select generate_series(1, 1000000000)",
	.reads = "select count(*) from pg_class",
	.cancelled = "57014",
	.ended = "terminating connection due to administrator command",
	.ended_state = "57P01",
};

static void test_settings_of_a_session(void)
{
	struct db_params params = server_params();
	struct client c;
	char *name;

	params.read_only = true;
	params.statement_timeout_ms = 50;
	params.init_sql = "set search_path = pg_catalog; set work_mem = '3MB'; "
			  "select 1, 2";
	/* 64 bytes, the last character of 2 would be cut. */
	params.application_name = "0123456789012345678901234567890123456789"
				  "0123456789012345678901\xc3\xa4";
	c = client_with(&params);
	CHECK_INT(run(&c, "create table public.never (a int)"), -EACCES);
	CHECK_TEXT(c.seen.err.sqlstate, "25006");
	CHECK_INT(run(&c, "select 1 from pg_sleep(600)"), -ETIMEDOUT);
	CHECK_INT(run(&c, "select current_setting('work_mem'), "
			  "current_setting('search_path'), "
			  "current_setting('client_encoding')"),
		  0);
	CHECK_TEXT(buf_cstr(&c.seen.rows), "3MB|pg_catalog|UTF8\n");
	name = ask(c.db, "select current_setting('application_name')");
	CHECK_INT((long)strlen(name), 62);
	free(name);
	client_close(&c);
}

static void test_list_of_hosts(void)
{
	struct db_params params = server_params();

	params.host = "a,b";
	CHECK_OPEN_FAILS(&params, EINVAL, "comma");
}

static void test_login_that_is_refused(void)
{
	struct db_params params = server_params();

	params.password = "not it";
	CHECK_OPEN_FAILS(&params, EACCES, "password authentication failed");
	params.password = NULL;
	CHECK_OPEN_FAILS(&params, EACCES, "no password supplied");
	params = server_params();
	if (!other_libpq) {
		params.database = "no such";
		CHECK_OPEN_FAILS(&params, EINVAL, "database \"no such\"");
		/* A name, whatever it looks like. */
		params.database = "host=elsewhere";
		CHECK_OPEN_FAILS(&params, EINVAL, "\"host=elsewhere\"");
	}
	params = server_params();
	params.init_sql = "select 1; selec";
	CHECK_OPEN_FAILS(&params, EINVAL, "init_sql: syntax error");
	params.init_sql = "select pg_sleep(600)";
	params.connect_timeout_ms = 200;
	CHECK_OPEN_FAILS(&params, ETIMEDOUT, "init_sql: timed out");
}

static void check_tls(const struct db_params *params, const char *used)
{
	struct client c = client_with(params);

	CHECK_INT(run(&c, "select ssl from pg_stat_ssl "
			  "where pid = pg_backend_pid()"),
		  0);
	CHECK_TEXT(buf_cstr(&c.seen.rows), used);
	c.seen.count_only = true;
	CHECK_INT(run(&c, "select g, repeat('x', g * 7) "
			  "from generate_series(1, 3000) g"),
		  0);
	CHECK_INT((long)c.seen.n_rows, 3000);
	c.seen.count_only = false;
	c.seen.stop_at = 10;
	CHECK_INT(run(&c, "select generate_series(1, 1000000000)"), -ENOSPC);
	c.seen.stop_at = 0;
	check_alive(&c);
	client_close(&c);
}

static void test_tls(void)
{
	struct db_params params = server_tls_params("127.0.0.1", NULL);

	check_tls(&params, "t\n"); /* prefer */
	params.sslmode = "disable";
	check_tls(&params, "f\n");
	params = server_tls_params("db.example", "verify-ca");
	params.connect_host = "127.0.0.1";
	params.ca_cert = server_ca();
	check_tls(&params, "t\n");
	params.sslmode = "verify-full";
	CHECK_OPEN_FAILS(&params, EHOSTUNREACH, "db.example");
	params.host = "localhost";
	check_tls(&params, "t\n");
	/* The name is the one to verify, the port the one to dial. */
	params.connect_port = params.port;
	params.port = 1;
	check_tls(&params, "t\n");

	params = server_tls_params("localhost", "verify-full");
	CHECK_OPEN_FAILS(&params, EHOSTUNREACH, "certificate verify failed");
	params.sslmode = "require";
	params.ca_cert = "/nonexistent.pem";
	CHECK_OPEN_FAILS(&params, ENOENT, "ca_cert /nonexistent.pem");
}

/* Each of them would make the connection fail, or show in it. */
static void spoil_environment(void)
{
	PQconninfoOption *options = PQconndefaults();

	CHECK(options != NULL);
	for (const PQconninfoOption *o = options; o->keyword != NULL; o++) {
		if (o->envvar != NULL)
			CHECK(setenv(o->envvar, "nonsense", 1) == 0);
	}
	PQconninfoFree(options);
	CHECK(setenv("PGSERVICEFILE", "/nonexistent", 1) == 0);
	CHECK(setenv("PGDATESTYLE", "nonsense", 1) == 0);
	CHECK(setenv("PGTZ", "nonsense", 1) == 0);
	CHECK(setenv("PGGEQO", "nonsense", 1) == 0);
}

static void test_environment_has_no_say(void)
{
	struct db_params params = server_params();
	struct client c;

	spoil_environment();
	params.application_name = NULL;
	c = client_with(&params);
	CHECK_INT(run(&c, "show application_name"), 0);
	CHECK_TEXT(buf_cstr(&c.seen.rows), "connfs\n");
	client_close(&c);
	params.password = NULL;
	CHECK_OPEN_FAILS(&params, EACCES, "no password supplied");
}

static void test_all(void)
{
	test_settings_of_a_session();
	test_list_of_hosts();
	test_login_that_is_refused();
	test_tls();
	session_cases(&words);
}

int main(void)
{
	test_environment_has_no_say(); /* before anything else */
	test_all();
	other_libpq = true;
	test_all();
	return 0;
}
