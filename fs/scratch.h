/* SPDX-License-Identifier: MIT */
/*
 * Files that callers make in the mount: beside query.sql those of editors
 * (swap files, backups, the new text before it is renamed onto query.sql), in
 * queries/ the saved queries. They live in memory. A directory of them belongs
 * to one conversation, or to one owner of saved queries, and is seen by nobody
 * else. Thread of the loop.
 */
#ifndef CONNFS_FS_SCRATCH_H
#define CONNFS_FS_SCRATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/buf.h"

enum {
	SCRATCH_MAX_FILES = 32, /* per conversation */
	SCRATCH_MAX_SIZE = 16 * 1024 * 1024 + 4096,
};

struct scratch;

/* Counted: by who owns it, and by each of its files. */
struct scratch_dir {
	unsigned refs;
	struct scratch *files; /* newest first; each counted */
	unsigned n_files;
	unsigned max_files;
	uint64_t n_bytes; /* of all, also of what is removed and still open */
	uint64_t max_bytes;
	int64_t changed_ms; /* a name has come or gone; 0: never */
};

struct scratch {
	unsigned refs;
	struct scratch_dir *dir; /* counted */
	struct scratch *next;    /* of the directory */
	bool removed;
	unsigned n_open;
	char *name;
	struct buf content;
	mode_t mode;
	int64_t mtime_ms;
	uint64_t node_id; /* 0: the kernel does not know it */
};

/* Null: no memory. */
struct scratch_dir *scratch_dir_create(unsigned max_files, uint64_t max_bytes);

/* Its owner ends: the files go, and what they hold. Null is allowed. */
void scratch_dir_end(struct scratch_dir *dir);

/* dir may be null: there is none. */
struct scratch *scratch_find(const struct scratch_dir *dir, const char *name);
struct scratch *scratch_first(const struct scratch_dir *dir);

/* 0, -EDQUOT when there are too many, -ENOMEM. */
int scratch_create(struct scratch **out, struct scratch_dir *dir,
		   const char *name, mode_t mode);
struct scratch *scratch_ref(struct scratch *s);
void scratch_unref(struct scratch *s); /* null is allowed */

/* For an open file: a reference that also keeps what it holds. */
struct scratch *scratch_open(struct scratch *s);
void scratch_close(struct scratch *s);

/* Takes it out of the directory; who has it open keeps it. */
void scratch_remove(struct scratch *s);

/* name replaces what was called so. 0 or -ENOMEM. */
int scratch_rename(struct scratch *s, const char *name);

/* 0, -EFBIG, -EDQUOT: the directory holds too much, or -ENOMEM. */
int scratch_write(struct scratch *s, const char *data, size_t len,
		  uint64_t off);
int scratch_truncate(struct scratch *s, uint64_t size);

#endif
