/* SPDX-License-Identifier: MIT */
/*
 * How the PostgreSQL driver reads rows: in pieces of any size, from a server
 * that lies about lengths, and no longer than it has to.
 */
#include "backends/pg_rows.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "backends/db.h"
#include "common/buf.h"
#include "common/err.h"
#include "tests/unit/check.h"
#include "tests/unit/pg_script.h"
#include "tests/unit/pg_sink.h"

enum { MAX_ROW = 1000, N_ROWS = 50, LONG = 1024 * 1024 * 1024 - 1 };

static struct db *open_session(const struct pg_script *script)
{
	const struct db_params params = {
		.host = script->dir,
		.port = PG_SCRIPT_PORT,
		.user = "somebody",
		.max_row = MAX_ROW,
		.connect_timeout_ms = 20000,
	};
	struct err err = {0};
	struct db *db;

	if (db_open(&db, "postgres", &params, &err) < 0)
		(void)fprintf(stderr, "%s\n", err.msg);
	CHECK(db != NULL);
	return db;
}

static int cells_of(const char *bytes, size_t len, struct db_cell *cells,
		    size_t n)
{
	/* A copy of just that length: a sanitizer sees what is read behind. */
	char *copy = malloc(len > 0 ? len : 1);
	struct pg_row row = {.data = copy, .len = len};
	int rc;

	CHECK(copy != NULL);
	memcpy(copy, bytes, len);
	rc = pg_rows_cells(&row, cells, n);
	free(copy);
	return rc;
}

static void test_cells_of_a_row(void)
{
	static const char row[] = "\0\3\0\0\0\2ab\377\377\377\377\0\0\0\0";
	struct db_cell cells[4];

	CHECK_INT(cells_of(row, sizeof(row) - 1, cells, 3), 0);
	CHECK(cells[0].len == 2 && cells[0].data != NULL);
	CHECK(cells[1].len == 0 && cells[1].data == NULL);
	CHECK(cells[2].len == 0 && cells[2].data != NULL);
	/* Not so many, cut anywhere, or with something behind. */
	CHECK_INT(cells_of(row, sizeof(row) - 1, cells, 2), -EPROTO);
	CHECK_INT(cells_of(row, sizeof(row) - 1, cells, 4), -EPROTO);
	for (size_t len = 0; len < sizeof(row) - 1; len++)
		CHECK_INT(cells_of(row, len, cells, 3), -EPROTO);
	CHECK_INT(cells_of(row, sizeof(row), cells, 3), -EPROTO);
	/* A length that leads out of it. */
	CHECK_INT(cells_of("\0\1\0\0\0\2a", 7, cells, 1), -EPROTO);
	CHECK_INT(cells_of("\0\1\177\377\377\377a", 7, cells, 1), -EPROTO);
}

static void test_pieces_of_any_size(void)
{
	for (size_t piece = 0; piece < 40; piece++) {
		struct pg_script script;
		struct seen seen;
		struct db *db;

		pg_script_start(&script);
		script.piece = piece;
		pg_script_put_columns(&script.answer, 2);
		for (int i = 0; i < N_ROWS; i++) {
			pg_script_put_row(&script.answer, 2);
			pg_script_put(&script.answer, 'S', "a\0b", 4);
		}
		pg_script_put_end(&script.answer);
		db = open_session(&script);
		seen_init(&seen);
		for (int i = 0; i < 2; i++) {
			CHECK_INT(run_sql(db, &seen, "select"), 0);
			CHECK_INT((long)seen.n_rows, N_ROWS);
			CHECK_INT((long)seen.rows.len, 4L * N_ROWS);
			CHECK_INT((long)seen.n_ends, 1);
		}
		seen_finish(&seen);
		db_close(db);
		pg_script_stop(&script);
	}
}

static void test_copy_in_pieces(void)
{
	for (size_t piece = 0; piece < 20; piece++) {
		struct pg_script script;
		struct seen seen;
		struct db *db;

		pg_script_start(&script);
		script.piece = piece;
		pg_script_put(&script.answer, 'H', "\0\0\0", 3);
		for (int i = 0; i < N_ROWS; i++) {
			pg_script_put(&script.answer, 'd', "1\n", 2);
			pg_script_put(&script.answer, 'S', "a\0b", 4);
		}
		pg_script_put(&script.answer, 'c', "", 0);
		pg_script_put_end(&script.answer);
		db = open_session(&script);
		seen_init(&seen);
		for (int i = 0; i < 2; i++) {
			CHECK_INT(run_sql(db, &seen, "copy"), 0);
			CHECK_INT((long)seen.n_rows, N_ROWS);
			CHECK_INT((long)seen.rows.len, 2L * N_ROWS);
			CHECK_INT((long)seen.n_ends, 1);
		}
		seen_finish(&seen);
		db_close(db);
		pg_script_stop(&script);
	}
}

/* Runs a statement that script answers; then the session is of no use. */
static void check_broken(struct pg_script *script, size_t n_rows)
{
	struct db *db = open_session(script);
	struct seen seen;

	seen_init(&seen);
	CHECK_INT(run_sql(db, &seen, "select"), -ENOTCONN);
	CHECK_INT((long)seen.n_rows, (long)n_rows);
	CHECK_INT((long)seen.n_ends, 0);
	CHECK_INT(db_check(db, &seen.err), -ENOTCONN);
	seen_finish(&seen);
	db_close(db);
	pg_script_stop(script);
}

static void test_malformed_row_ends_the_session(void)
{
	static const struct {
		const char *bytes;
		size_t len;
	} rows[] = {
		{"", 0},
		{"\0", 1},
		{"\0\1", 2},
		{"\0\2\0\0\0\1a", 7},
		{"\0\1\0\0\0\2a", 7},
		{"\0\1\0\0\0\1ab", 8},
	};

	for (size_t i = 0; i < COUNT(rows); i++) {
		struct pg_script script;

		pg_script_start(&script);
		pg_script_put_columns(&script.answer, 1);
		pg_script_put_row(&script.answer, 1);
		pg_script_put(&script.answer, 'D', rows[i].bytes, rows[i].len);
		pg_script_put_end(&script.answer);
		check_broken(&script, 1);
	}
}

static void test_message_shorter_than_its_length(void)
{
	struct pg_script script;

	pg_script_start(&script);
	pg_script_put_columns(&script.answer, 1);
	buf_put(&script.answer, "D\0\0\0\3", 5);
	check_broken(&script, 0);
}

static void test_end_of_file_within_a_row(void)
{
	struct pg_script script;

	pg_script_start(&script);
	pg_script_put_columns(&script.answer, 1);
	pg_script_put_row(&script.answer, 1);
	pg_script_put_row(&script.answer, 1);
	script.answer.len--;
	script.hang_up = true;
	check_broken(&script, 1);
}

/* Rows that nobody asked for are passed over. */
static void test_rows_out_of_place(void)
{
	struct pg_script script;
	struct seen seen;
	struct db *db;

	pg_script_start(&script);
	pg_script_put_row(&script.answer, 1);
	pg_script_put(&script.answer, 'd', "copy", 4);
	pg_script_put_columns(&script.answer, 1);
	pg_script_put(&script.answer, 'd', "copy", 4);
	pg_script_put_row(&script.answer, 1);
	pg_script_put_end(&script.answer);
	db = open_session(&script);
	seen_init(&seen);
	CHECK_INT(run_sql(db, &seen, "select"), 0);
	CHECK_TEXT(buf_cstr(&seen.rows), "1\n");
	seen_finish(&seen);
	db_close(db);
	pg_script_stop(&script);
}

/* It may have done anything, or nothing. */
static void test_answer_that_says_nothing(void)
{
	struct pg_script script;
	struct seen seen;
	struct db *db;

	pg_script_start(&script);
	pg_script_put(&script.answer, 'Z', "I", 1);
	db = open_session(&script);
	seen_init(&seen);
	CHECK_INT(run_sql(db, &seen, "select"), -EIO);
	seen_finish(&seen);
	db_close(db);
	pg_script_stop(&script);
}

/*
 * A row of 1 GiB that does not end. It is refused by its length, the server
 * does not heed the request to cancel, and after 5 s it has had its time.
 */
static void test_row_without_end(void)
{
	static const char head[] = "D\77\377\377\377";
	struct pg_script script;
	struct seen seen;
	struct db *db;

	pg_script_start(&script);
	pg_script_put_columns(&script.answer, 1);
	pg_script_put_row(&script.answer, 1);
	buf_put(&script.answer, head, sizeof(head) - 1);
	script.flood = LONG / 16;
	db = open_session(&script);
	seen_init(&seen);
	CHECK_INT(run_sql(db, &seen, "select"), -EFBIG);
	CHECK_INT((long)seen.n_rows, 1);
	CHECK_INT(db_check(db, &seen.err), -ENOTCONN);
	seen_finish(&seen);
	db_close(db);
	pg_script_stop(&script);
}

/* The same, but it ends: the session lives on. */
static void test_row_too_long_is_passed_over(void)
{
	struct pg_script script;
	struct seen seen;
	struct db *db;
	char body[MAX_ROW + 7] = "\0\1\0\0\3\351"; /* a cell of 1001 bytes */

	pg_script_start(&script);
	pg_script_put_columns(&script.answer, 1);
	pg_script_put_row(&script.answer, 1);
	pg_script_put(&script.answer, 'D', body, sizeof(body));
	pg_script_put_row(&script.answer, 1);
	pg_script_put_end(&script.answer);
	db = open_session(&script);
	seen_init(&seen);
	CHECK_INT(run_sql(db, &seen, "select"), -EFBIG);
	CHECK_INT((long)seen.n_rows, 1);
	CHECK_INT((long)seen.n_ends, 0);
	CHECK_INT(db_check(db, &seen.err), 0);
	seen_finish(&seen);
	db_close(db);
	pg_script_stop(&script);
}

int main(void)
{
	test_cells_of_a_row();
	test_pieces_of_any_size();
	test_copy_in_pieces();
	test_malformed_row_ends_the_session();
	test_message_shorter_than_its_length();
	test_end_of_file_within_a_row();
	test_rows_out_of_place();
	test_answer_that_says_nothing();
	test_row_too_long_is_passed_over();
	test_row_without_end();
	return 0;
}
