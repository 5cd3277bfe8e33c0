/* SPDX-License-Identifier: MIT */
/*
 * Parameters of the MariaDB driver: what is bound arrives, and what comes in
 * binary is shown as in the text protocol. With a real server: see
 * mariadb_server.h.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backends/db.h"
#include "common/err.h"
#include "tests/unit/mariadb_server.h"
#include "tests/unit/pg_sink.h"

enum { MIB = 1024 * 1024, LARGE = 10 * MIB };

static struct db_value value(enum db_kind kind, const char *data)
{
	return (struct db_value){
		.kind = kind,
		.data = data,
		.len = data != NULL ? strlen(data) : 0,
	};
}

static int run_one(struct client *c, const char *sql, struct db_value v)
{
	const struct db_args args = {.values = &v, .n = 1};

	return run_args(c, sql, &args);
}

static void test_kinds(void)
{
	const struct db_value values[] = {
		value(DB_NULL, NULL),
		value(DB_BOOL, "true"),
		value(DB_NUMBER, "-9223372036854775808"),
		value(DB_NUMBER, "18446744073709551615"),
		value(DB_NUMBER, "1.50"),
		value(DB_NUMBER, "1e2"),
		value(DB_TEXT, "it's \\ \"\xc3\xa4\""),
		value(DB_ARRAY, "[1,[\"x\"]]"),
		value(DB_OBJECT, "{\"a\":null}"),
		value(DB_NUMBER, "123456789012345678901234567890.5"),
		value(DB_TEXT, ""),
		value(DB_BOOL, "false"),
	};
	const struct db_args args = {
		.values = values,
		.n = COUNT(values),
	};
	struct client c = client_open();

	CHECK_INT(run_args(&c,
			   "select ? a, ?, ?, ?, ?, ?, ?, ?, json_value(?, "
			   "'$.a') is null, ? + 0, ?, ?",
			   &args),
		  0);
	CHECK_TEXT(buf_cstr(&c.seen.rows),
		   "<null>|1|-9223372036854775808|18446744073709551615|1.50|"
		   "100|it's \\ \"\xc3\xa4\"|[1,[\"x\"]]|1|"
		   "123456789012345678901234567890.5||0\n");
	CHECK_TEXT(buf_cstr(&c.seen.tag), "SELECT 1/-1");
	client_close(&c);
}

static void test_statements_without_rows(void)
{
	const struct db_value values[] = {value(DB_NUMBER, "1"),
					  value(DB_TEXT, "x")};
	const struct db_args args = {.values = values, .n = 2};
	struct client c = client_open();

	CHECK_INT(run(&c, "create temporary table t (a int primary key, "
			  "b text)"),
		  0);
	CHECK_INT(run_args(&c, "insert into t values (?, ?)", &args), 0);
	CHECK_TEXT(buf_cstr(&c.seen.tag), "INSERT 0 1/1");
	CHECK_INT((long)c.seen.n_begins, 0);
	CHECK_INT(run_args(&c, "insert into t values (?, ?)", &args), -EEXIST);
	CHECK_TEXT(buf_cstr(&c.seen.failure),
		   "ERROR 1062 (23000) Duplicate entry '1' for key 'PRIMARY'");
	CHECK_INT(run_one(&c, "select cast(? as int)", value(DB_TEXT, "x")), 0);
	CHECK_TEXT(buf_cstr(&c.seen.notices),
		   "WARNING:  Truncated incorrect INTEGER value: 'x' (1292)\n");
	client_close(&c);
}

static void test_what_cannot_be_bound(void)
{
	const struct db_value named[] = {
		{.kind = DB_TEXT, .name = "a", .data = "x", .len = 1}};
	const struct db_args by_name = {
		.values = named,
		.n = 1,
		.named = true,
	};
	struct client c = client_open();

	CHECK_INT(run_one(&c, "select ?, ?", value(DB_NULL, NULL)), -EINVAL);
	CHECK_TEXT(c.seen.err.msg,
		   "the statement has 2 placeholders, and there are 1 values");
	CHECK_INT(run_one(&c, "select 1", value(DB_NULL, NULL)), -EINVAL);
	CHECK_INT(run_args(&c, "select ?", &by_name), -EINVAL);
	CHECK(strstr(c.seen.err.msg, "no names") != NULL);
	CHECK_INT(run_one(&c, "selec ?", value(DB_NULL, NULL)), -EINVAL);
	CHECK_INT(c.seen.offset, 0);
	CHECK_INT(run_one(&c, "prepare p from 'do 1'", value(DB_NULL, NULL)),
		  -EOPNOTSUPP);
	CHECK_INT(run(&c, "select ?"), -EINVAL);
	CHECK_INT(run_one(&c, "select ?",
			  value(DB_NUMBER,
				"1234567890123456789012345678901234567890"
				"12345678901234567890123456")),
		  -EINVAL);
	check_alive(&c);
	client_close(&c);
}

static void test_large_values(void)
{
	struct client c = client_open();
	char *text = text_of('x', server_max_packet(c.db));

	CHECK_INT(run_one(&c, "select ?", value(DB_TEXT, text)), -EFBIG);
	CHECK(strstr(c.seen.err.msg, "max_allowed_packet") != NULL);
	text[LARGE] = '\0';
	CHECK_INT(run_one(&c, "select ?", value(DB_TEXT, text)), 0);
	CHECK_INT((long)c.seen.longest, LARGE);
	check_alive(&c);
	free(text);
	client_close(&c);
}

static void test_row_over_the_limit(void)
{
	struct db_params params = server_params();
	struct client c;

	params.max_row = MIB;
	c = client_with(&params);
	CHECK_INT(run_one(&c, "select repeat('x', ?)",
			  value(DB_NUMBER, "15728640")),
		  -EFBIG);
	CHECK_TEXT(c.seen.err.msg,
		   "a row is longer than max_row, 1048576 bytes");
	CHECK_INT(run_one(&c,
			  "select repeat('x', 15728640), "
			  "repeat('x', 2000000) from seq_1_to_2 where ? > 0",
			  value(DB_NUMBER, "1")),
		  -EFBIG);
	check_alive(&c);
	client_close(&c);
}

static void test_sink_that_fails_ends_the_statement(void)
{
	struct client c = client_open();

	c.seen.stop_at = 11;
	CHECK_INT(run_one(&c, "select seq from seq_1_to_5000 where seq > ?",
			  value(DB_NUMBER, "1")),
		  -ENOSPC);
	CHECK_INT((long)c.seen.n_rows, 10);
	c.seen.stop_at = 0;
	check_alive(&c);
	client_close(&c);
}

static void test_results_of_a_procedure(void)
{
	struct client c = client_open();

	CHECK_INT(run(&c, "create or replace procedure two(n int) begin "
			  "select n as a; select n, 'x' as c; end"),
		  0);
	CHECK_INT(run_one(&c, "call two(?)", value(DB_NUMBER, "7")), 0);
	CHECK_TEXT(buf_cstr(&c.seen.rows), "7\n7|x\n");
	CHECK_INT((long)c.seen.n_begins, 2);
	CHECK_INT(run(&c, "drop procedure two"), 0);
	check_alive(&c);
	client_close(&c);
}

static void test_error_after_rows(void)
{
	struct client c = client_open();

	CHECK_INT(run(&c, "create temporary table g as select seq from "
			  "seq_1_to_3"),
		  0);
	CHECK_INT(run_one(&c,
			  "select (select 1 from seq_1_to_2 s where "
			  "g.seq = ?) from g",
			  value(DB_NUMBER, "3")),
		  -EINVAL);
	CHECK_TEXT(c.seen.err.msg, "Subquery returns more than 1 row");
	CHECK_INT((long)c.seen.n_rows, 2);
	CHECK_INT((long)c.seen.n_ends, 0);
	check_alive(&c);
	client_close(&c);
}

/* select without its word, as text and with a parameter: the same. */
static void check_same(struct client *c, const char *what)
{
	char sql[2048];
	char *cols;
	char *shapes;
	char *rows;

	(void)snprintf(sql, sizeof(sql), "select %s", what);
	CHECK_INT(run(c, sql), 0);
	cols = strdup(buf_cstr(&c->seen.cols));
	shapes = strdup(buf_cstr(&c->seen.shapes));
	rows = strdup(buf_cstr(&c->seen.rows));
	(void)snprintf(sql, sizeof(sql), "select %s where ? = 1", what);
	CHECK_INT(run_one(c, sql, value(DB_NUMBER, "1")), 0);
	CHECK_TEXT(buf_cstr(&c->seen.cols), cols);
	CHECK_TEXT(buf_cstr(&c->seen.shapes), shapes);
	CHECK_TEXT(buf_cstr(&c->seen.rows), rows);
	CHECK(c->seen.n_rows > 0);
	free(cols);
	free(shapes);
	free(rows);
}

/* The type of a column, and what is in it. */
static const char *const columns[][2] = {
	{"tinyint", "(-128), (127), (null)"},
	{"tinyint unsigned", "(0), (255)"},
	{"tinyint(3) zerofill", "(0), (7), (255)"},
	{"bool", "(true), (false)"},
	{"smallint", "(-32768), (32767)"},
	{"smallint unsigned", "(65535)"},
	{"mediumint", "(-8388608), (8388607)"},
	{"mediumint unsigned zerofill", "(16777215), (1)"},
	{"int", "(-2147483648), (2147483647)"},
	{"int unsigned", "(4294967295)"},
	{"int(8) zerofill", "(42), (123456789)"},
	{"bigint", "(-9223372036854775808), (9223372036854775807)"},
	{"bigint unsigned", "(18446744073709551615)"},
	{"bigint zerofill", "(5)"},
	{"float", "(0), (0.1), (-1.5), (1e20), (1e-10), (3.402823e38), "
		  "(123456789), (16777216), (1e15), (1e14), (0.0001)"},
	{"float(10,2)", "(0), (1.5), (-2.25), (1234567.89)"},
	{"float zerofill", "(1.5), (1e20)"},
	{"double", "(0), (0.1), (-1.5e300), (1e15), (1e14), (1e-5), "
		   "(5e-324), (1.7976931348623157e308), "
		   "(123456789012345680), (0.30000000000000004), "
		   "(1e22), (1e23), (9007199254740993), (1e0/3), "
		   "(4.35), (2.5e-8), (100), (2e0/3)"},
	{"double(12,3)", "(0), (1.5), (-2.25), (123456789.123)"},
	{"double(5,0)", "(100), (-3)"},
	{"decimal(10,2)", "(0), (1.5), (-99999999.99)"},
	{"decimal(65,30)", "(1.5)"},
	{"decimal(8,2) zerofill", "(1.5)"},
	{"date", "('2020-01-02'), ('0000-00-00'), ('9999-12-31'), "
		 "('2020-00-00')"},
	{"time", "('01:02:03'), ('-838:59:59'), ('838:59:59'), "
		 "('00:00:00'), ('-00:00:01')"},
	{"time(3)", "('01:02:03.004'), ('-100:00:00.5'), (0)"},
	{"time(6)", "('01:02:03.000004')"},
	{"datetime", "('2020-01-02 03:04:05'), "
		     "('0000-00-00 00:00:00'), ('2020-01-02')"},
	{"datetime(1)", "('2020-01-02 03:04:05.6')"},
	{"datetime(6)", "('2020-01-02 03:04:05.000006'), "
			"('2020-01-02')"},
	{"timestamp null", "('2020-01-02 03:04:05'), (null)"},
	{"timestamp(6) null", "('2020-01-02 03:04:05.123456')"},
	{"year", "(2020), (0), (1901)"},
	{"char(3)", "('a'), ('')"},
	{"binary(3)", "('a'), (x'00ff01')"},
	{"varchar(20)", "('\xc3\xa4'), (''), (null)"},
	{"varchar(20) character set latin1", "('\xc3\xa4')"},
	{"varbinary(20)", "(x'00ff')"},
	{"tinytext", "('a')"},
	{"text", "('a'), (repeat('x', 300)), (repeat('x', 65535))"},
	{"mediumtext", "(repeat('x', 70000))"},
	{"longtext", "('a')"},
	{"tinyblob", "('a')"},
	{"blob", "(''), (x'00')"},
	{"mediumblob", "('a')"},
	{"longblob", "('a')"},
	{"bit(1)", "(b'0'), (b'1')"},
	{"bit(12)", "(b'101010101010')"},
	{"enum('a','b')", "('a'), ('b')"},
	{"set('a','b')", "('a,b'), ('')"},
	{"json", "('{\"a\": 1}')"},
	{"point", "(point(1, 2))"},
	{"inet6", "('::1')"},
	{"uuid", "('123e4567-e89b-12d3-a456-426655440000')"},
};

static void test_columns_are_shown_as_in_text(void)
{
	struct client c = client_open();
	char sql[1024];

	CHECK_INT(run(&c, "set sql_mode = 'allow_invalid_dates'"), 0);
	for (size_t i = 0; i < COUNT(columns); i++) {
		(void)snprintf(sql, sizeof(sql),
			       "create or replace temporary table t (a %s)",
			       columns[i][0]);
		CHECK_INT(run(&c, sql), 0);
		(void)snprintf(sql, sizeof(sql), "insert into t values %s",
			       columns[i][1]);
		CHECK_INT(run(&c, sql), 0);
		check_same(&c, "a, a as b from t");
	}
	client_close(&c);
}

static void test_expressions_are_shown_as_in_text(void)
{
	static const char *const expressions[] = {
		"1, -1, 1.50, 'x', null, true, x'00ff', b'101', 1e0, 1e100",
		"1/3, 10/4, 7 div 2, 7 % 3, 1e0/3, 2*1.5e0, -0e0, 0.1e0+0.2e0",
		"sum(seq), avg(seq), count(*), std(seq), min(seq), "
		"group_concat(seq) from seq_1_to_9",
		"sum(seq*0.1e0), avg(seq*0.1e0) from seq_1_to_9",
		"round(2.567e0, 2), round(2.567, 2), format(12345.678, 2), "
		"truncate(1.999e0, 1), round(0.1e0 + 0.2e0, 1)",
		"cast('2020-01-02' as date), cast('03:04:05' as time), "
		"cast('2020-01-02 03:04:05.6' as datetime(3))",
		"timestamp('2020-01-02 03:04:05.123'), "
		"timestamp('2020-01-02 03:04:05'), time('01:02:03.5'), "
		"addtime('01:00:00', '00:00:00.5'), sec_to_time(3661.25), "
		"sec_to_time(1e0)",
		"from_unixtime(0), from_unixtime(0.5), "
		"date_add('2020-01-31', interval 1 month), "
		"date_add('2020-01-31', interval 1.5 second), "
		"date_add(date'2020-01-31', interval 1 hour)",
		"timediff('10:00:00', '11:00:00.5'), makedate(2020, 60), "
		"maketime(1, 2, 3.5), str_to_date('1,2,2020', '%d,%m,%Y'), "
		"str_to_date('10:11:12.5', '%H:%i:%s.%f')",
		"if(1, 1.5, 'x'), coalesce(null, 1e0), greatest(1, 2.5), "
		"greatest(1, 2e0), ifnull(null, date'2020-01-01')",
		"cast(1 as unsigned), cast(-1 as signed), cast(1 as char), "
		"cast(1 as double), cast(1.5 as float), cast('a' as binary), "
		"cast(1.55 as decimal(5,1))",
		"hex('a'), unhex('61'), concat(1, 'a'), char(65), "
		"char(65 using utf8mb4), md5('a'), compress('') is null",
		"year('2020-01-01'), json_object('a', 1), json_array(1, 'x'), "
		"json_extract('{\"a\": [1]}', '$.a'), uuid() is null",
		"@a := 1, @b := 1.5e0, @c := 'x', @d := 1.50",
		"st_geomfromtext('point(1 2)'), st_astext(point(1, 2))",
		"1 union select 2.5 union select 'x'",
		"1 as a union select 2.5e0 union select 100",
		"date'2020-01-01' as a union select '2020-01-01 00:00:00'",
		"bit_and(1), 5 & 3, ~0, 1 << 63, 18446744073709551615, "
		"-9223372036854775808, 99999999999999999999",
	};
	struct client c = client_open();

	CHECK_INT(run(&c, "set @a = 1, @b = 1.5e0, @c = 'x', @d = 1.50"), 0);
	for (size_t i = 0; i < COUNT(expressions); i++)
		check_same(&c, expressions[i]);
	client_close(&c);
}

static void test_all(void)
{
	test_kinds();
	test_statements_without_rows();
	test_what_cannot_be_bound();
	test_large_values();
	test_row_over_the_limit();
	test_sink_that_fails_ends_the_statement();
	test_results_of_a_procedure();
	test_error_after_rows();
	test_columns_are_shown_as_in_text();
	test_expressions_are_shown_as_in_text();
}

int main(void)
{
	test_all();
	return 0;
}
