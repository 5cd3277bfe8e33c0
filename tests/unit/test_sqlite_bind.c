/* SPDX-License-Identifier: MIT */
/*
 * Bind parameters of the SQLite driver.
 *
 *     test_sqlite_bind DIRECTORY
 */
#include <errno.h>

#include "backends/db.h"
#include "tests/unit/check.h"
#include "tests/unit/pg_sink.h"
#include "tests/unit/values.h"

enum { MAX_ROW = 16 * 1024 * 1024, LONG = 10 * 1024 * 1024 };

static struct seen seen;
static struct db *db;

static void expect(const char *sql, const struct db_args *args,
		   const char *rows)
{
	if (run_sql_args(db, &seen, sql, args) < 0) {
		(void)fprintf(stderr, "%s: %s\n", sql, seen.err.msg);
		exit(1);
	}
	CHECK_TEXT(buf_cstr(&seen.rows), rows);
}

static void expect_refused(const char *sql, const struct db_args *args,
			   const char *message)
{
	CHECK_INT(run_sql_args(db, &seen, sql, args), -EINVAL);
	CHECK_TEXT(seen.err.msg, message);
	CHECK(seen.n_begins == 0 && seen.n_ends == 0);
	expect("select 1", NULL, "1\n");
}

static void test_kinds(void)
{
	const struct db_value values[] = {
		NOTHING,
		BOOL("true"),
		BOOL("false"),
		TEXT("'; drop table t; --\n\"?"),
		TEXT(""),
		LIST("[1, \"a\"]", NUMBER("1"), TEXT("a")),
		OBJECT("{\"a\": null}"),
	};
	const struct db_args args = ARGS(values);

	expect("select ?, ?, ?, ?, ?, ?, ?", &args,
	       "<null>|1|0|'; drop table t; --\n\"?||[1, \"a\"]|{\"a\": "
	       "null}\n");
	expect("select typeof(?), typeof(?), typeof(?), typeof(?), typeof(?), "
	       "json_extract(?, '$[1]'), json_type(?, '$.a')",
	       &args, "null|integer|integer|text|text|a|null\n");
}

static void test_numbers(void)
{
	static const struct {
		struct db_value value;
		const char *shown;
	} cases[] = {
		{NUMBER("0"), "integer 0\n"},
		{NUMBER("-0"), "integer 0\n"},
		{NUMBER("-7"), "integer -7\n"},
		{NUMBER("9223372036854775807"),
		 "integer 9223372036854775807\n"},
		{NUMBER("-9223372036854775808"),
		 "integer -9223372036854775808\n"},
		{NUMBER("9223372036854775808"), "real 9.22337203685478e+18\n"},
		{NUMBER("1000000000000000000000"), "real 1.0e+21\n"},
		{NUMBER("1.5"), "real 1.5\n"},
		{NUMBER("1.0"), "real 1.0\n"},
		{NUMBER("1e2"), "real 100.0\n"},
		{NUMBER("-2E-3"), "real -0.002\n"},
		{NUMBER("1e-999"), "real 0.0\n"},
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		const struct db_args args = {.values = &cases[i].value, .n = 1};

		expect("select typeof(?1) || ' ' || ?1", &args, cases[i].shown);
	}
}

static void test_numbers_that_would_be_others(void)
{
	static const struct db_value values[] = {
		NUMBER("9223372036854775809"), NUMBER("-9223372036854775809"),
		NUMBER("123456789012345678901234567890"), NUMBER("1e999"),
		NUMBER("-1.5e400")};
	char message[200];

	for (size_t i = 0; i < COUNT(values); i++) {
		const struct db_args args = {.values = &values[i], .n = 1};

		(void)snprintf(message, sizeof(message),
			       "parameter 1: SQLite has no number %s; "
			       "a string keeps its digits",
			       values[i].data);
		expect_refused("select ?", &args, message);
	}
}

static void test_long_text(void)
{
	char *text = malloc(LONG + 1);
	struct db_value value = {.kind = DB_TEXT, .data = text, .len = LONG};
	const struct db_args args = {.values = &value, .n = 1};

	CHECK(text != NULL);
	memset(text, '\'', LONG);
	text[LONG] = '\0';
	seen.count_only = true;
	expect("select ?", &args, "");
	seen.count_only = false;
	CHECK_INT((long)seen.longest, LONG);
	free(text);
}

static void test_text_over_the_limit(void)
{
	size_t len = 3 * (size_t)MAX_ROW;
	char *text = calloc(1, len + 1);
	struct db_value value = {.kind = DB_TEXT, .data = text, .len = len};
	const struct db_args args = {.values = &value, .n = 1};

	CHECK(text != NULL);
	memset(text, 'x', len);
	CHECK_INT(run_sql_args(db, &seen, "select ?", &args), -EFBIG);
	CHECK_TEXT(seen.err.msg, "parameter 1: string or blob too big");
	free(text);
}

static void test_by_position(void)
{
	const struct db_value values[] = {NUMBER("1"), NUMBER("2")};
	const struct db_args two = ARGS(values);
	const struct db_args one = {.values = values, .n = 1};

	expect("select ?2, ?1, ?2", &two, "2|1|2\n");
	expect("select :b, @a, :b", &two, "1|2|1\n");
	expect("select ?2", &two, "2\n");
	expect_refused(
		"select ?, ?", &one,
		"parameters of the statement: 2, values in params.json: 1");
	expect_refused(
		"select ?", &two,
		"parameters of the statement: 1, values in params.json: 2");
	expect_refused(
		"select 1", &one,
		"parameters of the statement: 0, values in params.json: 1");
	expect_refused(
		"select ?", NULL,
		"parameters of the statement: 1, values in params.json: 0");
	expect_refused(
		"select :a", NULL,
		"parameters of the statement: 1, values in params.json: 0");
	CHECK_INT(run_sql_args(db, &seen, "select ?; select 1", &one), -EINVAL);
	CHECK_TEXT(seen.err.msg, "more than one statement at once");
}

static void test_by_name(void)
{
	const struct db_value values[] = {
		{.name = "b", .kind = DB_TEXT, .data = "B", .len = 1},
		{.name = "a", .kind = DB_NUMBER, .data = "1", .len = 1},
		{.name = "\xc3\xa4", .kind = DB_NULL},
	};
	const struct db_args three = NAMED_ARGS(values);
	const struct db_args two = {.values = values, .n = 2, .named = true};
	const struct db_args none = {.named = true};

	expect("select :a, @b, $a, :a, :\xc3\xa4", &three, "1|B|1|1|<null>\n");
	expect("select 1", &none, "1\n");
	expect_refused("select :a, :b", &three,
		       "the statement has no parameter :\xc3\xa4, params.json "
		       "has");
	expect_refused("select :a, :b, @c", &two,
		       "params.json has no value for @c of the statement");
	expect_refused("select :a, :b, :A", &two,
		       "params.json has no value for :A of the statement");
	expect_refused("select :a, ?, :b", &two,
		       "parameter 2 of the statement is a ? without a name: "
		       "params.json must hold an array");
	expect_refused("select ?1", &two,
		       "parameter 1 of the statement is a ? without a name: "
		       "params.json must hold an array");
}

static void test_statements_that_write(void)
{
	const struct db_value values[] = {NUMBER("1"), TEXT("a\"b"), NOTHING};
	const struct db_args args = ARGS(values);

	expect("create table t (a, b, c)", NULL, "");
	expect("insert into t values (?, ?, ?)", &args, "");
	CHECK_TEXT(buf_cstr(&seen.tag), "INSERT 0 1/1");
	expect("select * from t", NULL, "1|a\"b|<null>\n");
	/* What one statement had is not left for the next. */
	expect_refused(
		"insert into t values (?, ?, ?)", NULL,
		"parameters of the statement: 3, values in params.json: 0");
	expect("select count(*) from t", NULL, "1\n");
}

int main(int argc, char **argv)
{
	struct db_params params = {.max_row = MAX_ROW};
	struct err err = {0};

	check_init(argc, argv);
	seen_init(&seen);
	check_write("db", 0600, "");
	params.host = check_path("db");
	CHECK_INT(db_open(&db, "sqlite", &params, &err), 0);
	test_kinds();
	test_numbers();
	test_numbers_that_would_be_others();
	test_long_text();
	test_text_over_the_limit();
	test_by_position();
	test_by_name();
	test_statements_that_write();
	CHECK_INT(db_reset(db, &params, &err), -EOPNOTSUPP);
	db_close(db);
	seen_finish(&seen);
	return 0;
}
