/* SPDX-License-Identifier: MIT */
#include "fs/csv_reader.h"

#include <errno.h>
#include <string.h>

void csv_reader_init(struct csv_reader *r, size_t n_cols)
{
	*r = (struct csv_reader){.n_cols = n_cols, .first = true};
}

static int broken(struct csv_reader *r)
{
	r->state = CSV_BROKEN;
	return -EILSEQ;
}

static void give(struct csv_reader *r, struct csv_piece *piece,
		 const char *data, size_t len)
{
	piece->data = data;
	piece->len = len;
	piece->col = r->col;
	piece->end = CSV_GOES_ON;
	piece->first = r->first;
	piece->null = false;
	r->first = false;
}

/* The piece is the cell's last one, and c stands behind the cell. */
static int end_cell(struct csv_reader *r, struct csv_piece *piece, char c)
{
	r->state = CSV_START;
	r->first = true;
	r->col++;
	if (c == ',' && r->col < r->n_cols) {
		piece->end = CSV_CELL_END;
		return 1;
	}
	if (c != '\n' || r->col < r->n_cols)
		return broken(r);
	r->col = 0;
	piece->end = CSV_ROW_END;
	return 1;
}

/* Comma, LF, or a quote, which a plain cell does not have; else end. */
static const char *plain_end(const char *p, const char *end)
{
	for (;;) {
		size_t i = lanes_first(csv_specials(lanes_load_until(p, end)));

		if (i < LANES)
			return p + i;
		if (end - p <= LANES)
			return end;
		p += LANES;
	}
}

static int plain(struct csv_reader *r, const char **data, const char *end,
		 struct csv_piece *piece)
{
	const char *stop = plain_end(*data, end);

	give(r, piece, *data, (size_t)(stop - *data));
	*data = stop;
	if (stop == end) {
		r->state = CSV_PLAIN;
		return 1;
	}
	++*data;
	return end_cell(r, piece, *stop);
}

static int quoted(struct csv_reader *r, const char **data, const char *end,
		  struct csv_piece *piece)
{
	size_t len = (size_t)(end - *data);
	const char *quote = memchr(*data, '"', len);

	r->state = CSV_QUOTED;
	if (quote == NULL) {
		give(r, piece, *data, len);
		*data = end;
		return 1;
	}
	/* Of a pair the first one belongs to the text. */
	if (end - quote >= 2 && quote[1] == '"') {
		give(r, piece, *data, (size_t)(quote - *data) + 1);
		*data = quote + 2;
		return 1;
	}
	give(r, piece, *data, (size_t)(quote - *data));
	*data = quote + 1;
	if (*data == end) {
		r->state = CSV_QUOTE;
		return 1;
	}
	return end_cell(r, piece, *(*data)++);
}

/* What follows a quote that was the last byte there was. */
static int behind_quote(struct csv_reader *r, const char **data,
			struct csv_piece *piece)
{
	const char *p = (*data)++;

	give(r, piece, p, *p == '"' ? 1 : 0);
	if (*p != '"')
		return end_cell(r, piece, *p);
	r->state = CSV_QUOTED;
	return 1;
}

static int start(struct csv_reader *r, const char **data, const char *end,
		 struct csv_piece *piece)
{
	char c = **data;

	if (c != '\n' && r->n_cols == 0)
		return broken(r);
	if (c == '"') {
		++*data;
		r->state = CSV_QUOTED;
		return *data < end ? quoted(r, data, end, piece) : 0;
	}
	if (c != ',' && c != '\n')
		return plain(r, data, end, piece);
	give(r, piece, *data, 0);
	piece->null = true;
	++*data;
	return end_cell(r, piece, c);
}

int csv_reader_long(struct csv_reader *r, const char **data, const char *end,
		    struct csv_piece *piece)
{
	if (r->state == CSV_BROKEN)
		return -EILSEQ;
	if (*data == end)
		return 0;
	piece->limit = end;
	if (end - *data > CSV_PIECE_MAX)
		end = *data + CSV_PIECE_MAX;
	switch (r->state) {
	case CSV_START:
		return start(r, data, end, piece);
	case CSV_PLAIN:
		return plain(r, data, end, piece);
	case CSV_QUOTED:
		return quoted(r, data, end, piece);
	default:
		return behind_quote(r, data, piece);
	}
}
