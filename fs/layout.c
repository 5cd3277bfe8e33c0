/* SPDX-License-Identifier: MIT */
#include <stdlib.h>

#include "fs/encoder_internal.h"

struct maker_column {
	size_t width;
	bool numbers, others; /* some of its values are */
};

struct layout_maker {
	const struct format_head *head;
	struct csv_reader reader;
	struct display display;
	uint64_t row;
	size_t n_bytes; /* of CSV */
	size_t width;   /* of this cell until here */
	bool in_rows;   /* the header line is done */
	struct maker_column cols[];
};

static void widen(struct maker_column *col, size_t width)
{
	if (width > LAYOUT_MAX_WIDTH)
		width = LAYOUT_MAX_WIDTH;
	if (width > col->width)
		col->width = width;
}

struct layout_maker *layout_maker_create(const struct format_head *head)
{
	struct layout_maker *m =
		calloc(1, sizeof(*m) + head->n_cols * sizeof(*m->cols));

	if (m == NULL)
		return NULL;
	m->head = head;
	csv_reader_init(&m->reader, head->n_cols);
	for (size_t i = 0; i < head->n_cols; i++) {
		const struct format_column *col = &head->cols[i];
		struct display display = {.n_cut = 0};
		size_t width = 0;

		display_count(&display, col->name, strlen(col->name), true,
			      LAYOUT_MAX_WIDTH, &width);
		widen(&m->cols[i], width);
		m->cols[i].numbers = col->shape == DB_SHAPE_NUMBER;
	}
	return m;
}

void layout_maker_destroy(struct layout_maker *m)
{
	free(m);
}

/* A column that varies is one of numbers when all its values are. */
static void note_kind(struct layout_maker *m, size_t i)
{
	const struct format_head *head = m->head;

	if (head->cols[i].shape != DB_SHAPE_VARIES)
		return;
	if (head->is_number != NULL && head->is_number(head->arg, m->row, i))
		m->cols[i].numbers = true;
	else
		m->cols[i].others = true;
}

static void look_at(struct layout_maker *m, const struct csv_piece *p)
{
	struct maker_column *col = &m->cols[p->col];
	bool last = p->end != CSV_GOES_ON;

	if (p->null) {
		widen(col, strlen(ENCODER_NULL));
		return;
	}
	if (p->first) {
		note_kind(m, p->col);
		m->width = 0;
	}
	display_count(&m->display, p->data, p->len, last, LAYOUT_MAX_WIDTH,
		      &m->width);
	if (last)
		widen(col, m->width);
}

static bool enough(const struct layout_maker *m)
{
	return m->row >= LAYOUT_ROWS || m->n_bytes >= LAYOUT_BYTES;
}

int layout_maker_feed(struct layout_maker *m, const char *data, size_t len)
{
	const char *p = data, *end;
	struct csv_piece piece;
	int rc = 0;

	if (len > LAYOUT_BYTES - m->n_bytes)
		len = LAYOUT_BYTES - m->n_bytes;
	end = data + len;
	while (m->row < LAYOUT_ROWS) {
		rc = csv_reader_next(&m->reader, &p, end, &piece);
		if (rc <= 0)
			break;
		if (m->in_rows && m->head->n_cols > 0)
			look_at(m, &piece);
		if (piece.end == CSV_ROW_END) {
			m->row += m->in_rows;
			m->in_rows = true;
		}
	}
	m->n_bytes += len;
	return rc < 0 ? rc : enough(m);
}

struct layout *layout_maker_finish(struct layout_maker *m)
{
	size_t n = m->head->n_cols;
	struct layout *layout =
		calloc(1, sizeof(*layout) + n * sizeof(*layout->cols));

	if (layout == NULL)
		return NULL;
	atomic_init(&layout->refs, 1);
	for (size_t i = 0; i < n; i++) {
		layout->cols[i].width = m->cols[i].width;
		layout->cols[i].right =
			m->cols[i].numbers && !m->cols[i].others;
	}
	return layout;
}

struct layout *layout_ref(struct layout *layout)
{
	atomic_fetch_add(&layout->refs, 1);
	return layout;
}

void layout_unref(struct layout *layout)
{
	if (layout != NULL && atomic_fetch_sub(&layout->refs, 1) == 1)
		free(layout);
}
