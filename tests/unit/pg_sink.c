/* SPDX-License-Identifier: MIT */
#include "tests/unit/pg_sink.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SEEN_MAX = 256 * 1024 * 1024 };

void check_int(const char *file, int line, const char *what, long got,
	       long expected)
{
	if (got == expected)
		return;
	(void)fprintf(stderr, "%s:%d: %s is %ld, not %ld\n", file, line, what,
		      got, expected);
	exit(1);
}

static int take_begin(void *arg, const struct db_column *cols, size_t n_cols,
		      struct err *err)
{
	static const char letters[] = {
		[DB_SHAPE_TEXT] = 't',   [DB_SHAPE_NUMBER] = 'n',
		[DB_SHAPE_BOOL] = 'b',   [DB_SHAPE_JSON] = 'j',
		[DB_SHAPE_VARIES] = 'v',
	};
	struct seen *seen = arg;

	seen->n_begins++;
	seen->n_cols = n_cols;
	for (size_t i = 0; i < n_cols; i++) {
		buf_printf(&seen->cols, "%s:%s%s ", cols[i].name, cols[i].type,
			   cols[i].plain ? "+" : "");
		buf_putc(&seen->shapes, letters[cols[i].shape]);
	}
	return 0;
}

static int take_row(void *arg, const struct db_cell *cells, struct err *err)
{
	struct seen *seen = arg;

	if (seen->stop_at != 0 && seen->n_rows + 1 == seen->stop_at)
		return err_set(err, ENOSPC, "the sink is full");
	seen->n_rows++;
	for (size_t i = 0; i < seen->n_cols; i++) {
		if (cells[i].len > seen->longest)
			seen->longest = cells[i].len;
		if (seen->count_only)
			continue;
		if (i > 0)
			buf_putc(&seen->rows, '|');
		if (cells[i].data == NULL)
			buf_puts(&seen->rows, "<null>");
		else
			buf_put(&seen->rows, cells[i].data, cells[i].len);
		buf_putc(&seen->numbers, cells[i].is_number ? '+' : '-');
	}
	if (!seen->count_only) {
		buf_putc(&seen->rows, '\n');
		buf_putc(&seen->numbers, '\n');
	}
	if (seen->on_row != NULL)
		seen->on_row(seen->on_row_arg, seen->n_rows);
	return 0;
}

static int take_bytes(void *arg, const char *data, size_t len, struct err *err)
{
	struct seen *seen = arg;

	if (seen->stop_at != 0 && seen->n_rows + 1 == seen->stop_at)
		return err_set(err, ENOSPC, "the sink is full");
	seen->n_rows++;
	if (!seen->count_only)
		buf_put(&seen->rows, data, len);
	return 0;
}

static void take_end(void *arg, const char *tag, int64_t affected)
{
	struct seen *seen = arg;

	seen->n_ends++;
	buf_printf(&seen->tag, "%s/%" PRId64, tag != NULL ? tag : "", affected);
}

static void take_notice(void *arg, const char *text)
{
	struct seen *seen = arg;

	buf_printf(&seen->notices, "%s\n", text);
}

static void take_failure(void *arg, const struct db_failure *failure)
{
	struct seen *seen = arg;

	buf_printf(&seen->failure, "%s %s %s", failure->severity, failure->code,
		   failure->message);
	if (failure->detail != NULL)
		buf_printf(&seen->failure, "/%s", failure->detail);
	if (failure->hint != NULL)
		buf_printf(&seen->failure, "/%s", failure->hint);
	seen->offset = failure->offset;
}

static int take_idle(void *arg)
{
	struct seen *seen = arg;

	seen->n_idles++;
	return seen->idle_ms;
}

const struct db_sink seen_sink = {
	.begin = take_begin,
	.row = take_row,
	.bytes = take_bytes,
	.end = take_end,
	.notice = take_notice,
	.failure = take_failure,
	.idle = take_idle,
};

void seen_init(struct seen *seen)
{
	*seen = (struct seen){.idle_ms = -1};
	buf_init(&seen->cols, SEEN_MAX);
	buf_init(&seen->shapes, SEEN_MAX);
	buf_init(&seen->rows, SEEN_MAX);
	buf_init(&seen->numbers, SEEN_MAX);
	buf_init(&seen->notices, SEEN_MAX);
	buf_init(&seen->tag, SEEN_MAX);
	buf_init(&seen->failure, SEEN_MAX);
}

void seen_finish(struct seen *seen)
{
	buf_finish(&seen->cols);
	buf_finish(&seen->shapes);
	buf_finish(&seen->rows);
	buf_finish(&seen->numbers);
	buf_finish(&seen->notices);
	buf_finish(&seen->tag);
	buf_finish(&seen->failure);
}

int run_sql(struct db *db, struct seen *seen, const char *sql)
{
	return run_sql_args(db, seen, sql, NULL);
}

int run_sql_args(struct db *db, struct seen *seen, const char *sql,
		 const struct db_args *args)
{
	buf_reset(&seen->cols);
	buf_reset(&seen->shapes);
	buf_reset(&seen->rows);
	buf_reset(&seen->numbers);
	buf_reset(&seen->notices);
	buf_reset(&seen->tag);
	buf_reset(&seen->failure);
	seen->offset = -2;
	seen->n_cols = 0;
	seen->n_rows = 0;
	seen->n_begins = 0;
	seen->n_ends = 0;
	seen->n_idles = 0;
	seen->longest = 0;
	seen->err = (struct err){0};
	return db_exec(db, sql, args, &seen_sink, seen, &seen->err);
}

char *ask(struct db *db, const char *sql)
{
	struct seen seen;
	char *answer;

	seen_init(&seen);
	(void)run_sql(db, &seen, sql);
	buf_puts(&seen.rows, "");
	answer = strndup(buf_cstr(&seen.rows),
			 strcspn(buf_cstr(&seen.rows), "\n"));
	seen_finish(&seen);
	CHECK(answer != NULL);
	return answer;
}
