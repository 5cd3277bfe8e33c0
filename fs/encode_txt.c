/* SPDX-License-Identifier: MIT */
/*
 * Aligned columns for eyes, as psql lays them out, but for blanks at the ends
 * of lines. Names stand to the side of their column's values, so that they
 * are seen where a column is wide.
 */
#include <inttypes.h>
#include <stdio.h>

#include "fs/encoder_internal.h"

/*
 * A right-aligned cell is held until its width is known. A longer one is
 * wider than any column.
 */
enum { HELD_MAX = 4 * LAYOUT_MAX_WIDTH };

static void put_many(struct encoder *e, struct buf *out, char c, size_t n)
{
	char *to = encoder_room(out, n);

	if (to != NULL) {
		memset(to, c, n);
		out->len += n;
		return;
	}
	for (; n > 0 && e->rc == 0; n--)
		encoder_put(e, out, &c, 1);
}

/* Blanks for what the value does not fill of its column. */
static void pad(struct encoder *e, size_t col, size_t width, struct buf *out)
{
	size_t wanted = e->layout->cols[col].width;

	if (width < wanted)
		put_many(e, out, ' ', wanted - width);
}

static char *show(struct encoder *e, char *out, const char *data, size_t len,
		  const char *limit)
{
	return display_text(&e->display, out, data, len, false, &e->width);
}

/* What is left of a character that was cut off. */
static void put_rest(struct encoder *e, struct buf *out)
{
	char rest[DISPLAY_ROOM(0)];
	char *end = display_text(&e->display, rest, "", 0, true, &e->width);

	encoder_put(e, out, rest, (size_t)(end - rest));
}

/* What separates a value from the line before it; once. */
static void put_blank(struct encoder *e, struct buf *out)
{
	if (e->wants_blank)
		encoder_put(e, out, " ", 1);
	e->wants_blank = false;
}

static void put_bytes(struct encoder *e, const char *data, size_t len,
		      struct buf *out)
{
	if (len > 0)
		put_blank(e, out);
	encoder_escape(e, out, show, data, len, data + len);
}

/* A value that is known to its end, or to where it is too long to be held. */
static void put_right(struct encoder *e, size_t col, const char *data,
		      size_t len, struct buf *out)
{
	struct display display = {.n_cut = 0};
	size_t width = 0;

	if (len <= HELD_MAX && (len > 0 || !e->wants_blank)) {
		put_blank(e, out);
		display_count(&display, data, len, true, LAYOUT_MAX_WIDTH,
			      &width);
		pad(e, col, width, out);
	}
	put_bytes(e, data, len, out);
}

static void hold(struct encoder *e, const struct csv_piece *p, struct buf *out)
{
	struct buf *held = &e->held;
	bool whole = p->end != CSV_GOES_ON;

	if (e->too_long) {
		put_bytes(e, p->data, p->len, out);
		return;
	}
	if (p->first && whole) {
		put_right(e, p->col, p->data, p->len, out);
		return;
	}
	buf_put(held, p->data, p->len);
	e->too_long = held->len > HELD_MAX;
	if (held->failed)
		encoder_fail(e, -ENOMEM);
	else if (whole || e->too_long) {
		put_right(e, p->col, held->data, held->len, out);
		buf_reset(held);
	}
}

static void begin_cell(struct encoder *e, size_t col, struct buf *out)
{
	e->width = 0;
	e->too_long = false;
	e->wants_blank = true;
	if (col > 0)
		encoder_put(e, out, " |", 2);
	/* An empty value leaves no blank at the end of a line. */
	if (col + 1 < e->head->n_cols)
		put_blank(e, out);
}

/* The pieces of a cell of any kind; null is none here. */
static void put_piece(struct encoder *e, const struct csv_piece *p, bool right,
		      struct buf *out)
{
	if (right)
		hold(e, p, out);
	else
		put_bytes(e, p->data, p->len, out);
	if (p->end == CSV_GOES_ON)
		return;
	put_rest(e, out);
	if (!right && p->end == CSV_CELL_END)
		pad(e, p->col, e->width, out);
}

/* A whole cell that is as wide as it is long: most of them. */
static void put_plain(struct encoder *e, const struct csv_piece *p, bool right,
		      struct buf *out)
{
	if (p->len > 0)
		put_blank(e, out);
	if (right && !e->wants_blank)
		pad(e, p->col, p->len, out);
	encoder_put(e, out, p->data, p->len);
	if (!right && p->end == CSV_CELL_END)
		pad(e, p->col, p->len, out);
}

static void txt_piece(struct encoder *e, const struct csv_piece *piece,
		      struct buf *out)
{
	static const char null[] = ENCODER_NULL;
	bool right = e->layout->cols[piece->col].right;
	struct csv_piece p = *piece;

	if (p.null) {
		p.data = null;
		p.len = sizeof(null) - 1;
		p.limit = null + sizeof(null);
	}
	if (p.first)
		begin_cell(e, p.col, out);
	if (p.first && p.end != CSV_GOES_ON &&
	    display_is_plain(p.data, p.len, p.limit))
		put_plain(e, &p, right, out);
	else
		put_piece(e, &p, right, out);
}

static void txt_row_end(struct encoder *e, struct buf *out)
{
	if (e->head->n_cols > 0)
		encoder_put(e, out, "\n", 1);
}

static void txt_begin(struct encoder *e, struct buf *out)
{
	txt_row_end(e, out);
	e->dashes = 0;
	e->draining = true;
}

/* The line below the names, a column at a time. */
static void txt_drain(struct encoder *e, struct buf *out)
{
	size_t n_cols = e->head->n_cols;
	size_t width = n_cols > 0 ? e->layout->cols[e->dashes].width : 0;

	put_many(e, out, '-', width + 2);
	e->dashes++;
	e->draining = e->dashes < n_cols;
	encoder_put(e, out, e->draining ? "+" : "\n", 1);
}

static void txt_end(struct encoder *e, struct buf *out)
{
	char line[40];

	(void)snprintf(line, sizeof(line), "(%" PRIu64 " row%s)\n", e->row,
		       e->row == 1 ? "" : "s");
	encoder_puts(e, out, line);
}

const struct encoder_ops encode_txt = {
	.header = txt_piece,
	.begin = txt_begin,
	.piece = txt_piece,
	.row_end = txt_row_end,
	.end = txt_end,
	.drain = txt_drain,
};
