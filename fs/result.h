/* SPDX-License-Identifier: MIT */
/*
 * One result set: its columns, its spool, and who waits for its bytes.
 *
 * Made by the worker that runs the statement, which then only appends to the
 * spool; all else belongs to the thread of the loop. Counted: its statement
 * holds it, and every open file holds both.
 */
#ifndef CONNFS_FS_RESULT_H
#define CONNFS_FS_RESULT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "backends/db.h"
#include "fs/format.h"
#include "fs/spool.h"

struct cell_kinds;
struct format_index;
struct node;
struct result_reader;
struct statement;

struct result {
	atomic_uint refs;
	struct statement *statement; /* not counted: it holds us */
	struct spool *spool;
	char *columns_json; /* [{"name": .., "type": ..}, ..] */
	size_t n_cols;
	bool *plain;              /* per column: never needs quoting */
	bool has_rows;            /* false: the bytes of COPY */
	struct format_head head;  /* of what has rows */
	struct cell_kinds *kinds; /* null: no column varies */
	struct format_index *index;

	/* Thread of the loop. */
	struct result_reader *readers; /* of open files */
	unsigned n_open;
	bool left_early;    /* a reader closed it before its end */
	struct node *nodes; /* inodes that show it, not counted */
};

/* cols may be null with n_cols 0: COPY. Null when there is no memory. */
struct result *result_create(struct spool_pool *pool,
			     struct statement *statement,
			     const struct db_column *cols, size_t n_cols);
struct result *result_ref(struct result *result);
void result_unref(struct result *result); /* null is allowed */

/*
 * What the end of a finished one means to a reader: 0, or the negative errno
 * it ended with. Any thread.
 */
int result_end(const struct result *result);

/*
 * Whether it can be read in a format: 0; -EOPNOTSUPP: the bytes of COPY are
 * none but themselves; -EFBIG: it is JSON, and its columns change between
 * number and text too often to be told apart. Any thread.
 */
int result_check_format(const struct result *result, enum format format);

#endif
