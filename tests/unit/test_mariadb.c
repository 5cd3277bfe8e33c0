/* SPDX-License-Identifier: MIT */
/*
 * What the MariaDB driver makes of statements, with a real server: see
 * mariadb_server.h.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backends/db.h"
#include "backends/sql.h"
#include "common/err.h"
#include "tests/unit/mariadb_server.h"
#include "tests/unit/pg_sink.h"
#include "tests/unit/statement_cases.h"

enum { MIB = 1024 * 1024, LONG = 15 * MIB, LONG_SQL = 8 * MIB };

#define LONG_CELL "repeat('0123456789', 1572864)"

static const struct statement_words words = {
	.no_rows = "select 1 as a from dual where false",
	.no_rows_cols = "a:int+ ",
	.no_rows_tag = "SELECT 0/-1",
	.empty = {"", " ", "\n"},
	.many = "select seq, repeat('x', seq % 3000), null "
		"from seq_1_to_30000",
	.long_rows = "select seq, repeat('x', 1000) from seq_1_to_5000",
	.sleep = "select sleep(0.1)",
	.large = "select " LONG_CELL ", " LONG_CELL ", " LONG_CELL
		 ", " LONG_CELL,
	.large_cells = 4,
	.before = {"begin", "set @here = 1"},
	.too_long = {"select repeat('x', 1048577)",
		     "select 'y', repeat('x', 1048576)",
		     "select repeat(x'00', 524288)",
		     "select " LONG_CELL ", " LONG_CELL ", " LONG_CELL},
	.fourth_too_long = "select repeat('x', case seq when 4 then 3000000 "
			   "else 1 end) from seq_1_to_9",
	.still_set = "select @here",
	.syntax_error = "42000",
	.no_such_table = "42S02",
};

static void test_rows_types_and_nulls(void)
{
	struct client c = client_open();

	CHECK_INT(run(&c, "select 1 as a, '' as b, null as c, true as e, "
			  "1.50 as f, timestamp'2020-01-02 03:04:05' as g, "
			  "'x\ny' as `h \xc3\xa4`, x'00ff' as i, 1.5e0 as j"),
		  0);
	CHECK_TEXT(buf_cstr(&c.seen.cols),
		   "a:int+ b:varchar c:null+ e:int+ f:decimal+ g:datetime+ "
		   "h \xc3\xa4:varchar i:varbinary j:double+ ");
	CHECK_TEXT(buf_cstr(&c.seen.rows),
		   "1||<null>|1|1.50|2020-01-02 03:04:05|x\ny|\\x00ff|1.5\n");
	CHECK_TEXT(buf_cstr(&c.seen.tag), "SELECT 1/-1");
	CHECK_INT((long)c.seen.n_ends, 1);
	CHECK(!db_in_transaction(c.db) && db_sql_modes(c.db) == 0);
	client_close(&c);
}

static void test_statements_without_rows(void)
{
	struct client c = client_open();

	CHECK_INT(run(&c, "create temporary table t (a int primary key)"), 0);
	CHECK_TEXT(buf_cstr(&c.seen.tag), "CREATE TABLE/-1");
	CHECK_INT(run(&c, "insert into t values (1), (2), (3)"), 0);
	CHECK_TEXT(buf_cstr(&c.seen.tag), "INSERT 0 3/3");
	CHECK_INT((long)c.seen.n_begins, 0);
	/* Those that it finds and leaves as they are do not count. */
	CHECK_INT(run(&c, "update t set a = case a when 3 then 4 else a end"),
		  0);
	CHECK_TEXT(buf_cstr(&c.seen.tag), "UPDATE 1/1");
	CHECK_INT(run(&c, "insert into t values (7), (8) returning a"), 0);
	CHECK_TEXT(buf_cstr(&c.seen.rows), "7\n8\n");
	CHECK_TEXT(buf_cstr(&c.seen.tag), "INSERT 0 2/2");
	CHECK_INT(run(&c, "delete from t where a < 3"), 0);
	CHECK_TEXT(buf_cstr(&c.seen.tag), "DELETE 2/2");
	CHECK_INT(run(&c, "show tables like 'no such'"), 0);
	CHECK_TEXT(buf_cstr(&c.seen.tag), "SHOW/-1");
	client_close(&c);
}

static void test_results_of_a_procedure(void)
{
	struct client c = client_open();

	CHECK_INT(run(&c, "create or replace procedure two() begin "
			  "select 1 as a; select 2 as b, 'x' as c; end"),
		  0);
	CHECK_INT(run(&c, "call two()"), 0);
	CHECK_TEXT(buf_cstr(&c.seen.cols), "a:int+ b:int+ c:varchar ");
	CHECK_TEXT(buf_cstr(&c.seen.rows), "1\n2|x\n");
	CHECK_INT((long)c.seen.n_begins, 2);
	CHECK_INT((long)c.seen.n_ends, 3);
	CHECK_INT(run(&c, "create or replace procedure two() begin "
			  "select 1 as a; select nix; end"),
		  0);
	CHECK_INT(run(&c, "call two()"), -EINVAL);
	CHECK_INT((long)c.seen.n_ends, 1);
	c.seen.stop_at = 1;
	CHECK_INT(run(&c, "call two()"), -ENOSPC);
	c.seen.stop_at = 0;
	CHECK_INT(run(&c, "drop procedure two"), 0);
	check_alive(&c);
	client_close(&c);
}

static void test_error_has_its_fields(void)
{
	struct client c = client_open();

	CHECK_INT(run(&c, "select '\xc3\xa4', nix"), -EINVAL);
	CHECK_TEXT(buf_cstr(&c.seen.failure),
		   "ERROR 1054 (42S22) Unknown column 'nix' in 'SELECT'");
	CHECK_TEXT(c.seen.err.msg, "Unknown column 'nix' in 'SELECT'");
	CHECK_TEXT(c.seen.err.sqlstate, "42S22");
	CHECK_INT(c.seen.offset, -1);
	CHECK_INT((long)(c.seen.n_begins + c.seen.n_ends), 0);
	CHECK_ROWS(&c, "show errors",
		   "Error|1054|Unknown column 'nix' in 'SELECT'\n");
	check_alive(&c);
	client_close(&c);
}

static void test_place_of_an_error(void)
{
	static const struct {
		const char *sql;
		long offset;
	} cases[] = {
		{"selec 1", 0},
		{"select '\xc3\xa4', from x", 13},
		{"select 1,\n2 fromm\nfoo", 18},
		{"select 'a", 7},
		{"select (1", 9},
		{"select 1 from 'a' where 'a' from 'a' order by 11111111111111"
		 "1111111111111111111111111111111111111111111111111111111",
		 14},
	};
	struct client c = client_open();

	for (size_t i = 0; i < COUNT(cases); i++) {
		CHECK_INT(run(&c, cases[i].sql), -EINVAL);
		CHECK_INT(c.seen.offset, cases[i].offset);
	}
	client_close(&c);
}

static void test_errno_of_errors(void)
{
	static const struct {
		const char *sql;
		int code;
	} cases[] = {
		{"select * from no_such_table", EINVAL},
		{"select 1 union select 1, 2", EINVAL},
		{"use no_such_database", EINVAL},
		{"set no_such_variable = 1", EINVAL},
		{"call no_such_procedure()", EINVAL},
		{"insert into k values (1)", EEXIST},
		{"insert into k values (null)", EEXIST},
		{"insert into k values ('x')", EINVAL},
		{"insert into k values (999999999999)", EINVAL},
		{"signal sqlstate '45000'", EIO},
		{"signal sqlstate '40001'", EAGAIN},
		{"signal sqlstate '42501'", EACCES},
		{"create user x@y identified with no_such", EIO},
		{"load data local infile '/etc/passwd' into table k",
		 EOPNOTSUPP},
		{"kill query 4294967295", EINVAL},
	};
	struct client c = client_open();

	CHECK_INT(run(&c, "create temporary table k (a int primary key)"), 0);
	CHECK_INT(run(&c, "insert into k values (1)"), 0);
	for (size_t i = 0; i < COUNT(cases); i++) {
		int rc = run(&c, cases[i].sql);

		if (rc != -cases[i].code)
			(void)fprintf(stderr, "%s: %s\n", cases[i].sql,
				      c.seen.err.msg);
		CHECK_INT(rc, -cases[i].code);
	}
	check_alive(&c);
	client_close(&c);
}

static void test_session_stays_utf8(void)
{
	struct client c = client_open();

	CHECK_INT(run(&c, "set character_set_results = latin1"), 0);
	CHECK_INT(run(&c, "select `\xc3\xa4`"), -EINVAL);
	CHECK_TEXT(c.seen.err.msg, "Unknown column '\xc3\xa4' in 'SELECT'");
	client_close(&c);
}

static void test_error_after_rows(void)
{
	struct client c = client_open();

	CHECK_INT(run(&c, "create temporary table g as select seq from "
			  "seq_1_to_3"),
		  0);
	CHECK_INT(run(&c, "select st_geomfromtext(case seq when 3 then 'x' "
			  "else 'point(1 1)' end) is null, "
			  "(select 1 from seq_1_to_2 s where g.seq = 3) "
			  "from g"),
		  -EINVAL);
	CHECK_TEXT(c.seen.err.msg, "Subquery returns more than 1 row");
	CHECK_INT((long)c.seen.n_rows, 2);
	CHECK_INT((long)c.seen.n_ends, 0);
	check_alive(&c);
	client_close(&c);
}

static void test_transaction_that_nothing_begins(void)
{
	struct client c = client_open();

	CHECK_INT(run(&c, "set autocommit = 0"), 0);
	CHECK(!db_in_transaction(c.db));
	CHECK_INT(run(&c, "select count(*) from mysql.innodb_table_stats"), 0);
	CHECK(db_in_transaction(c.db));
	client_close(&c);
}

/* The server rolls one of the two back, and does not quite say so. */
static void test_deadlock_ends_a_transaction(void)
{
	struct client c = client_open();
	struct client other = client_open();
	struct client asks = client_open();
	struct background b;
	int rc;

	CHECK_INT(run(&c, "create or replace table x (a int primary key, "
			  "b int) engine = innodb"),
		  0);
	CHECK_INT(run(&c, "insert into x values (1, 1), (2, 2)"), 0);
	CHECK_INT(run(&c, "begin"), 0);
	CHECK_INT(run(&c, "update x set b = 3 where a = 1"), 0);
	CHECK_INT(run(&other, "begin"), 0);
	CHECK_INT(run(&other, "update x set b = 3 where a = 2"), 0);
	seen_init(&b.seen);
	background_start(&b, other.db, "update x set b = 4 where a = 1");
	wait_until_answer(asks.db,
			  "select variable_value from "
			  "information_schema.global_status where "
			  "variable_name = 'innodb_row_lock_current_waits'",
			  "1");
	rc = run(&c, "update x set b = 4 where a = 2");
	CHECK(rc == 0 || rc == -EAGAIN);
	CHECK_INT(db_in_transaction(c.db), rc == 0);
	CHECK_INT(background_join(&b), rc == 0 ? -EAGAIN : 0);
	CHECK_INT(db_in_transaction(other.db), rc != 0);
	seen_finish(&b.seen);
	CHECK_INT(run(&other, "rollback"), 0);
	CHECK_INT(run(&c, "rollback"), 0);
	CHECK_INT(run(&c, "drop table x"), 0);
	client_close(&asks);
	client_close(&other);
	client_close(&c);
}

static void test_modes_of_the_lexer(void)
{
	struct client c = client_open();

	CHECK_INT(run(&c, "set sql_mode = 'ansi_quotes'"), 0);
	CHECK_INT((long)db_sql_modes(c.db), SQL_ANSI_QUOTES);
	CHECK_INT(run(&c, "set sql_mode = 'no_backslash_escapes'"), 0);
	CHECK_INT((long)db_sql_modes(c.db), SQL_PLAIN_BACKSLASH);
	CHECK_INT(run(&c, "set sql_mode = default"), 0);
	CHECK_INT((long)db_sql_modes(c.db), 0);
	client_close(&c);
}

static void test_warnings(void)
{
	struct client c = client_open();

	CHECK_INT(run(&c, "select cast('x' as int)"), 0);
	CHECK_TEXT(buf_cstr(&c.seen.rows), "0\n");
	CHECK_TEXT(buf_cstr(&c.seen.notices),
		   "WARNING:  Truncated incorrect INTEGER value: 'x' (1292)\n");
	CHECK_TEXT(buf_cstr(&c.seen.tag), "SELECT 1/-1");
	/* They are still there for whoever asks. */
	CHECK_ROWS(&c, "show warnings",
		   "Warning|1292|Truncated incorrect INTEGER value: 'x'\n");
	CHECK_TEXT(buf_cstr(&c.seen.notices), "");

	CHECK_INT(run(&c, "create temporary table if not exists t (a int)"), 0);
	CHECK_INT(run(&c, "create temporary table if not exists t (a int)"), 0);
	CHECK_TEXT(buf_cstr(&c.seen.notices),
		   "NOTE:  Table 't' already exists (1050)\n");
	CHECK_INT(run(&c, "select cast(concat('x', seq) as int) "
			  "from seq_1_to_100"),
		  0);
	CHECK(strstr(buf_cstr(&c.seen.notices), "'x64'") != NULL);
	CHECK(strstr(buf_cstr(&c.seen.notices), "'x65'") == NULL);
	check_alive(&c);
	CHECK_TEXT(buf_cstr(&c.seen.notices), "");
	client_close(&c);
}

/* Nobody has the server end it: it is cut off. */
static void test_statement_that_does_not_end(void)
{
	struct client c = client_open();
	struct err err = {0};

	c.seen.stop_at = 2;
	CHECK_INT(run(&c, "select seq from seq_1_to_100000000000"), -ENOSPC);
	CHECK_INT(db_check(c.db, &err), -ENOTCONN);
	client_close(&c);
}

/* A statement of len bytes that finds a 1. */
static char *padded(size_t len)
{
	static const char first[] = "select 1";
	char *sql = text_of(' ', len);

	memcpy(sql, first, sizeof(first) - 1);
	return sql;
}

/* Over TLS the connector's reading and writing are other ones. */
static void test_over_tls(void)
{
	const struct db_params params =
		server_tls_params("127.0.0.1", "require");
	struct client c = client_with(&params);
	char *sql = padded(LONG_SQL);

	CHECK_INT(run(&c, "select " LONG_CELL), 0);
	CHECK_INT((long)c.seen.longest, LONG);
	c.seen.idle_ms = 5;
	CHECK_INT(run(&c, "select sleep(0.1)"), 0);
	CHECK(c.seen.n_idles >= 5);
	CHECK_ROWS(&c, sql, "1\n");
	free(sql);
	check_alive(&c);
	client_close(&c);
}

static void test_statement_that_the_server_cannot_take(void)
{
	struct client c = client_open();
	char *sql = padded(server_max_packet(c.db));

	CHECK_INT(run(&c, sql), -EFBIG);
	CHECK(strstr(c.seen.err.msg, "max_allowed_packet") != NULL);
	check_alive(&c);
	free(sql);
	client_close(&c);
}

static void test_doubles_are_in_postgres_form(void)
{
	struct client c = client_open();

	CHECK_ROWS(&c,
		   "select 1e20, 1e15, 1e14, 0.1e0, 1e-4, 1e-5, -1.5e300, "
		   "123456789012345680e0, 1e0/3, 0e0, 100e0",
		   "1e+20|1e+15|100000000000000|0.1|0.0001|1e-05|-1.5e+300|"
		   "1.2345678901234568e+17|0.3333333333333333|0|100\n");
	CHECK_INT(run(&c, "create temporary table d (a double(10,2), b float, "
			  "c float(10,2), e double(5,0))"),
		  0);
	CHECK_INT(run(&c, "insert into d values (1.5, 1.5, 1.5, 100), "
			  "(2, 1e20, 2, -3)"),
		  0);
	CHECK_ROWS(&c, "select * from d", "1.5|1.5|1.50|100\n2|1e20|2.00|-3\n");
	client_close(&c);
}

/* What is written without quotes in JSON, and what is embedded there. */
static void test_shapes(void)
{
	struct client c = client_open();

	CHECK_INT(run(&c, "create temporary table s (t tinyint, "
			  "b bool, s smallint unsigned, m mediumint zerofill, "
			  "i int, l bigint unsigned, n decimal(40, 10), "
			  "f float, d double(10, 2), y year, j json)"),
		  0);
	CHECK_INT(run(&c, "select * from s"), 0);
	CHECK_TEXT(buf_cstr(&c.seen.shapes), "nnnnnnnnnnj");
	CHECK_INT(run(&c,
		      "create or replace temporary table s (b bit(9), "
		      "d date, t time, dt datetime, ts timestamp, "
		      "c char(9), v varchar(9), x varbinary(9), l longtext, "
		      "lb longblob, e enum('1', '2'), st set('1', '2'), "
		      "g geometry, u uuid, i inet6)"),
		  0);
	CHECK_INT(run(&c, "select * from s"), 0);
	CHECK_TEXT(buf_cstr(&c.seen.shapes), "ttttttttttttttt");
	CHECK_INT(run(&c, "select 1, true, 1.5, 1e0, null, '1', x'31', "
			  "json_object('a', 1), json_extract('[1]', '$[0]'), "
			  "json_value('[1]', '$[0]'), "
			  "cast(json_array() as char), "
			  "cast(json_array() as binary)"),
		  0);
	CHECK_TEXT(buf_cstr(&c.seen.shapes), "nnnntttjjttt");
	client_close(&c);
}

static void test_all(void)
{
	test_rows_types_and_nulls();
	test_statements_without_rows();
	test_results_of_a_procedure();
	test_error_has_its_fields();
	test_place_of_an_error();
	test_errno_of_errors();
	test_session_stays_utf8();
	test_error_after_rows();
	test_transaction_that_nothing_begins();
	test_deadlock_ends_a_transaction();
	test_modes_of_the_lexer();
	test_warnings();
	test_statement_that_does_not_end();
	test_over_tls();
	test_statement_that_the_server_cannot_take();
	test_doubles_are_in_postgres_form();
	test_shapes();
	statement_cases(&words);
}

int main(void)
{
	test_all();
	return 0;
}
