/* SPDX-License-Identifier: MIT */
#include "tests/unit/statement_cases.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "backends/db.h"
#include "common/err.h"
#include "tests/unit/db_client.h"
#include "tests/unit/pg_sink.h"

enum { MIB = 1024 * 1024, LARGE = 60 * MIB };

static void test_no_rows(const struct statement_words *words)
{
	struct client c = client_open();

	CHECK_INT(run(&c, words->no_rows), 0);
	CHECK_TEXT(buf_cstr(&c.seen.cols), words->no_rows_cols);
	CHECK_INT((long)c.seen.n_begins, 1);
	CHECK_INT((long)c.seen.n_rows, 0);
	CHECK_TEXT(buf_cstr(&c.seen.tag), words->no_rows_tag);
	client_close(&c);
}

static void test_empty_statement_says_nothing(
	const struct statement_words *words)
{
	struct client c = client_open();

	for (size_t i = 0; i < COUNT(words->empty); i++) {
		CHECK_INT(run(&c, words->empty[i]), 0);
		CHECK_INT((long)(c.seen.n_begins + c.seen.n_ends), 0);
	}
	check_alive(&c);
	client_close(&c);
}

static void test_many_columns_and_rows(const struct statement_words *words)
{
	struct client c = client_open();
	char sql[16384] = "select 1";
	size_t len = strlen(sql);

	for (int i = 2; i <= 1600; i++)
		len += (size_t)snprintf(sql + len, sizeof(sql) - len, ", %d",
					i);
	CHECK_INT(run(&c, sql), 0);
	CHECK_INT((long)c.seen.n_cols, 1600);
	CHECK(strstr(buf_cstr(&c.seen.rows), "|1599|1600\n") != NULL);

	c.seen.count_only = true;
	CHECK_INT(run(&c, words->many), 0);
	CHECK_INT((long)c.seen.n_rows, 30000);
	CHECK_INT((long)c.seen.longest, 2999);
	client_close(&c);
}

static void test_several_statements_are_refused(
	const struct statement_words *words)
{
	struct client c = client_open();

	CHECK_INT(run(&c, "create temporary table v (a int); select 1"),
		  -EINVAL);
	CHECK_TEXT(c.seen.err.sqlstate, words->syntax_error);
	CHECK_INT((long)c.seen.n_begins, 0);
	CHECK_INT(run(&c, "select 1 from v"), -EINVAL);
	CHECK_TEXT(c.seen.err.sqlstate, words->no_such_table);
	client_close(&c);
}

static void test_transaction_state(void)
{
	struct client c = client_open();

	CHECK_INT(run(&c, "begin"), 0);
	CHECK(db_in_transaction(c.db));
	CHECK_INT(run(&c, "selec"), -EINVAL);
	CHECK(db_in_transaction(c.db));
	CHECK_INT(run(&c, "rollback"), 0);
	CHECK(!db_in_transaction(c.db));
	client_close(&c);
}

static void test_row_over_the_limit(const struct statement_words *words)
{
	struct db_params params = server_params();
	struct client c;

	params.max_row = MIB;
	c = client_with(&params);
	for (size_t i = 0; words->before[i] != NULL; i++)
		CHECK_INT(run(&c, words->before[i]), 0);
	for (size_t i = 0; i < COUNT(words->too_long); i++) {
		CHECK_INT(run(&c, words->too_long[i]), -EFBIG);
		CHECK_TEXT(c.seen.err.msg,
			   "a row is longer than max_row, 1048576 bytes");
		CHECK_INT((long)c.seen.n_rows, 0);
		check_alive(&c);
	}
	CHECK_INT(run(&c, "select repeat('x', 1048576), null"), 0);
	CHECK_INT((long)c.seen.longest, MIB);
	CHECK_INT(run(&c, words->fourth_too_long), -EFBIG);
	CHECK_TEXT(buf_cstr(&c.seen.rows), "x\nx\nx\n");
	CHECK_ROWS(&c, words->still_set, "1\n");
	check_alive(&c);
	client_close(&c);
}

static void test_large_row_is_whole(const struct statement_words *words)
{
	struct client c = client_open();

	CHECK_INT(run(&c, words->large), 0);
	CHECK_INT((long)c.seen.longest, LARGE / words->large_cells);
	CHECK_INT((long)c.seen.rows.len, LARGE + words->large_cells);
	check_alive(&c);
	client_close(&c);
}

static void test_sink_that_fails_ends_the_statement(
	const struct statement_words *words)
{
	struct client c = client_open();

	c.seen.stop_at = 1001;
	CHECK_INT(run(&c, words->long_rows), -ENOSPC);
	CHECK_INT((long)c.seen.n_rows, 1000);
	CHECK_TEXT(c.seen.err.msg, "the sink is full");
	CHECK_TEXT(buf_cstr(&c.seen.failure), "");
	check_alive(&c);
	client_close(&c);
}

static void test_idle_says_how_long_to_wait(const struct statement_words *words)
{
	struct client c = client_open();

	c.seen.idle_ms = 5;
	CHECK_INT(run(&c, words->sleep), 0);
	CHECK(c.seen.n_idles >= 5);
	client_close(&c);
}

void statement_cases(const struct statement_words *words)
{
	test_no_rows(words);
	test_empty_statement_says_nothing(words);
	test_many_columns_and_rows(words);
	test_several_statements_are_refused(words);
	test_transaction_state();
	test_row_over_the_limit(words);
	test_large_row_is_whole(words);
	test_sink_that_fails_ends_the_statement(words);
	test_idle_says_how_long_to_wait(words);
}
