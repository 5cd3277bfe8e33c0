/* SPDX-License-Identifier: MIT */
/*
 * What the PostgreSQL driver makes of statements, with a real server: see
 * pg_server.h.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backends/db.h"
#include "backends/pg_types.h"
#include "backends/sql.h"
#include "common/err.h"
#include "tests/unit/pg_server.h"
#include "tests/unit/pg_sink.h"
#include "tests/unit/statement_cases.h"

static const struct statement_words words = {
	.no_rows = "select 1 as a where false",
	.no_rows_cols = "a:int4+ ",
	.no_rows_tag = "SELECT 0/0",
	.empty = {"", ";", " -- nothing\n"},
	.many = "select g, repeat('x', g % 3000), null "
		"from generate_series(1, 30000) g",
	.long_rows = "select generate_series(1, 1000000000), repeat('x', 1000)",
	.sleep = "select 1 from pg_sleep(0.1)",
	.large = "select repeat('0123456789', 6291456)",
	.large_cells = 1,
	.before = {"set my.own = 1"},
	.too_long = {"select repeat('x', 1048577)",
		     "select 'y', repeat('x', 1048576)",
		     "select repeat('x', 100 * 1048576)",
		     "copy (select repeat('x', 3000000)) to stdout"},
	.fourth_too_long = "select repeat('x', case g when 4 then 3000000 "
			   "else 1 end) from generate_series(1, 9) g",
	.still_set = "show my.own",
	.syntax_error = "42601",
	.no_such_table = "42P01",
};

static void test_rows_types_and_nulls(void)
{
	struct client c = client_open();

	CHECK_INT(run(&c, "select 1 as a, ''::text as b, null::int8 as c, "
			  "array[1,null] as d, true as e, 1.50::numeric as f, "
			  "'2020-01-02 03:04:05'::timestamp as g, "
			  "'x\ny'::varchar(9) as \"h \xc3\xa4\""),
		  0);
	CHECK_TEXT(buf_cstr(&c.seen.cols),
		   "a:int4+ b:text c:int8+ d:int4[] e:bool+ f:numeric+ "
		   "g:timestamp+ h \xc3\xa4:varchar ");
	CHECK_TEXT(buf_cstr(&c.seen.rows), "1||<null>|{1,NULL}|t|1.50|"
					   "2020-01-02 03:04:05|x\ny\n");
	CHECK_TEXT(buf_cstr(&c.seen.tag), "SELECT 1/1");
	CHECK_INT((long)c.seen.n_ends, 1);
	CHECK(!db_in_transaction(c.db) &&
	      db_sql_modes(c.db) == SQL_PLAIN_BACKSLASH);
	client_close(&c);
}

static void test_no_columns(void)
{
	struct client c = client_open();

	CHECK_INT(run(&c, "select from generate_series(1, 3)"), 0);
	CHECK_INT((long)c.seen.n_begins, 1);
	CHECK_INT((long)c.seen.n_cols, 0);
	CHECK_INT((long)c.seen.n_rows, 3);
	client_close(&c);
}

static void test_statements_without_rows(void)
{
	struct client c = client_open();

	CHECK_INT(run(&c, "create temp table t (a int)"), 0);
	CHECK_TEXT(buf_cstr(&c.seen.tag), "CREATE TABLE/-1");
	CHECK_INT(run(&c, "insert into t values (1), (2), (3)"), 0);
	CHECK_TEXT(buf_cstr(&c.seen.tag), "INSERT 0 3/3");
	CHECK_INT((long)c.seen.n_begins, 0);
	CHECK_INT(run(&c, "update t set a = a + 1 where a > 1 returning a"), 0);
	CHECK_TEXT(buf_cstr(&c.seen.rows), "3\n4\n");
	CHECK_TEXT(buf_cstr(&c.seen.tag), "UPDATE 2/2");
	CHECK_INT(run(&c, "set work_mem = '1MB'"), 0);
	CHECK_INT(run(&c, "show work_mem"), 0);
	CHECK_TEXT(buf_cstr(&c.seen.rows), "1MB\n");
	client_close(&c);
}

/* Names and flags are from the catalog of the server. */
static void test_types_are_those_of_the_catalog(void)
{
	struct client c = client_open();
	char *line;
	char *next;

	CHECK_INT(run(&c,
		      "select t.oid, case when e.oid is not null "
		      "then e.typname || '[]' else t.typname end "
		      "from pg_type t left join pg_type e "
		      "on e.typarray = t.oid and t.typname = '_' || e.typname "
		      "where t.oid < 10000 and t.typtype in ('b', 'r', 'm') "
		      "and e.typtype is distinct from 'c'"),
		  0);
	CHECK(c.seen.n_rows > 150);
	for (line = strdup(buf_cstr(&c.seen.rows)), next = line;
	     *next != '\0';) {
		char *name = strchr(next, '|');
		char *end = strchr(next, '\n');
		const struct pg_type *type;

		CHECK(name != NULL && end != NULL);
		*name++ = '\0';
		*end = '\0';
		type = pg_type_find((uint32_t)strtoul(next, NULL, 10));
		CHECK(type != NULL);
		CHECK_TEXT(type->name, name);
		next = end + 1;
	}
	free(line);
	CHECK(pg_type_find(1) == NULL && pg_type_find(UINT32_MAX) == NULL);
	client_close(&c);
}

static void test_type_that_is_not_built_in(void)
{
	struct client c = client_open();
	char *oid;
	char want[64];

	CHECK_INT(run(&c, "create type pg_temp.mood as enum ('fine')"), 0);
	oid = ask(c.db, "select 'pg_temp.mood'::regtype::oid");
	(void)snprintf(want, sizeof(want), "m:oid:%s ", oid);
	CHECK_INT(run(&c, "select 'fine'::pg_temp.mood as m"), 0);
	CHECK_TEXT(buf_cstr(&c.seen.cols), want);
	free(oid);
	client_close(&c);
}

/* A zone may be called anything, and ends a timestamptz but for ISO. */
static void test_timestamptz_is_not_plain(void)
{
	struct client c = client_open();

	CHECK_INT(run(&c, "set datestyle = 'German'"), 0);
	CHECK_INT(run(&c, "set timezone = '<a,b>5'"), 0);
	CHECK_INT(run(&c, "select '2020-01-01 12:00+00'::timestamptz as z"), 0);
	CHECK_TEXT(buf_cstr(&c.seen.cols), "z:timestamptz ");
	CHECK_TEXT(buf_cstr(&c.seen.rows), "01.01.2020 07:00:00 A,B\n");
	client_close(&c);
}

/* What is written without quotes in JSON, and what is embedded there. */
static void test_shapes(void)
{
	struct client c = client_open();

	CHECK_INT(run(&c, "create domain pg_temp.small as int2"), 0);
	CHECK_INT(run(&c, "create domain pg_temp.doc as jsonb"), 0);
	CHECK_INT(run(&c,
		      "select 1::int2, 1::int4, 1::int8, 1::oid, 1::float4, "
		      "1::float8, 1::numeric, 1::pg_temp.small, "
		      "true, '1'::json, '1'::jsonb, '1'::pg_temp.doc"),
		  0);
	CHECK_TEXT(buf_cstr(&c.seen.shapes), "nnnnnnnnbjjj");
	CHECK_INT(run(&c, "select 1::money, '1'::xid, '1'::cid, '1'::xid8, "
			  "'{1}'::int4[], '{}'::json[], '1'::text, "
			  "'1'::varchar, '1'::char(1), '1'::\"char\", null, "
			  "'1'::bytea, '1'::bit, '1'::interval, "
			  "'2020-01-01'::date, now(), '$'::jsonpath, "
			  "'[1,2)'::int4range, '1'::regclass, row(1), "
			  "'<a/>'::xml, gen_random_uuid(), '::1'::inet"),
		  0);
	CHECK_TEXT(buf_cstr(&c.seen.shapes), "ttttttttttttttttttttttt");
	CHECK_INT(run(&c, "create type pg_temp.digit as enum ('1')"), 0);
	CHECK_INT(run(&c, "select '1'::pg_temp.digit"), 0);
	CHECK_TEXT(buf_cstr(&c.seen.shapes), "t");
	client_close(&c);
}

static void test_error_has_its_fields_and_place(void)
{
	struct client c = client_open();

	/* 6 characters of 2 bytes before the one that is wrong. */
	CHECK_INT(
		run(&c,
		    "select '\xc3\xa4\xc3\xb6\xc3\xbc\xc3\xa4\xc3\xb6\xc3\xbc', "
		    "nix"),
		-EINVAL);
	CHECK_TEXT(buf_cstr(&c.seen.failure),
		   "ERROR 42703 column \"nix\" does not exist");
	CHECK_INT(c.seen.offset, 23);
	CHECK_TEXT(c.seen.err.msg, "column \"nix\" does not exist");
	CHECK_TEXT(c.seen.err.sqlstate, "42703");
	CHECK_INT((long)(c.seen.n_begins + c.seen.n_ends), 0);

	CHECK_INT(run(&c, "do $$begin raise exception 'no' using detail = 'd', "
			  "hint = 'h', errcode = '57P01'; end$$"),
		  -EIO);
	CHECK_TEXT(buf_cstr(&c.seen.failure), "ERROR 57P01 no/d/h");
	CHECK_INT(c.seen.offset, -1);

	CHECK_INT(run(&c, "select $1::int"), -EINVAL);
	CHECK_INT(run(&c, "select * from pg_authid"), -EACCES);
	check_alive(&c);
	client_close(&c);
}

static void test_error_after_rows(void)
{
	struct client c = client_open();

	CHECK_INT(run(&c, "select 10 / (4 - g) from generate_series(1, 9) g"),
		  -EINVAL);
	CHECK_TEXT(buf_cstr(&c.seen.rows), "3\n5\n10\n");
	CHECK_TEXT(buf_cstr(&c.seen.failure), "ERROR 22012 division by zero");
	CHECK_INT((long)c.seen.n_ends, 0);
	check_alive(&c);
	client_close(&c);
}

/* The server says INSERT 0 2 first, and then that it cannot commit it. */
static void test_error_at_commit(void)
{
	struct client c = client_open();

	CHECK_INT(run(&c, "create temp table u (a int unique deferrable "
			  "initially deferred)"),
		  0);
	CHECK_INT(run(&c, "insert into u values (1), (1) returning a"),
		  -EEXIST);
	CHECK_TEXT(buf_cstr(&c.seen.rows), "1\n1\n");
	CHECK_TEXT(c.seen.err.sqlstate, "23505");
	CHECK_INT((long)c.seen.n_ends, 0);
	check_alive(&c);
	client_close(&c);
}

static void test_modes_of_the_lexer(void)
{
	struct client c = client_open();

	CHECK_INT(run(&c, "set standard_conforming_strings = off"), 0);
	CHECK(db_sql_modes(c.db) == 0);
	client_close(&c);
}

static void test_notices(void)
{
	struct client c = client_open();

	CHECK_INT(run(&c, "do $$begin raise notice E'a\\nb'; "
			  "raise warning 'c'; end$$"),
		  0);
	CHECK_TEXT(buf_cstr(&c.seen.notices), "NOTICE:  a\nb\nWARNING:  c\n");
	check_alive(&c);
	CHECK_TEXT(buf_cstr(&c.seen.notices), "");
	client_close(&c);
}

static void test_copy_to_stdout(void)
{
	struct client c = client_open();

	CHECK_INT(run(&c, "copy (select g, null, E'x\\ty' from "
			  "generate_series(1, 2) g) to stdout"),
		  0);
	CHECK_TEXT(buf_cstr(&c.seen.rows), "1\t\\N\tx\\ty\n2\t\\N\tx\\ty\n");
	CHECK_TEXT(buf_cstr(&c.seen.tag), "COPY 2/2");
	CHECK_INT((long)c.seen.n_begins, 0);

	c.seen.stop_at = 3;
	CHECK_INT(run(&c, "copy (select generate_series(1, 1000000000)) "
			  "to stdout"),
		  -ENOSPC);
	CHECK_TEXT(buf_cstr(&c.seen.rows), "1\n2\n");
	c.seen.stop_at = 0;
	CHECK_INT(run(&c, "copy (select 6 / (3 - g) from generate_series(1, 9) "
			  "g) to stdout"),
		  -EINVAL);
	CHECK_TEXT(buf_cstr(&c.seen.rows), "3\n6\n");
	check_alive(&c);
	client_close(&c);
}

static void test_copy_from_stdin_is_refused(void)
{
	struct client c = client_open();

	CHECK_INT(run(&c, "create temp table t (a int)"), 0);
	CHECK_INT(run(&c, "copy t from stdin"), -EOPNOTSUPP);
	CHECK(strstr(c.seen.err.msg, "FROM STDIN is not possible") != NULL);
	CHECK_INT((long)c.seen.n_ends, 0);
	check_alive(&c);
	client_close(&c);
}

static void test_notifications_are_dropped(void)
{
	struct client c = client_open();

	CHECK_INT(run(&c, "listen a"), 0);
	for (int i = 0; i < 3; i++)
		CHECK_INT(run(&c, "notify a, 'b'"), 0);
	check_alive(&c);
	client_close(&c);
}

static void test_all(void)
{
	test_rows_types_and_nulls();
	test_no_columns();
	test_statements_without_rows();
	test_types_are_those_of_the_catalog();
	test_type_that_is_not_built_in();
	test_timestamptz_is_not_plain();
	test_shapes();
	test_error_has_its_fields_and_place();
	test_error_after_rows();
	test_error_at_commit();
	test_modes_of_the_lexer();
	test_notices();
	test_copy_to_stdout();
	test_copy_from_stdin_is_refused();
	test_notifications_are_dropped();
	statement_cases(&words);
}

int main(void)
{
	test_all();
	other_libpq = true;
	test_all();
	return 0;
}
