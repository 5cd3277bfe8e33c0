/* SPDX-License-Identifier: MIT */
/* The back end without a server, what db.h promises of any, and SQLSTATEs. */
#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "backends/db.h"
#include "backends/sql.h"
#include "backends/sqlstate.h"
#include "common/err.h"
#include "tests/unit/check.h"
#include "tests/unit/pg_sink.h"
#include "tests/unit/values.h"

enum { MAX_ROW = 1000 };

static const struct db_params params = {.host = "nowhere", .max_row = MAX_ROW};

static struct db *open_fake(void)
{
	struct err err = {0};
	struct db *db;

	CHECK_INT(db_open(&db, "fake", &params, &err), 0);
	CHECK(db_sql_modes(db) == SQL_PLAIN_BACKSLASH &&
	      !db_in_transaction(db));
	return db;
}

/* A statement, what db_exec() returns, and what came before. */
static void check_statement(struct db *db, const char *sql, int expected,
			    const char *rows, const char *tag)
{
	struct seen seen;

	seen_init(&seen);
	CHECK_INT(run_sql(db, &seen, sql), expected);
	CHECK_TEXT(buf_cstr(&seen.rows), rows);
	CHECK_TEXT(buf_cstr(&seen.tag), tag);
	seen_finish(&seen);
}

static void test_statements(void)
{
	struct db *db = open_fake();

	check_statement(db, "one", 0, "1\n", "SELECT 1/1");
	check_statement(db, "one;", 0, "1\n", "SELECT 1/1");
	check_statement(db, "", 0, "", "");
	check_statement(db, "rows 3", 0, "1\n2\n3\n", "SELECT 3/3");
	check_statement(db, "rows 2 cols 2 width 3;", 0, "1xx|1xx\n2xx|2xx\n",
			"SELECT 2/2");
	check_statement(db, "rows 1 delay_ms 5", 0, "1\n", "SELECT 1/1");
	check_statement(db, "rows 0", 0, "", "SELECT 0/0");
	check_statement(db, "cell 4", 0, "xxxx\n", "SELECT 1/1");
	check_statement(db, "cell 1001", -EFBIG, "", "");
	check_statement(db, "rows 1 cols 2 width 501", -EFBIG, "", "");
	check_statement(db, "tag INSERT 0 7 affected 7", 0, "", "INSERT 0 7/7");
	check_statement(db, "fail 23505 after 2", -EEXIST, "1\n2\n", "");
	check_statement(db, "rows", -EINVAL, "", "");
	check_statement(db, "rows 1 cols 0", -EINVAL, "", "");
	check_statement(db, "drop table t", -EINVAL, "", "");
	db_close(db);
}

static void test_shapes(void)
{
	struct db *db = open_fake();
	struct seen seen;

	seen_init(&seen);
	CHECK_INT(run_sql(db, &seen, "one"), 0);
	CHECK_TEXT(buf_cstr(&seen.shapes), "n");
	CHECK_INT(run_sql(db, &seen, "rows 1 cols 2"), 0);
	CHECK_TEXT(buf_cstr(&seen.shapes), "tt");
	CHECK_INT(run_sql(db, &seen, "cell 4"), 0);
	CHECK_TEXT(buf_cstr(&seen.shapes), "t");
	seen_finish(&seen);
	db_close(db);
}

static void test_transactions(void)
{
	struct db *db = open_fake();
	struct err err = {0};

	check_statement(db, "conflict OC000 2", -EAGAIN, "", "");
	check_statement(db, "conflict 40001 2", -EAGAIN, "", "");
	check_statement(db, "conflict OC000 2", 0, "2\n", "SELECT 1/1");
	check_statement(db, "conflict OC000", -EINVAL, "", "");
	check_statement(db, "begin", 0, "", "BEGIN/-1");
	CHECK(db_in_transaction(db));
	check_statement(db, "commit", 0, "", "COMMIT/-1");
	CHECK(!db_in_transaction(db));
	check_statement(db, "begin", 0, "", "BEGIN/-1");
	CHECK_INT(db_reset(db, &params, &err), 0);
	CHECK(!db_in_transaction(db));
	db_close(db);
}

static void test_logins_are_counted(void)
{
	struct db *first = open_fake(), *second = open_fake();
	char *one = ask(first, "login"), *other = ask(second, "login");

	CHECK_INT(strtol(other, NULL, 10), strtol(one, NULL, 10) + 1);
	free(one);
	free(other);
	db_close(first);
	db_close(second);
}

static void test_notice_and_failure(void)
{
	struct db *db = open_fake();
	struct seen seen;

	seen_init(&seen);
	CHECK_INT(run_sql(db, &seen, "notice some text;"), 0);
	CHECK_TEXT(buf_cstr(&seen.notices), "some text\n");
	CHECK_INT((long)seen.n_begins, 0);
	CHECK_INT(run_sql(db, &seen, "fail 40P01 after 0"), -EAGAIN);
	CHECK_TEXT(buf_cstr(&seen.failure), "ERROR 40P01 failed on request");
	CHECK_TEXT(seen.err.sqlstate, "40P01");
	seen.stop_at = 2;
	CHECK_INT(run_sql(db, &seen, "rows 1000000000"), -ENOSPC);
	CHECK_TEXT(seen.err.msg, "the sink is full");
	seen_finish(&seen);
	db_close(db);
}

static void test_connection_that_is_lost(void)
{
	struct db *db = open_fake();
	struct err err = {0};

	CHECK_INT(db_check(db, &err), 0);
	check_statement(db, "lose after 2", -ENOTCONN, "1\n2\n", "");
	CHECK_INT(db_check(db, &err), -ENOTCONN);
	check_statement(db, "one", -ENOTCONN, "", "");
	db_close(db);
}

static void test_reset(void)
{
	struct db_params next = params;
	struct db *db = open_fake();
	struct err err = {0};

	check_statement(db, "name", 0, "\n", "SELECT 1/1");
	check_statement(db, "state", 0, "0\n", "SELECT 1/1");
	next.application_name = "second";
	CHECK_INT(db_reset(db, &next, &err), 0);
	next.application_name = "it's \"the third\"";
	CHECK_INT(db_reset(db, &next, &err), 0);
	check_statement(db, "name;", 0, "it's \"the third\"\n", "SELECT 1/1");
	check_statement(db, "state;", 0, "2\n", "SELECT 1/1");
	check_statement(db, "name x", -EINVAL, "", "");
	db_abort(db);
	CHECK_INT(db_reset(db, &next, &err), -ENOTCONN);
	db_close(db);
}

static void test_parameters_are_refused(void)
{
	const struct db_value values[] = {NUMBER("1")};
	const struct db_args args = ARGS(values);
	const struct db_args none = {.values = values};
	struct db *db = open_fake();
	struct seen seen;

	seen_init(&seen);
	CHECK_INT(run_sql_args(db, &seen, "one", &args), -EOPNOTSUPP);
	CHECK_INT(run_sql_args(db, &seen, "one", &none), 0);
	seen_finish(&seen);
	db_close(db);
}

static void test_unknown_backend(void)
{
	struct err err = {0};
	struct db *db;

	CHECK_INT(db_open(&db, "oracle", &params, &err), -EINVAL);
	CHECK_TEXT(err.msg, "no backend is named oracle");
	CHECK(db == NULL);
	db_close(NULL);
}

/* Says when a statement waits: it has asked idle() how long. */
struct waiter {
	struct db *db;
	const char *sql;
	pthread_mutex_t lock;
	pthread_cond_t waits;
	unsigned n_idles; /* lock */
	int rc;
};

static int count_idle(void *arg)
{
	struct waiter *w = arg;

	(void)pthread_mutex_lock(&w->lock);
	w->n_idles++;
	(void)pthread_cond_signal(&w->waits);
	(void)pthread_mutex_unlock(&w->lock);
	return 1;
}

static void *run_waiter(void *arg)
{
	struct waiter *w = arg;
	struct db_sink sink = seen_sink;
	struct err err = {0};

	sink.idle = count_idle;
	w->rc = db_exec(w->db, w->sql, NULL, &sink, w, &err);
	return NULL;
}

static void await_idles(struct waiter *w, unsigned n)
{
	(void)pthread_mutex_lock(&w->lock);
	n += w->n_idles;
	while (w->n_idles < n)
		(void)pthread_cond_wait(&w->waits, &w->lock);
	(void)pthread_mutex_unlock(&w->lock);
}

static void test_waiting_ends_by_cancel(void)
{
	struct waiter w = {.db = open_fake(), .sql = "wait"};
	struct err err = {0};
	pthread_t thread;

	(void)pthread_mutex_init(&w.lock, NULL);
	(void)pthread_cond_init(&w.waits, NULL);
	CHECK(pthread_create(&thread, NULL, run_waiter, &w) == 0);
	await_idles(&w, 3);
	CHECK_INT(db_cancel(w.db, &params, &err), 0);
	CHECK(pthread_join(thread, NULL) == 0);
	CHECK_INT(w.rc, -ECANCELED);
	check_statement(w.db, "one", 0, "1\n", "SELECT 1/1");
	db_close(w.db);
}

static void test_the_deaf_hears_abort_only(void)
{
	struct waiter w = {.db = open_fake(), .sql = "deaf"};
	struct err err = {0};
	pthread_t thread;

	(void)pthread_mutex_init(&w.lock, NULL);
	(void)pthread_cond_init(&w.waits, NULL);
	CHECK(pthread_create(&thread, NULL, run_waiter, &w) == 0);
	await_idles(&w, 3);
	CHECK_INT(db_cancel(w.db, &params, &err), 0);
	await_idles(&w, 3);
	db_abort(w.db);
	CHECK(pthread_join(thread, NULL) == 0);
	CHECK_INT(w.rc, -ENOTCONN);
	db_close(w.db);
}

static void test_sqlstates(void)
{
	static const struct {
		const char *state;
		int code;
	} cases[] = {
		{"42601", EINVAL},
		{"42P01", EINVAL},
		{"42703", EINVAL},
		{"22012", EINVAL},
		{"22P02", EINVAL},
		{"3D000", EINVAL},
		{"3F000", EINVAL},
		{"26000", EINVAL},
		{"34000", EINVAL},
		{"08P01", EINVAL},
		{"42501", EACCES},
		{"28P01", EACCES},
		{"28000", EACCES},
		{"25006", EACCES},
		{"23505", EEXIST},
		{"23502", EEXIST},
		{"23P01", EEXIST},
		{"44000", EEXIST},
		{"40002", EEXIST},
		{"08006", EHOSTUNREACH},
		{"08001", EHOSTUNREACH},
		{"08004", ECONNREFUSED},
		{"57P03", ECONNREFUSED},
		{"57P01", ENOTCONN},
		{"57P05", ENOTCONN},
		{"25P03", ENOTCONN},
		{"57014", ECANCELED},
		{"40001", EAGAIN},
		{"40P01", EAGAIN},
		{"OC000", EAGAIN},
		{"OC001", EAGAIN},
		{"55P03", EAGAIN},
		{"55006", EAGAIN},
		{"53300", EAGAIN},
		{"53100", ENOSPC},
		{"54000", EFBIG},
		{"54001", EFBIG},
		{"0A000", EOPNOTSUPP},
		{"40003", EIO},
		{"25P02", EIO},
		{"P0001", EIO},
		{"XX000", EIO},
		{"", EIO},
		{"4", EIO},
		{"00000", EIO},
	};

	for (size_t i = 0; i < COUNT(cases); i++)
		CHECK_INT(sqlstate_errno(cases[i].state), cases[i].code);
	CHECK_INT(sqlstate_errno(NULL), EIO);
}

int main(void)
{
	test_sqlstates();
	test_unknown_backend();
	test_statements();
	test_shapes();
	test_transactions();
	test_logins_are_counted();
	test_notice_and_failure();
	test_connection_that_is_lost();
	test_reset();
	test_parameters_are_refused();
	test_waiting_ends_by_cancel();
	test_the_deaf_hears_abort_only();
	return 0;
}
