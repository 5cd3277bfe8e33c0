/* SPDX-License-Identifier: MIT */
/*
 * Result sets for the tests of the encoders, and every way to encode one: at
 * once, a byte at a time, in random pieces into little room, and from each of
 * its rows on. All must give the same.
 */
#ifndef CONNFS_TESTS_UNIT_ENCODE_RUN_H
#define CONNFS_TESTS_UNIT_ENCODE_RUN_H

#include <stdint.h>

#include "common/buf.h"
#include "fs/encoder.h"

enum { ENCODE_MAX = 64 * 1024 * 1024 };

struct encode_cell {
	const char *data; /* null: NULL */
	size_t len;
	bool is_number;
};

uint64_t encode_random(void); /* the same numbers in each run */

/*
 * Columns as "name:shape name:shape", the shape being t, n, b, j or v (which
 * varies); in a name _ stands for a blank and ~ for _.
 */
void encode_head(struct format_head *head, const char *columns);

/* The CSV of a result set, as the worker writes it. */
void encode_csv(struct buf *csv, const struct format_head *head,
		const struct encode_cell *cells, size_t n_rows);

struct layout *encode_layout(const struct format_head *head, const char *csv,
			     size_t len);

/* Encodes in all ways, and gives what they all gave. */
void encode_all_ways(enum format format, const struct format_head *head,
		     const char *csv, size_t len, struct buf *out);

/* At once, for what is large. 0 or a negative errno. */
int encode_once(enum format format, const struct format_head *head,
		const char *csv, size_t len, struct buf *out);

#endif
