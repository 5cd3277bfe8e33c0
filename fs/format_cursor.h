/* SPDX-License-Identifier: MIT */
/*
 * A place in a result set as it is in a format other than CSV: reads the
 * spool and encodes. Any one thread at a time, the loop's too, as nothing
 * waits but format_cursor_fetch().
 */
#ifndef CONNFS_FS_FORMAT_CURSOR_H
#define CONNFS_FS_FORMAT_CURSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fs/format.h"

struct buf;
struct format_cursor;
struct result;

/* result is the caller's, who keeps it. Null: no memory. */
struct format_cursor *format_cursor_create(struct result *result,
					   enum format format);
void format_cursor_destroy(struct format_cursor *c); /* null is allowed */

/*
 * Goes to off, or to the nearest place before it that is known if that is
 * nearer than where it stands. Returns the offset where it stands then.
 */
uint64_t format_cursor_seek(struct format_cursor *c, uint64_t off);

enum format_filled {
	FORMAT_MORE, /* there is more to be done */
	FORMAT_DRY,  /* that is all the rows so far: see format_needs */
	FORMAT_END,  /* that is all of a complete result */
};

/*
 * Appends what comes next to out, until that holds want bytes, or it was a
 * good deal of work. Or a negative errno, with what came before it in out:
 * -EAGAIN: call format_cursor_fetch(); -ECANCELED, -ETIMEDOUT, -EIO: the
 * result was cut there; -ESTALE: given up meanwhile; -EOPNOTSUPP, -EFBIG: see
 * result_check_format(); -ENOMEM. All but -EAGAIN last until the next seek.
 */
int format_cursor_fill(struct format_cursor *c, struct buf *out, size_t want);

/* Waits for the disk. 0 or a negative errno. */
int format_cursor_fetch(struct format_cursor *c);

struct format_needs {
	uint64_t from;   /* CSV before it has been taken */
	uint64_t beyond; /* after FORMAT_DRY: there must be more than this, */
	bool or_full_spool; /* or the writer waits for a reader */
};
void format_cursor_needs(const struct format_cursor *c,
			 struct format_needs *out);

#endif
