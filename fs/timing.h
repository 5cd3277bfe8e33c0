/* SPDX-License-Identifier: MIT */
/*
 * How long each part of a statement took, one part after the other: what
 * status.json shows as "timing". A plain value; whoever has it guards it.
 */
#ifndef CONNFS_FS_TIMING_H
#define CONNFS_FS_TIMING_H

#include <stdint.h>

struct buf;

enum timing_part {
	TIMING_QUEUE,       /* until a session has taken it */
	TIMING_CREDENTIALS, /* of the last login, as are the next three */
	TIMING_DIAL,
	TIMING_TLS,
	TIMING_LOGIN,     /* the rest of it */
	TIMING_FIRST_ROW, /* from sending to the first row, or the end */
	TIMING_ROWS,      /* from there to the end; of what has rows */
	TIMING_PARTS,
};

struct timing {
	uint64_t since;           /* the part that runs; clock_mono_us() */
	int64_t us[TIMING_PARTS]; /* -1: has not happened, does not apply */
};

/* Nothing has happened; the first part begins. */
void timing_init(struct timing *t);

/* A part begins that the one before does not reach up to. */
void timing_begin(struct timing *t);

/* That part ends, and the next one begins. */
void timing_end(struct timing *t, enum timing_part part);

/* These parts, from first to last, have not happened after all. */
void timing_forget(struct timing *t, enum timing_part first,
		   enum timing_part last);

/* Appends a JSON object: milliseconds with their tenths, or null. */
void timing_json(const struct timing *t, struct buf *out);

#endif
