/* SPDX-License-Identifier: MIT */
/*
 * query.sql opened for reading and writing: a private stream. See
 * docs/exchange.md. Thread of the loop.
 */
#ifndef CONNFS_FS_FILE_EXCHANGE_H
#define CONNFS_FS_FILE_EXCHANGE_H

#include <sys/types.h>

struct buf;
struct caller;
struct mount;
struct node;
struct request;

/* As the operations of the same names in struct file_ops. */
int exchange_open(struct request *rq, struct mount *m, struct node *node,
		  const struct caller *caller);
int exchange_error(struct node *node, uid_t uid, struct buf *out);

#endif
