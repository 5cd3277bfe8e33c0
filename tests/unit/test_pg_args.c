/* SPDX-License-Identifier: MIT */
/*
 * Bind parameters of the PostgreSQL driver, with a real server: see
 * pg_server.h.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backends/db.h"
#include "common/err.h"
#include "tests/unit/pg_server.h"
#include "tests/unit/pg_sink.h"
#include "tests/unit/values.h"

enum { MIB = 1024 * 1024, LONG = 10 * MIB, TOO_MANY = 65536, TIMEOUT_MS = 200 };

static void check_rows(struct client *c, const char *sql,
		       const struct db_args *args, const char *rows)
{
	int rc = run_args(c, sql, args);

	if (rc < 0)
		(void)fprintf(stderr, "%s: %s\n", sql, c->seen.err.msg);
	CHECK_INT(rc, 0);
	CHECK_TEXT(buf_cstr(&c->seen.rows), rows);
}

static void test_scalars(void)
{
	const struct db_value values[] = {
		NOTHING,
		BOOL("true"),
		NUMBER("12345678901234567890"),
		NUMBER("-1.50e2"),
		TEXT(""),
		TEXT("'; drop table t; --\n$1"),
		OBJECT("{\"a\": [1, null]}"),
	};
	const struct db_args args = ARGS(values);
	struct client c = client_open();

	check_rows(&c,
		   "select $1::int, $2::bool, $3::numeric, $4::float8, "
		   "$5::text, $6::text, $7::jsonb",
		   &args,
		   "<null>|t|12345678901234567890|-150||"
		   "'; drop table t; --\n$1|{\"a\": [1, null]}\n");
	/* Types are the server's to find. */
	check_rows(&c,
		   "select 7, coalesce($1, 3), not $2, $3 + 1.5, $4 * 2::int8, "
		   "length($5), length($6), $7::json->'a'->>1",
		   &(const struct db_args)ARGS(((const struct db_value[]){
			   NOTHING,
			   BOOL("false"),
			   NUMBER("1"),
			   NUMBER("4"),
			   TEXT("a\xc3\xa4"),
			   TEXT("\\"),
			   OBJECT("{\"a\": [1, null]}"),
		   })),
		   "7|3|t|2.5|8|2|1|<null>\n");
	CHECK_TEXT(buf_cstr(&c.seen.tag), "SELECT 1/1");
	client_close(&c);
}

static void test_statements_without_rows(void)
{
	const struct db_value values[] = {NUMBER("1"), TEXT("a\"b")};
	const struct db_args args = ARGS(values);
	struct client c = client_open();

	CHECK_INT(run(&c, "create temp table t (a int, b text)"), 0);
	check_rows(&c, "insert into t values ($1, $2), ($1 + 1, null)", &args,
		   "");
	CHECK_TEXT(buf_cstr(&c.seen.tag), "INSERT 0 2/2");
	check_rows(&c, "update t set a = a + $1 where b = $2 returning *",
		   &args, "2|a\"b\n");
	check_rows(&c, "select * from t order by b limit 1", NULL, "2|a\"b\n");
	client_close(&c);
}

static void test_long_text(void)
{
	char *text = text_of('\'', LONG);
	struct db_value value = {.kind = DB_TEXT, .data = text, .len = LONG};
	const struct db_args args = {.values = &value, .n = 1};
	struct client c = client_open();

	c.seen.count_only = true;
	check_rows(&c, "select $1::text", &args, "");
	CHECK_INT((long)c.seen.longest, LONG);
	c.seen.count_only = false;
	check_alive(&c);
	free(text);
	client_close(&c);
}

static void test_lists_are_arrays(void)
{
	const struct db_value values[] = {
		LIST("", NUMBER("1"), NOTHING, NUMBER("3")),
		LIST("", TEXT("a,\"\\b"), TEXT(""), TEXT("NULL"), TEXT("{"),
		     NOTHING),
		LIST("", LIST("", NUMBER("1"), NUMBER("2")),
		     LIST("", NUMBER("3"), NUMBER("4"))),
		EMPTY_LIST,
		LIST("", TEXT("(1,2),(3,4)"), NOTHING),
		BOOL("true"),
		LIST("", TEXT("2020-01-02"), TEXT("infinity")),
	};
	const struct db_args args = ARGS(values);
	struct client c = client_open();

	check_rows(&c,
		   "select $1::int[], $2::text[], $3::int8[], $4::text[], "
		   "$5::box[], $6::bool, $7::date[]",
		   &args,
		   "{1,NULL,3}|{\"a,\\\"\\\\b\",\"\",\"NULL\",\"{\",NULL}|"
		   "{{1,2},{3,4}}|{}|{(3,4),(1,2);NULL}|t|"
		   "{2020-01-02,infinity}\n");
	check_rows(&c,
		   "select g from generate_series(1, 5) g where g = any($1)",
		   &(const struct db_args){.values = values, .n = 1}, "1\n3\n");
	CHECK_TEXT(buf_cstr(&c.seen.cols), "g:int4+ ");
	CHECK_INT((long)c.seen.n_begins, 1);
	CHECK_INT((long)c.seen.n_ends, 1);
	client_close(&c);
}

static void test_lists_of_json(void)
{
	static const char text[] = "[1, {\"a\": \"\\\"\"}, [[[[[[[2]]]]]]]]";
	const struct db_value deep = LIST("[[[[[[[2]]]]]]]", EMPTY_LIST);
	const struct db_value object = OBJECT("{\"a\": \"\\\"\"}");
	const struct db_value items[] = {NUMBER("1"), object, deep,
					 TEXT("x\"")};
	const struct db_value values[] = {
		{.kind = DB_ARRAY,
		 .data = text,
		 .len = sizeof(text) - 1,
		 .items = items,
		 .n_items = 3},
		{.kind = DB_ARRAY,
		 .data = "",
		 .items = items,
		 .n_items = COUNT(items)},
	};
	const struct db_args args = ARGS(values);
	struct client c = client_open();

	check_rows(&c, "select $1::jsonb, cardinality($2::jsonb[])", &args,
		   "[1, {\"a\": \"\\\"\"}, [[[[[[[2]]]]]]]]|4\n");
	check_rows(&c, "select $1::json, u from unnest($2::jsonb[]) u", &args,
		   "[1, {\"a\": \"\\\"\"}, [[[[[[[2]]]]]]]]|1\n"
		   "[1, {\"a\": \"\\\"\"}, [[[[[[[2]]]]]]]]|{\"a\": \"\\\"\"}\n"
		   "[1, {\"a\": \"\\\"\"}, [[[[[[[2]]]]]]]]|[[[[[[[2]]]]]]]\n"
		   "[1, {\"a\": \"\\\"\"}, [[[[[[[2]]]]]]]]|\"x\\\"\"\n");
	client_close(&c);
}

/* Every character there is comes back as it went. */
static void test_every_character_in_a_list(void)
{
	char text[128];
	struct db_value item = {.kind = DB_TEXT, .data = text};
	struct db_value list = {
		.kind = DB_ARRAY, .data = "", .items = &item, .n_items = 1};
	const struct db_args args = {.values = &list, .n = 1};
	struct client c = client_open();

	for (size_t i = 0; i + 1 < sizeof(text); i++)
		text[i] = (char)(i + 1);
	text[sizeof(text) - 1] = '\0';
	item.len = sizeof(text) - 1;
	CHECK_INT(run_args(&c, "select ($1::text[])[1]", &args), 0);
	CHECK(c.seen.rows.len == sizeof(text));
	CHECK(memcmp(c.seen.rows.data, text, sizeof(text) - 1) == 0);
	client_close(&c);
}

static void check_refused(struct client *c, const char *sql,
			  const struct db_args *args, const char *state,
			  const char *words)
{
	CHECK_INT(run_args(c, sql, args), -EINVAL);
	CHECK_TEXT(c->seen.err.sqlstate, state);
	if (strstr(c->seen.err.msg, words) == NULL)
		CHECK_TEXT(c->seen.err.msg, words);
	CHECK_INT((long)(c->seen.n_begins + c->seen.n_ends), 0);
	check_alive(c);
}

static void test_wrong_number(void)
{
	static const char hint[] = "/params.json holds an array with one value "
				   "for each of $1, $2, ..";
	const struct db_value values[] = {
		NUMBER("1"),
		LIST("", NUMBER("2")),
	};
	const struct db_args one = {.values = values, .n = 1};
	const struct db_args two = {.values = values, .n = 2};
	struct client c = client_open();

	check_refused(&c, "select $1::int", NULL, "08P01",
		      "bind message supplies 0 parameters, but prepared "
		      "statement \"\" requires 1");
	check_refused(&c, "select 1", &one, "08P01", "requires 0");
	check_refused(&c, "select $1::int", &two, "08P01", "requires 1");
	check_refused(&c, "select $1::int, $2::int[], $3::int", &two, "08P01",
		      "requires 3");
	CHECK_INT(run_args(&c, "select 1", &two), -EINVAL);
	CHECK(strstr(buf_cstr(&c.seen.failure), hint) != NULL);
	client_close(&c);
}

static void test_what_does_not_fit(void)
{
	const struct db_value values[] = {
		LIST("[[1],[2,3]]", LIST("", NUMBER("1")),
		     LIST("", NUMBER("2"), NUMBER("3"))),
	};
	const struct db_value text = TEXT("x");
	const struct db_args ragged = ARGS(values);
	const struct db_args one = {.values = &text, .n = 1};
	struct client c = client_open();

	check_refused(&c, "select $1::int", &one, "22P02", "integer: \"x\"");
	check_refused(&c, "select $1::int[]", &ragged, "22P02",
		      "malformed array literal");
	check_refused(&c, "select $1::int", &ragged, "22P02", "{{1},{2,3}}");
	/* Fails before it is known what the list is to be. */
	check_refused(&c, "selec $1", &ragged, "42601", "syntax error");
	check_refused(&c, "select\n $1::int[], nix", &ragged, "42703", "nix");
	CHECK_INT(run_args(&c, "select\n $1::int[], nix", &ragged), -EINVAL);
	CHECK_INT(c.seen.offset, 19);
	check_refused(&c, "select 1; select $1", &one, "42601", "multiple");
	check_refused(&c, "select 1; select $1", &ragged, "42601", "multiple");
	client_close(&c);
}

static void test_kinds_the_protocol_has_not(void)
{
	struct db_value *values = calloc(TOO_MANY, sizeof(*values));
	struct db_args args = {.values = values, .n = 1, .named = true};
	struct client c = client_open();

	CHECK(values != NULL);
	values[0].name = "a";
	check_refused(&c, "select $1", &args, "",
		      "parameters of PostgreSQL are $1, $2, ..: params.json "
		      "must hold an array");
	args = (struct db_args){.values = values, .n = TOO_MANY};
	check_refused(&c, "select 1", &args, "",
		      "65536 parameters, PostgreSQL takes at most 65535");
	free(values);
	client_close(&c);
}

static void test_as_many_as_there_can_be(void)
{
	struct db_value *values = calloc(TOO_MANY, sizeof(*values));
	const struct db_args args = {.values = values, .n = TOO_MANY - 1};
	struct client c = client_open();
	struct buf sql;

	CHECK(values != NULL);
	for (size_t i = 0; i < TOO_MANY; i++)
		values[i] = (struct db_value)NUMBER("2");
	buf_init(&sql, MIB);
	buf_puts(&sql, "select sum(x) from unnest(array[$1::int");
	for (int i = 2; i < TOO_MANY; i++)
		buf_printf(&sql, ",$%d", i);
	buf_puts(&sql, "]) x");
	check_rows(&c, buf_cstr(&sql), &args, "131070\n");
	buf_finish(&sql);
	free(values);
	client_close(&c);
}

static void test_empty_statement(void)
{
	const struct db_value values[] = {LIST("", NUMBER("1"))};
	const struct db_args args = ARGS(values);
	struct client c = client_open();

	check_refused(&c, "-- nothing", &args, "08P01", "requires 0");
	client_close(&c);
}

static void test_rows_stream_and_have_limits(void)
{
	const struct db_value values[] = {LIST("", NUMBER("1000000000"))};
	const struct db_args args = ARGS(values);
	struct db_params params = server_params();
	struct client c;

	params.max_row = MIB;
	c = client_with(&params);
	c.seen.stop_at = 1001;
	CHECK_INT(run_args(&c, "select generate_series(1, ($1::int[])[1])",
			   &args),
		  -ENOSPC);
	CHECK_INT((long)c.seen.n_rows, 1000);
	c.seen.stop_at = 0;
	CHECK_INT(run_args(&c, "select repeat('x', ($1::int[])[1] / 900)",
			   &args),
		  -EFBIG);
	check_alive(&c);
	client_close(&c);
}

static void test_statement_timeout(void)
{
	const struct db_value values[] = {LIST("", NUMBER("600"))};
	const struct db_args args = ARGS(values);
	struct db_params params = server_params();
	struct client c;

	params.statement_timeout_ms = TIMEOUT_MS;
	c = client_with(&params);
	CHECK_INT(run_args(&c, "select 1 from pg_sleep(($1::int[])[1])", &args),
		  -ETIMEDOUT);
	client_close(&c);
}

/* The types are asked for while another session holds the table. */
static void test_cancel_while_the_types_are_asked_for(void)
{
	const struct db_value values[] = {LIST("", NUMBER("1"))};
	const struct db_args args = ARGS(values);
	const struct db_params params = server_params();
	struct client c = client_open();
	struct client asks = client_open(); /* sees a new state each time */
	struct background b;
	struct err err = {0};

	CHECK_INT(run(&c, "create table held (a int)"), 0);
	CHECK_INT(run(&c, "begin"), 0);
	CHECK_INT(run(&c, "lock table held"), 0);
	seen_init(&b.seen);
	b.seen.idle_ms = 5;
	background_start_args(&b, server_session(&params),
			      "select * from held where a = any($1)", &args);
	wait_until_active(asks.db, b.db);
	CHECK_INT(db_cancel(b.db, &params, &err), 0);
	CHECK_INT(background_join(&b), -ECANCELED);
	CHECK(b.seen.n_idles > 0);
	CHECK_INT(run(&c, "rollback"), 0);
	CHECK_INT(run_sql_args(b.db, &b.seen,
			       "select count(*) from held where a = any($1)",
			       &args),
		  0);
	CHECK_TEXT(buf_cstr(&b.seen.rows), "0\n");
	CHECK_INT(run(&c, "drop table held"), 0);
	seen_finish(&b.seen);
	db_close(b.db);
	client_close(&asks);
	client_close(&c);
}

static void test_in_a_transaction(void)
{
	const struct db_value values[] = {LIST("", NUMBER("1"))};
	const struct db_args args = ARGS(values);
	struct client c = client_open();

	CHECK_INT(run(&c, "begin"), 0);
	check_rows(&c, "select $1::int[]", &args, "{1}\n");
	CHECK(db_in_transaction(c.db));
	CHECK_INT(run_args(&c, "selec $1", &args), -EINVAL);
	CHECK_INT(run_args(&c, "select $1::int[]", &args), -EIO);
	CHECK_TEXT(c.seen.err.sqlstate, "25P02");
	CHECK_INT(run(&c, "rollback"), 0);
	check_rows(&c, "select $1::int[]", &args, "{1}\n");
	client_close(&c);
}

static void test_all(void)
{
	test_scalars();
	test_statements_without_rows();
	test_long_text();
	test_lists_are_arrays();
	test_lists_of_json();
	test_every_character_in_a_list();
	test_wrong_number();
	test_what_does_not_fit();
	test_kinds_the_protocol_has_not();
	test_as_many_as_there_can_be();
	test_empty_statement();
	test_rows_stream_and_have_limits();
	test_statement_timeout();
	test_cancel_while_the_types_are_asked_for();
	test_in_a_transaction();
}

int main(void)
{
	test_all();
	other_libpq = true;
	test_all();
	return 0;
}
