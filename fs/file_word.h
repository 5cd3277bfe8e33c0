/* SPDX-License-Identifier: MIT */
/* What all files that are written a word to have in common. */
#ifndef CONNFS_FS_FILE_WORD_H
#define CONNFS_FS_FILE_WORD_H

#include <stdint.h>

#include "fs/caller.h"
#include "fs/file.h"

struct connection;
struct conversation;
struct mount;
struct node;
struct request;

struct word_handle {
	struct handle handle;
	struct caller caller;         /* who opened it */
	struct connection *conn;      /* counted; null outside connections */
	struct conversation *session; /* counted; null outside sessions */
};

/* For file_ops; what is not among them is the file's own. */
int word_open(struct request *rq, struct mount *m, struct node *node,
	      const struct caller *caller, int flags);
void word_release(struct handle *handle);
int word_truncate(struct node *node, struct handle *h, uint64_t size);

#endif
