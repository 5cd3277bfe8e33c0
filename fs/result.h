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
#include "fs/spool.h"

struct node;
struct result_reader;
struct statement;

struct result {
	atomic_uint refs;
	struct statement *statement; /* not counted: it holds us */
	struct spool *spool;
	char *columns_json; /* [{"name": .., "type": ..}, ..] */
	size_t n_cols;
	bool *plain; /* per column: never needs quoting */

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

#endif
