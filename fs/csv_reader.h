/* SPDX-License-Identifier: MIT */
/*
 * Takes connfs's own CSV (fs/csv.h) apart, from pieces of any size. Lends
 * parts of the memory it is given and keeps none of it. Pure.
 */
#ifndef CONNFS_FS_CSV_READER_H
#define CONNFS_FS_CSV_READER_H

#include <stdbool.h>
#include <stddef.h>

#include "fs/lanes.h"

enum { CSV_PIECE_MAX = 16 * 1024 };

enum csv_end {
	CSV_GOES_ON, /* more of this cell will follow */
	CSV_CELL_END,
	CSV_ROW_END, /* the end of the cell too */
};

/* What comes next: a cell or a part of one. */
struct csv_piece {
	const char *data;
	size_t len;        /* at most CSV_PIECE_MAX, may be 0 */
	const char *limit; /* up to here the memory can be read */
	size_t col;
	enum csv_end end;
	bool first; /* of its cell */
	bool null;  /* the whole cell is NULL */
};

enum csv_state {
	CSV_START,  /* of a cell */
	CSV_PLAIN,  /* inside of one without quotes */
	CSV_QUOTED, /* inside of one with quotes */
	CSV_QUOTE,  /* behind a quote in it: its last one, or half of a pair */
	CSV_BROKEN,
};

struct csv_reader {
	size_t n_cols;
	size_t col;
	enum csv_state state;
	bool first; /* nothing of this cell has been given out */
};

/* Of rows of n_cols cells; those of none are empty lines. */
void csv_reader_init(struct csv_reader *r, size_t n_cols);

/* Between two rows, or before the first. */
static inline bool csv_reader_at_row(const struct csv_reader *r)
{
	return r->state == CSV_START && r->col == 0;
}

/* Of csv_reader_next(): what is not a short plain cell. */
int csv_reader_long(struct csv_reader *r, const char **data, const char *end,
		    struct csv_piece *piece);

/* The lanes of what a plain cell does not have, but for CR. */
static inline lanes csv_specials(lanes v)
{
	return (lanes)((v == lanes_fill(',')) | (v == lanes_fill('\n')) |
		       (v == lanes_fill('"')));
}

/*
 * Takes the next piece from *data, which it moves along, up to end. 1; 0: all
 * was taken and no piece is complete; -EILSEQ: this is not such CSV. A row of
 * no cells is one piece of col 0 that is NULL. In the header, because it is
 * called for each cell of gigabytes.
 */
static inline int csv_reader_next(struct csv_reader *r, const char **data,
				  const char *end, struct csv_piece *piece)
{
	const char *p = *data;
	size_t n, col = r->col;
	bool row_end;

	if (r->state != CSV_START || end - p < LANES || r->n_cols == 0)
		return csv_reader_long(r, data, end, piece);
	n = lanes_first(csv_specials(lanes_load(p)));
	row_end = col + 1 == r->n_cols;
	if (n == LANES || p[n] != (row_end ? '\n' : ','))
		return csv_reader_long(r, data, end, piece);
	piece->data = p;
	piece->len = n;
	piece->limit = end;
	piece->col = col;
	piece->end = row_end ? CSV_ROW_END : CSV_CELL_END;
	piece->first = true;
	piece->null = n == 0;
	r->col = row_end ? 0 : col + 1;
	*data = p + n + 1;
	return 1;
}

#endif
