/* SPDX-License-Identifier: MIT */
#include "tests/unit/session_cases.h"

#include <errno.h>
#include <pthread.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include "backends/db.h"
#include "common/err.h"
#include "tests/unit/db_client.h"
#include "tests/unit/loopback.h"
#include "tests/unit/pg_sink.h"

static void test_cancel_while_waiting(const struct session_words *words)
{
	const struct db_params params = server_params();
	struct client c = client_open();
	struct background b;
	struct err err = {0};

	seen_init(&b.seen);
	background_start(&b, server_session(&params), words->busy);
	wait_until_active(c.db, b.db);
	CHECK_INT(db_cancel(b.db, &params, &err), 0);
	CHECK_INT(background_join(&b), -ECANCELED);
	CHECK_TEXT(b.seen.err.sqlstate, words->cancelled);
	/* Too late for this one, too early for the next. */
	CHECK_INT(db_cancel(b.db, &params, &err), 0);
	CHECK_INT(run_sql(b.db, &b.seen, words->brief), 0);
	seen_finish(&b.seen);
	db_close(b.db);
	client_close(&c);
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

static void test_cancel_in_the_middle(const struct session_words *words)
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
	background_start(&b, server_session(&params), words->rows);
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

static void check_abort(const struct db_params *params, const char *sql)
{
	struct client c = client_open();
	struct background b;
	struct err err = {0};

	seen_init(&b.seen);
	background_start(&b, server_session(params), sql);
	wait_until_active(c.db, b.db);
	db_abort(b.db);
	CHECK_INT(background_join(&b), -ENOTCONN);
	CHECK_INT(db_check(b.db, &err), -ENOTCONN);
	CHECK_INT(run_sql(b.db, &b.seen, "select 1"), -ENOTCONN);
	seen_finish(&b.seen);
	db_close(b.db);
	client_close(&c);
}

static void test_abort_ends_the_session(const struct session_words *words)
{
	const struct db_params params = server_params();

	check_abort(&params, words->sleep);
}

/* TLS writes as it likes, also where nobody reads. */
static void test_abort_over_tls(const struct session_words *words)
{
	const struct db_params params =
		server_tls_params("127.0.0.1", "require");

	check_abort(&params, words->busy);
}

static void check_lost(struct client *c, const char *words)
{
	struct err err = {0};

	CHECK_INT(db_check(c->db, &err), -ENOTCONN);
	CHECK(strstr(err.msg, words) != NULL);
	CHECK(!db_in_transaction(c->db));
}

static void check_ended(const struct err *err,
			const struct session_words *words)
{
	if (words->ended == NULL)
		return;
	CHECK_TEXT(err->msg, words->ended);
	CHECK_TEXT(err->sqlstate, words->ended_state);
}

static void test_server_that_ends_a_statement(const struct session_words *words)
{
	const struct db_params params = server_params();
	struct client c = client_open();
	struct background b;

	seen_init(&b.seen);
	background_start(&b, server_session(&params), words->busy);
	wait_until_active(c.db, b.db);
	server_end_session(&c, b.db);
	CHECK_INT(background_join(&b), -ENOTCONN);
	check_ended(&b.seen.err, words);
	seen_finish(&b.seen);
	db_close(b.db);
	client_close(&c);
}

static void test_server_that_ends_the_session(const struct session_words *words)
{
	struct client c = client_open();
	struct client idle = client_open();

	CHECK_INT(run(&idle, "begin"), 0);
	CHECK_INT(run(&idle, words->reads), 0);
	CHECK(db_in_transaction(idle.db));
	server_end_session(&c, idle.db);
	check_lost(&idle, words->ended != NULL ? words->ended : "");
	client_close(&idle);

	/* And one whose end nobody looked for before it was used. */
	idle = client_open();
	server_end_session(&c, idle.db);
	CHECK_INT(run(&idle, "select 1"), -ENOTCONN);
	check_ended(&idle.seen.err, words);
	check_lost(&idle, "");
	client_close(&idle);
	client_close(&c);
}

static void test_server_that_ends_it_over_tls(void)
{
	const struct db_params params =
		server_tls_params("127.0.0.1", "require");
	struct client c = client_open();
	struct client idle = client_with(&params);

	server_end_session(&c, idle.db);
	check_lost(&idle, "");
	client_close(&idle);
	idle = client_with(&params);
	server_end_session(&c, idle.db);
	CHECK(db_reset(idle.db, &params, &idle.seen.err) < 0);
	check_lost(&idle, "");
	client_close(&idle);
	client_close(&c);
}

static void test_server_that_cannot_be_reached(void)
{
	struct db_params params = server_params();
	int fd;

	params.host = "127.0.0.1";
	fd = loopback_socket(false, &params.port);
	CHECK_OPEN_FAILS(&params, ECONNREFUSED, "Connection refused");
	(void)close(fd);

	params.connect_timeout_ms = 100;
	fd = loopback_socket(true, &params.port);
	CHECK_OPEN_FAILS(&params, ETIMEDOUT, "timed out");
	(void)close(fd);

	params = server_params();
	params.host = "/nonexistent";
	CHECK_OPEN_FAILS(&params, EHOSTUNREACH, "/nonexistent");
	params.host = "no-such-host.invalid";
	CHECK_OPEN_FAILS(&params, EHOSTUNREACH, "resolve no-such-host.invalid");
}

void session_cases(const struct session_words *words)
{
	test_cancel_while_waiting(words);
	test_cancel_in_the_middle(words);
	test_cancel_never_hits_the_next_statement();
	test_abort_ends_the_session(words);
	test_abort_over_tls(words);
	test_server_that_ends_a_statement(words);
	test_server_that_ends_the_session(words);
	test_server_that_ends_it_over_tls();
	test_server_that_cannot_be_reached();
}
