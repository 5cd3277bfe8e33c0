/* SPDX-License-Identifier: MIT */
/*
 * A reader of a result set in a format other than CSV: encoded on the mount's
 * encoding thread, a piece at a time, ahead of the reader while it goes front
 * to back. Belongs to an open file; thread of the loop.
 */
#ifndef CONNFS_FS_FORMAT_READER_H
#define CONNFS_FS_FORMAT_READER_H

#include <stdbool.h>
#include <stdint.h>

#include "common/buf.h"
#include "fs/format.h"
#include "fs/format_cursor.h"
#include "fs/result_reader.h"

struct format_work;

struct format_reader {
	struct result_reader base; /* base.whole: set it once initialized */
	enum format format;
	struct format_work *work; /* null: nothing is pinned */
	struct buf ready;         /* encoded, for those who ask for it */
	uint64_t off;             /* of its first byte */
	uint64_t next;            /* where the last answer ended */
	bool in_order;            /* and the one before that where it began */
	struct format_needs needs;
	bool dry;    /* the rows so far are all in ready */
	bool ended;  /* nothing comes after ready, */
	int code;    /* but this negative errno, or 0: the end */
	bool at_end; /* a READ has been told */
};

void format_reader_init(struct format_reader *f, struct mount *m,
			enum format format);
void format_reader_finish(struct format_reader *f); /* READs get ENOTCONN */

/* Once, as result_reader_pin(); without it all READs are at the end. */
int format_reader_pin(struct format_reader *f, struct result *result,
		      struct statement *statement);

/* As result_reader_read(). */
int format_reader_read(struct format_reader *f, struct request *rq,
		       bool nonblocking);

/* The next READ in order need not wait; false: whoever polls will be told. */
bool format_reader_ready(struct format_reader *f);

#endif
