/* SPDX-License-Identifier: MIT */
/*
 * Rows on their way from a driver into the spool, encoded as CSV in the
 * memory the readers will be answered from. Worker thread.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "fs/cell_kinds.h"
#include "fs/csv.h"
#include "fs/result.h"
#include "fs/statement.h"

static int stopped(struct statement *s, struct err *err)
{
	if (atomic_load_explicit(&s->stopped, memory_order_relaxed))
		return err_set(err, ECANCELED, "cancelled");
	return 0;
}

static int spool_error(int rc, struct err *err)
{
	if (rc == -ECANCELED)
		return err_set(err, ECANCELED, "cancelled");
	if (rc == -ENOMEM)
		return err_set(err, ENOMEM, "out of memory for the result");
	return err_sys(err, -rc, "cannot write the result to spool_dir");
}

static int add_result(struct statement *s, struct result *result)
{
	struct result **grown;

	auto_lock(&s->lock);
	if (s->state >= STATEMENT_DONE)
		return -ECANCELED;
	grown = reallocarray(s->results, s->n_results + 1,
			     sizeof(struct result *));
	if (grown == NULL)
		return -ENOMEM;
	s->results = grown;
	s->results[s->n_results++] = result;
	return 0;
}

static int begin_result(struct statement *s, const struct db_column *cols,
			size_t n_cols, struct err *err)
{
	struct result *result = result_create(s->pool, s, cols, n_cols);
	int rc;

	if (result == NULL)
		return err_set(err, ENOMEM, "out of memory");
	rc = add_result(s, result);
	if (rc < 0) {
		result_unref(result);
		return spool_error(rc, err);
	}
	s->current = result;
	return 0;
}

/* One piece of a row that is too large to be written at once. */
static int put_piece(struct spool *spool, const char *data, size_t len,
		     bool escape, struct err *err)
{
	while (len > 0) {
		size_t n = len < SPOOL_PIECE / 4 ? len : SPOOL_PIECE / 4;
		size_t room;
		char *end, *out;
		int rc;

		out = spool_reserve(spool, 2 * n + 16, &room, &rc);
		if (out == NULL)
			return spool_error(rc, err);
		if (escape) {
			end = csv_escape(out, data, n);
		} else {
			memcpy(out, data, n);
			end = out + n;
		}
		spool_commit(spool, (size_t)(end - out));
		data += n;
		len -= n;
	}
	return 0;
}

static int put_large_row(struct result *result, const struct db_cell *cells,
			 struct err *err)
{
	struct spool *spool = result->spool;
	bool alone = result->n_cols == 1;
	int rc = 0;

	for (size_t i = 0; i < result->n_cols && rc == 0; i++) {
		const struct db_cell *c = &cells[i];
		bool quote = c->data != NULL &&
			     csv_needs_quotes(c->data, c->len, alone);

		if (i > 0)
			rc = put_piece(spool, ",", 1, false, err);
		if (rc == 0 && quote)
			rc = put_piece(spool, "\"", 1, false, err);
		if (rc == 0 && c->data != NULL)
			rc = put_piece(spool, c->data, c->len, quote, err);
		if (rc == 0 && quote)
			rc = put_piece(spool, "\"", 1, false, err);
	}
	return rc == 0 ? put_piece(spool, "\n", 1, false, err) : rc;
}

static int put_row(struct result *result, const struct db_cell *cells,
		   struct err *err)
{
	size_t n = result->n_cols, need = 1, room;
	bool alone = n == 1;
	char *out, *p;
	int rc;

	for (size_t i = 0; i < n; i++)
		need += CSV_ROOM(cells[i].len) + 1;
	if (need > SPOOL_PIECE)
		return put_large_row(result, cells, err);
	out = spool_reserve(result->spool, need, &room, &rc);
	if (out == NULL)
		return spool_error(rc, err);
	p = out;
	for (size_t i = 0; i < n; i++) {
		if (i > 0)
			*p++ = ',';
		if (cells[i].data == NULL)
			continue;
		if (result->plain[i]) {
			memcpy(p, cells[i].data, cells[i].len);
			p += cells[i].len;
		} else {
			p = csv_cell(p, cells[i].data, cells[i].len, alone);
		}
	}
	*p++ = '\n';
	spool_commit(result->spool, (size_t)(p - out));
	return 0;
}

static int put_header(struct result *result, const struct db_column *cols,
		      struct err *err)
{
	bool alone = result->n_cols == 1;
	int rc = 0;

	for (size_t i = 0; i < result->n_cols && rc == 0; i++) {
		size_t len = strlen(cols[i].name), room;
		char *out = spool_reserve(result->spool, CSV_ROOM(len) + 1,
					  &room, &rc);
		char *p = out;

		if (out == NULL)
			return spool_error(rc, err);
		if (i > 0)
			*p++ = ',';
		p = csv_cell(p, cols[i].name, len, alone);
		spool_commit(result->spool, (size_t)(p - out));
	}
	return rc == 0 ? put_piece(result->spool, "\n", 1, false, err) : rc;
}

static int sink_begin(void *arg, const struct db_column *cols, size_t n_cols,
		      struct err *err)
{
	struct statement *s = arg;
	int rc = stopped(s, err);

	for (size_t i = 0; i < n_cols && rc == 0; i++) {
		if (strlen(cols[i].name) > SPOOL_PIECE / 4)
			rc = err_set(err, EFBIG,
				     "the name of column %zu is "
				     "too long",
				     i + 1);
	}
	if (rc == 0)
		rc = begin_result(s, cols, n_cols, err);
	if (rc == 0)
		rc = put_header(s->current, cols, err);
	if (rc == 0)
		statement_set_state(s, STATEMENT_STREAMING);
	return rc;
}

static void note_first_row(struct statement *s)
{
	auto_lock(&s->lock);
	if (s->timing.us[TIMING_FIRST_ROW] < 0)
		timing_end(&s->timing, TIMING_FIRST_ROW);
}

static int sink_row(void *arg, const struct db_cell *cells, struct err *err)
{
	struct statement *s = arg;
	struct result *result = s->current;
	uint64_t rows;
	int rc = stopped(s, err);

	if (rc == 0 && result->kinds != NULL)
		cell_kinds_add_row(result->kinds, cells);
	if (rc == 0)
		rc = put_row(result, cells, err);
	if (rc < 0)
		return rc;
	rows = atomic_load_explicit(&s->rows, memory_order_relaxed);
	if (rows == 0)
		note_first_row(s);
	atomic_store_explicit(&s->rows, rows + 1, memory_order_relaxed);
	spool_tick(result->spool);
	return 0;
}

static int sink_bytes(void *arg, const char *data, size_t len, struct err *err)
{
	struct statement *s = arg;
	int rc = stopped(s, err);

	if (rc == 0 && s->current == NULL) {
		rc = begin_result(s, NULL, 0, err);
		note_first_row(s);
		if (rc == 0)
			statement_set_state(s, STATEMENT_STREAMING);
	}
	if (rc == 0)
		rc = put_piece(s->current->spool, data, len, false, err);
	if (rc == 0)
		spool_tick(s->current->spool);
	return rc;
}

static void sink_end(void *arg, const char *tag, int64_t affected)
{
	struct statement *s = arg;
	char *copy = tag != NULL ? strdup(tag) : NULL;

	if (s->current != NULL)
		spool_finish(s->current->spool, 0);
	s->current = NULL;
	auto_lock(&s->lock);
	free(s->tag);
	s->tag = copy;
	s->affected = affected;
}

static void sink_notice(void *arg, const char *text)
{
	struct statement *s = arg;
	size_t len = strcspn(text, "\n");

	auto_lock(&s->lock);
	if (s->notices.len + len + 8 > s->notices.max) {
		/* The mark stands where the first one was left out. */
		if (!s->notices.failed && s->notices.len + 4 <= s->notices.max)
			buf_puts(&s->notices, "...\n");
		s->notices.failed = true;
		return;
	}
	buf_put(&s->notices, text, len);
	buf_putc(&s->notices, '\n');
}

static char *copy_text(const char *text)
{
	return text != NULL ? strdup(text) : NULL;
}

static void sink_failure(void *arg, const struct db_failure *failure)
{
	struct statement *s = arg;
	struct diagnosis *d = &s->diagnosis;

	auto_lock(&s->lock);
	if (d->message != NULL)
		return;
	d->severity = copy_text(failure->severity);
	d->code = copy_text(failure->code);
	d->message = copy_text(failure->message);
	d->detail = copy_text(failure->detail);
	d->hint = copy_text(failure->hint);
	d->context = copy_text(failure->context);
	d->offset = failure->offset;
}

static int sink_idle(void *arg)
{
	struct statement *s = arg;

	return s->current != NULL ? spool_idle(s->current->spool) : -1;
}

const struct db_sink statement_sink = {
	.begin = sink_begin,
	.row = sink_row,
	.bytes = sink_bytes,
	.end = sink_end,
	.notice = sink_notice,
	.failure = sink_failure,
	.idle = sink_idle,
};
