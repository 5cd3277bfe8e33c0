/* SPDX-License-Identifier: MIT */
/*
 * The sessions of the PostgreSQL driver: logging in, cancelling, and losing
 * them. With a real server: see pg_server.h.
 */
#include <errno.h>
#include <libpq-fe.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "backends/db.h"
#include "common/err.h"
#include "tests/unit/pg_server.h"
#include "tests/unit/pg_sink.h"

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

static void check_lost(struct client *c, const char *words)
{
	struct err err = {0};

	CHECK_INT(db_check(c->db, &err), -ENOTCONN);
	CHECK(strstr(err.msg, words) != NULL);
	CHECK(!db_in_transaction(c->db));
}

struct signal_at {
	size_t n_rows;
	int fd; /* gets a byte then */
};

static void signal_row(void *arg, size_t n_rows)
{
	const struct signal_at *at = arg;

	if (n_rows == at->n_rows)
		CHECK(write(at->fd, "", 1) == 1);
}

static void test_cancel_while_waiting(void)
{
	const struct db_params params = server_params();
	struct client c = client_open();
	struct background b;
	struct err err = {0};

	seen_init(&b.seen);
	background_start(&b, server_session(&params), "select pg_sleep(600)");
	wait_until_active(c.db, b.db);
	CHECK_INT(db_cancel(b.db, &params, &err), 0);
	CHECK_INT(background_join(&b), -ECANCELED);
	CHECK_TEXT(b.seen.err.sqlstate, "57014");
	/* Too late for this one, too early for the next. */
	CHECK_INT(db_cancel(b.db, &params, &err), 0);
	CHECK_INT(run_sql(b.db, &b.seen, "select pg_sleep(0.01)"), 0);
	seen_finish(&b.seen);
	db_close(b.db);
	client_close(&c);
}

static void test_cancel_in_the_middle(void)
{
	const struct db_params params = server_params();
	struct signal_at at = {.n_rows = 100000};
	struct background b;
	struct err err = {0};
	char byte;
	int fds[2];

	CHECK(pipe(fds) == 0);
	at.fd = fds[1];
	seen_init(&b.seen);
	b.seen.count_only = true;
	b.seen.on_row = signal_row;
	b.seen.on_row_arg = &at;
	background_start(&b, server_session(&params),
			 "select generate_series(1, 1000000000)");
	CHECK(read(fds[0], &byte, 1) == 1);
	CHECK_INT(db_cancel(b.db, &params, &err), 0);
	CHECK_INT(background_join(&b), -ECANCELED);
	CHECK(b.seen.n_rows >= at.n_rows && b.seen.n_ends == 0);
	CHECK_INT(run_sql(b.db, &b.seen, "select 1"), 0);
	seen_finish(&b.seen);
	db_close(b.db);
	(void)close(fds[0]);
	(void)close(fds[1]);
}

static void *cancel_often(void *arg)
{
	const struct db_params params = server_params();
	struct err err = {0};

	for (int i = 0; i < 200; i++)
		CHECK_INT(db_cancel(arg, &params, &err), 0);
	return NULL;
}

/* Whenever it comes, it hits the statement it was meant for or none. */
static void test_cancel_never_hits_the_next_statement(void)
{
	struct client c = client_open();
	pthread_t thread;
	int rc;

	CHECK(pthread_create(&thread, NULL, cancel_often, c.db) == 0);
	for (int i = 0; i < 300; i++) {
		rc = run(&c, "select 1");
		CHECK(rc == 0 || rc == -ECANCELED);
	}
	CHECK(pthread_join(thread, NULL) == 0);
	for (int i = 0; i < 20; i++)
		check_alive(&c);
	client_close(&c);
}

static void test_abort_ends_the_session(void)
{
	const struct db_params params = server_params();
	struct client c = client_open();
	struct background b;
	struct err err = {0};

	seen_init(&b.seen);
	background_start(&b, server_session(&params), "select pg_sleep(600)");
	wait_until_active(c.db, b.db);
	db_abort(b.db);
	CHECK_INT(background_join(&b), -ENOTCONN);
	CHECK_INT(db_check(b.db, &err), -ENOTCONN);
	CHECK_INT(run_sql(b.db, &b.seen, "select 1"), -ENOTCONN);
	seen_finish(&b.seen);
	db_close(b.db);
	client_close(&c);
}

static void terminate(struct client *by, const struct db *db)
{
	char sql[64];

	(void)snprintf(sql, sizeof(sql),
		       "select pg_terminate_backend(%d, 20000)",
		       db_server_pid(db));
	CHECK_INT(run(by, sql), 0);
	CHECK_TEXT(buf_cstr(&by->seen.rows), "t\n");
}

static void test_server_that_ends_the_session(void)
{
	static const char words[] =
		"terminating connection due to administrator command";
	const struct db_params params = server_params();
	struct client c = client_open();
	struct client idle = client_open();
	struct background b;

	seen_init(&b.seen);
	background_start(&b, server_session(&params), "select pg_sleep(600)");
	wait_until_active(c.db, b.db);
	terminate(&c, b.db);
	CHECK_INT(background_join(&b), -ENOTCONN);
	CHECK_TEXT(b.seen.err.msg, words);
	CHECK_TEXT(b.seen.err.sqlstate, "57P01");
	seen_finish(&b.seen);
	db_close(b.db);

	CHECK_INT(run(&idle, "begin"), 0);
	terminate(&c, idle.db);
	check_lost(&idle, words);
	client_close(&idle);

	/* And one whose end nobody looked for before it was used. */
	idle = client_open();
	terminate(&c, idle.db);
	CHECK_INT(run(&idle, "select 1"), -ENOTCONN);
	CHECK_TEXT(idle.seen.err.msg, words);
	check_lost(&idle, "");
	client_close(&idle);
	client_close(&c);
}

/* A port of 127.0.0.1 where nobody answers: listening, or not even that. */
static int silent_socket(bool listens, uint16_t *port)
{
	struct sockaddr_in addr = {
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	socklen_t len = sizeof(addr);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	CHECK(fd >= 0);
	CHECK(bind(fd, (struct sockaddr *)&addr, len) == 0);
	CHECK(getsockname(fd, (struct sockaddr *)&addr, &len) == 0);
	CHECK(!listens || listen(fd, 1) == 0);
	*port = ntohs(addr.sin_port);
	return fd;
}

static void test_server_that_cannot_be_reached(void)
{
	struct db_params params = server_params();
	int fd;

	params.host = "127.0.0.1";
	fd = silent_socket(false, &params.port);
	CHECK_OPEN_FAILS(&params, ECONNREFUSED, "Connection refused");
	(void)close(fd);

	params.connect_timeout_ms = 100;
	fd = silent_socket(true, &params.port);
	CHECK_OPEN_FAILS(&params, ETIMEDOUT, "timed out");
	(void)close(fd);

	params = server_params();
	params.host = "/nonexistent";
	CHECK_OPEN_FAILS(&params, EHOSTUNREACH, "/nonexistent");
	params.host = "no-such-host.invalid";
	CHECK_OPEN_FAILS(&params, EHOSTUNREACH, "resolve no-such-host.invalid");
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
	test_cancel_while_waiting();
	test_cancel_in_the_middle();
	test_cancel_never_hits_the_next_statement();
	test_abort_ends_the_session();
	test_server_that_ends_the_session();
	test_server_that_cannot_be_reached();
	test_login_that_is_refused();
	test_tls();
}

int main(void)
{
	test_environment_has_no_say(); /* before anything else */
	test_all();
	other_libpq = true;
	test_all();
	return 0;
}
