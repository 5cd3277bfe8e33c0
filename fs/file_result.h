/* SPDX-License-Identifier: MIT */
/*
 * result.csv and results/N.csv, and the same in every other format. Thread of
 * the loop.
 */
#ifndef CONNFS_FS_FILE_RESULT_H
#define CONNFS_FS_FILE_RESULT_H

#include <stdbool.h>
#include <stdint.h>

#include "fs/format.h"

struct entry;
struct node;
struct request;
struct result;
struct script;
struct view;

/* For connection_entries: the caller's last result set, in e->format. */
int result_make_last(struct node **out, const struct view *v,
		     const struct entry *e);

/* For results/: number n, or -ENOENT. */
int result_make_number(struct node **out, const struct view *v, uint64_t n,
		       enum format format);

/* Who has made a script for one open file only. */
struct result_owner {
	/* The file is closed, or will not be opened after all. */
	void (*closed)(struct result_owner *owner);
};

/*
 * Opens the last result set of such a script, once it is there, in that
 * format; its text has been sent. The owner keeps the script meanwhile. rq is
 * an OPEN with its flags, parked or not. 0: it is answered, now or later, and
 * owner->closed() is called once, perhaps before this returns. A negative
 * errno: rq is left to the caller, and owner is not called.
 */
int result_open_script(struct request *rq, struct script *script,
		       enum format format, struct result_owner *owner);

/*
 * The result set is whole, and its size in that format is known: a file that
 * has been opened by result_open_script() can be read at any place then.
 */
bool result_has_size(struct result *result, enum format format, uint64_t *size);

#endif
