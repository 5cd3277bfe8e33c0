/* SPDX-License-Identifier: MIT */
/*
 * An object a row: as JSON lines, or as the elements of one array. The comma
 * behind an element is written with the next one, so that the rows that are
 * there can be shown before it is known whether more will come.
 */
#include <stdlib.h>

#include "fs/encoder_internal.h"
#include "fs/jsontext.h"

/* What is held of a cell that is no text; a longer one is given as text. */
static const size_t hold_max[] = {
	[DB_SHAPE_NUMBER] = (size_t)1024 * 1024,
	[DB_SHAPE_BOOL] = 1,
	[DB_SHAPE_JSON] = (size_t)64 * 1024 * 1024,
};

static int json_create(struct encoder *e)
{
	return object_keys_init(&e->keys, e->head);
}

static void json_destroy(struct encoder *e)
{
	object_keys_finish(&e->keys);
}

static char *escape(struct encoder *e, char *out, const char *data, size_t len,
		    const char *limit)
{
	return jsontext_escape(out, data, len, limit);
}

/* JSON that stays on its line: it has control characters between values only. */
static char *unbreak(struct encoder *e, char *out, const char *data, size_t len,
		     const char *limit)
{
	const char *end = data + len;

	for (; data < end; data += LANES, out += LANES) {
		lanes v = lanes_load_until(data, limit);
		lanes low = (lanes)(v < lanes_fill(' '));

		lanes_store(out, (v & ~low) | (lanes_fill(' ') & low));
	}
	return out - (data - end);
}

static enum db_shape shape_of(const struct encoder *e, size_t col)
{
	const struct format_head *head = e->head;
	enum db_shape shape = head->cols[col].shape;

	if (shape != DB_SHAPE_VARIES)
		return shape;
	return head->is_number != NULL &&
			       head->is_number(head->arg, e->row, col)
		       ? DB_SHAPE_NUMBER
		       : DB_SHAPE_TEXT;
}

/* How a whole cell of this shape is written; null: it is none, but a text. */
static const char *literal(enum db_shape shape, const char *data, size_t *len)
{
	switch (shape) {
	case DB_SHAPE_NUMBER:
		return jsontext_is_number(data, *len) ? data : NULL;
	case DB_SHAPE_BOOL:
		if (*len != 1 || (*data != 't' && *data != 'f'))
			return NULL;
		*len = *data == 't' ? 4 : 5;
		return *data == 't' ? "true" : "false";
	case DB_SHAPE_JSON:
		return jsontext_is_value(data, *len) ? data : NULL;
	default:
		return NULL;
	}
}

static void put_text(struct encoder *e, const struct csv_piece *p,
		     struct buf *out)
{
	encoder_escape(e, out, escape, p->data, p->len, p->limit);
	if (p->end != CSV_GOES_ON)
		encoder_put(e, out, "\"", 1);
}

/* Begins to write the held cell. */
static void release(struct encoder *e, bool ended, struct buf *out)
{
	const char *data = e->held.data != NULL ? e->held.data : "";
	size_t len = e->held.len;
	const char *text = ended && len <= hold_max[e->shape]
				   ? literal(e->shape, data, &len)
				   : NULL;

	if (text != NULL && text != data) {
		encoder_put(e, out, text, len);
		buf_reset(&e->held);
		return;
	}
	e->as_text = text == NULL;
	if (e->as_text) {
		e->shape = DB_SHAPE_TEXT;
		encoder_put(e, out, "\"", 1);
	}
	e->cell_ended = ended;
	e->drained = 0;
	e->draining = true;
}

static void json_drain(struct encoder *e, struct buf *out)
{
	struct buf *held = &e->held;
	size_t left = held->len - e->drained;
	size_t n = left < ENCODER_STEP ? left : ENCODER_STEP;

	if (n > 0)
		encoder_escape(e, out, e->as_text ? escape : unbreak,
			       held->data + e->drained, n,
			       held->data + held->len);
	e->drained += n;
	if (n < left)
		return;
	if (e->as_text && e->cell_ended)
		encoder_put(e, out, "\"", 1);
	e->draining = false;
	if (held->cap > ENCODER_KEEP)
		buf_finish(held);
	buf_reset(held);
}

static void hold(struct encoder *e, const struct csv_piece *p, struct buf *out)
{
	bool ended = p->end != CSV_GOES_ON;

	buf_put(&e->held, p->data, p->len);
	if (e->held.failed)
		encoder_fail(e, -ENOMEM);
	else if (ended || e->held.len > hold_max[e->shape])
		release(e, ended, out);
}

/* Digits that are a number for certain, and a vector at most: most of them. */
static bool put_digits(struct encoder *e, const struct csv_piece *p,
		       struct buf *out)
{
	lanes v, digits;
	char *to;

	if (p->len == 0 || p->len > LANES || *p->data == '0')
		return false;
	v = lanes_load_until(p->data, p->limit);
	digits = (lanes)(v - lanes_fill('0') > lanes_fill(9));
	if (lanes_first(digits) < p->len)
		return false;
	to = encoder_room(out, p->len);
	if (to == NULL)
		return false;
	lanes_store(to, v);
	out->len += p->len;
	return true;
}

/* A cell in one piece. */
static void put_whole(struct encoder *e, const struct csv_piece *p,
		      struct buf *out)
{
	size_t len = p->len;
	const char *text;

	if (e->shape == DB_SHAPE_NUMBER && put_digits(e, p, out))
		return;
	text = literal(e->shape, p->data, &len);
	if (text == NULL) {
		encoder_put(e, out, "\"", 1);
		put_text(e, p, out);
	} else if (e->shape == DB_SHAPE_JSON) {
		encoder_escape(e, out, unbreak, text, len, p->limit);
	} else {
		encoder_put(e, out, text, len);
	}
}

static void put_key(struct encoder *e, size_t col, struct buf *out)
{
	size_t len;
	const char *key = object_keys_get(&e->keys, col, &len);

	encoder_put_short(e, out, key, len);
}

static void json_piece(struct encoder *e, const struct csv_piece *p,
		       struct buf *out)
{
	if (p->first) {
		put_key(e, p->col, out);
		if (p->null) {
			encoder_put(e, out, "null", 4);
			return;
		}
		e->shape = shape_of(e, p->col);
		if (e->shape != DB_SHAPE_TEXT && p->end != CSV_GOES_ON) {
			put_whole(e, p, out);
			return;
		}
		if (e->shape == DB_SHAPE_TEXT)
			encoder_put(e, out, "\"", 1);
	}
	if (e->shape == DB_SHAPE_TEXT)
		put_text(e, p, out);
	else
		hold(e, p, out);
}

static void jsonl_row_begin(struct encoder *e, struct buf *out)
{
	encoder_put(e, out, "{", 1);
}

static void jsonl_row_end(struct encoder *e, struct buf *out)
{
	encoder_put(e, out, "}\n", 2);
}

static void json_begin(struct encoder *e, struct buf *out)
{
	encoder_put(e, out, "[", 1);
}

static void json_row_begin(struct encoder *e, struct buf *out)
{
	encoder_puts(e, out, e->row > 0 ? ",\n{" : "\n{");
}

static void json_row_end(struct encoder *e, struct buf *out)
{
	encoder_put(e, out, "}", 1);
}

static void json_end(struct encoder *e, struct buf *out)
{
	encoder_puts(e, out, e->row > 0 ? "\n]\n" : "]\n");
}

const struct encoder_ops encode_jsonl = {
	.create = json_create,
	.destroy = json_destroy,
	.row_begin = jsonl_row_begin,
	.piece = json_piece,
	.row_end = jsonl_row_end,
	.drain = json_drain,
};

const struct encoder_ops encode_json = {
	.create = json_create,
	.destroy = json_destroy,
	.begin = json_begin,
	.row_begin = json_row_begin,
	.piece = json_piece,
	.row_end = json_row_end,
	.end = json_end,
	.drain = json_drain,
};
