/* SPDX-License-Identifier: MIT */
/*
 * Files beside query.sql that editors make (swap files, backups, the new text
 * before it is renamed onto query.sql). They live in memory, belong to the
 * conversation and are seen by nobody else. Thread of the loop.
 */
#ifndef CONNFS_FS_SCRATCH_H
#define CONNFS_FS_SCRATCH_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/buf.h"

enum {
	SCRATCH_MAX_FILES = 32, /* per conversation */
	SCRATCH_MAX_SIZE = 16 * 1024 * 1024 + 4096,
};

struct conversation;

struct scratch {
	unsigned refs;
	struct scratch *next; /* conversation's list */
	char *name;
	struct buf content;
	mode_t mode;
	int64_t mtime_ms;
	uint64_t node_id; /* 0: the kernel does not know it */
};

struct scratch *scratch_find(struct conversation *conv, const char *name);

/* 0, -EDQUOT when there are too many, -ENOMEM. */
int scratch_create(struct scratch **out, struct conversation *conv,
		   const char *name, mode_t mode);
struct scratch *scratch_ref(struct scratch *s);
void scratch_unref(struct scratch *s); /* null is allowed */

/* Takes it out of the directory; who has it open keeps it. */
void scratch_remove(struct conversation *conv, struct scratch *s);
/* And what it holds: the conversation ends. */
void scratch_drop_all(struct conversation *conv);

/* name replaces what was called so. 0 or -ENOMEM. */
int scratch_rename(struct conversation *conv, struct scratch *s,
		   const char *name);

/* 0, -EFBIG or -ENOMEM. */
int scratch_write(struct scratch *s, const char *data, size_t len,
		  uint64_t off);
int scratch_truncate(struct scratch *s, uint64_t size);

#endif
