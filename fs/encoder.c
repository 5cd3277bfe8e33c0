/* SPDX-License-Identifier: MIT */
#include "fs/encoder.h"

#include <errno.h>
#include <stdlib.h>

#include "fs/encoder_internal.h"

/* Longer JSON is given as a string, so this is what a cell can cost. */
enum { HELD_MAX = 64 * 1024 * 1024 + CSV_PIECE_MAX };

static const struct encoder_ops *const all_ops[FORMATS] = {
	[FORMAT_TSV] = &encode_tsv,
	[FORMAT_JSONL] = &encode_jsonl,
	[FORMAT_JSON] = &encode_json,
	[FORMAT_TXT] = &encode_txt,
};

struct encoder *encoder_create(enum format format,
			       const struct format_head *head,
			       struct layout *layout)
{
	struct encoder *e = calloc(1, sizeof(*e));

	if (e == NULL)
		return NULL;
	e->ops = all_ops[format];
	e->head = head;
	csv_reader_init(&e->reader, head->n_cols);
	buf_init(&e->held, HELD_MAX);
	e->layout = layout != NULL ? layout_ref(layout) : NULL;
	if (e->ops->create != NULL && e->ops->create(e) < 0) {
		encoder_destroy(e);
		return NULL;
	}
	return e;
}

void encoder_destroy(struct encoder *e)
{
	if (e == NULL)
		return;
	if (e->ops->destroy != NULL)
		e->ops->destroy(e);
	layout_unref(e->layout);
	buf_finish(&e->held);
	free(e);
}

void encoder_put_tight(struct encoder *e, struct buf *out, const char *data,
		       size_t len)
{
	if (len > out->max - out->len) {
		encoder_fail(e, -EFBIG);
		return;
	}
	buf_put(out, data, len);
	if (out->failed)
		encoder_fail(e, -ENOMEM);
}

void encoder_escape_tight(struct encoder *e, struct buf *out,
			  encoder_escape_fn *escape, const char *data,
			  size_t len, const char *limit)
{
	enum { FEW = 8 };
	char text[ENCODER_ROOM(FEW) + LANES];

	while (len > 0 && e->rc == 0) {
		size_t n = len < FEW ? len : FEW;
		char *end = escape(e, text, data, n, limit);

		encoder_put(e, out, text, (size_t)(end - text));
		data += n;
		len -= n;
	}
}

static void end_line(struct encoder *e, struct buf *out)
{
	e->line_ended = false;
	if (e->in_rows) {
		if (e->ops->row_end != NULL)
			e->ops->row_end(e, out);
		e->row++;
		return;
	}
	e->in_rows = true;
	if (e->ops->begin != NULL)
		e->ops->begin(e, out);
}

static bool settled(const struct encoder *e)
{
	return !e->draining && !e->line_ended;
}

/* Writes what was taken and is not written yet, unless out is full. */
static void settle(struct encoder *e, struct buf *out, size_t want)
{
	while (!settled(e) && e->rc == 0) {
		if (!e->draining)
			end_line(e, out);
		else if (out->len < want)
			e->ops->drain(e, out);
		else
			return;
	}
}

static void take_header(struct encoder *e, const struct csv_piece *p,
			struct buf *out)
{
	if (e->head->n_cols == 0)
		return;
	if (p->null)
		encoder_fail(e, -EILSEQ);
	else if (e->ops->header != NULL)
		e->ops->header(e, p, out);
}

static void take(struct encoder *e, const struct csv_piece *p, struct buf *out)
{
	e->line_ended = p->end == CSV_ROW_END;
	if (!e->in_rows) {
		take_header(e, p, out);
		return;
	}
	if (p->first && p->col == 0 && e->ops->row_begin != NULL)
		e->ops->row_begin(e, out);
	if (e->head->n_cols > 0)
		e->ops->piece(e, p, out);
}

/* Rather at the end of a row, from where one can resume. */
static bool enough(const struct encoder *e, const struct buf *out, size_t want)
{
	if (out->len < want)
		return false;
	return csv_reader_at_row(&e->reader) || out->len - want >= ENCODER_STEP;
}

/* The byte that was owed. False: out is full before. */
static bool pay(struct encoder *e, const char **p, const char *end,
		struct buf *out, size_t want)
{
	settle(e, out, want);
	if (!settled(e) || *p == end)
		return false;
	++*p;
	e->owes_byte = false;
	return true;
}

int encoder_feed(struct encoder *e, const char **data, size_t *len,
		 struct buf *out, size_t want)
{
	const char *p = *data, *end = p + *len;
	struct csv_piece piece;
	int rc;

	if (e->owes_byte && !pay(e, &p, end, out, want))
		return e->rc;
	while (e->rc == 0 && !enough(e, out, want)) {
		rc = csv_reader_next(&e->reader, &p, end, &piece);
		if (rc == 0)
			break;
		if (rc < 0) {
			encoder_fail(e, rc);
			break;
		}
		take(e, &piece, out);
		if (settled(e))
			continue;
		settle(e, out, want);
		if (!settled(e)) {
			p--;
			e->owes_byte = true;
			break;
		}
	}
	*data = p;
	*len = (size_t)(end - p);
	return e->rc;
}

bool encoder_at_row(const struct encoder *e, uint64_t *row)
{
	*row = e->row;
	return e->in_rows && e->rc == 0 && !e->owes_byte &&
	       csv_reader_at_row(&e->reader);
}

int encoder_end(struct encoder *e, struct buf *out)
{
	uint64_t row;

	if (!encoder_at_row(e, &row))
		encoder_fail(e, -EILSEQ);
	else if (e->ops->end != NULL)
		e->ops->end(e, out);
	return e->rc;
}

void encoder_resume(struct encoder *e, uint64_t row)
{
	csv_reader_init(&e->reader, e->head->n_cols);
	buf_reset(&e->held);
	e->display = (struct display){.n_cut = 0};
	e->row = row;
	e->rc = 0;
	e->in_rows = true;
	e->line_ended = false;
	e->draining = false;
	e->owes_byte = false;
}
