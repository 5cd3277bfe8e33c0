/* SPDX-License-Identifier: MIT */
/*
 * The formats a result set can be read in, and what all but CSV need to know
 * of its columns. Pure.
 */
#ifndef CONNFS_FS_FORMAT_H
#define CONNFS_FS_FORMAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "backends/db.h"

enum format {
	FORMAT_CSV, /* what the worker writes; the others are made from it */
	FORMAT_TSV,
	FORMAT_JSONL,
	FORMAT_JSON,
	FORMAT_TXT,
	FORMATS,
};

const char *format_name(enum format format); /* "csv" */

/* The format of that name. False: there is none. */
bool format_by_name(const char *name, enum format *out);

struct format_column {
	char *name; /* UTF-8, as the server gave it */
	enum db_shape shape;
};

/* The columns of one result set; fixed once made. Any thread. */
struct format_head {
	size_t n_cols;
	struct format_column *cols;
	/*
	 * Of columns whose shape is DB_SHAPE_VARIES: the value of that row
	 * (from 0) is a number. Any thread; of rows that have been committed.
	 */
	bool (*is_number)(const void *arg, uint64_t row, size_t col);
	const void *arg;
};

/* Copies names and shapes. 0 or -ENOMEM. */
int format_head_init(struct format_head *head, const struct db_column *cols,
		     size_t n_cols);
void format_head_finish(struct format_head *head); /* zeroed is allowed */

#endif
