/* SPDX-License-Identifier: MIT */
/*
 * A place in a result set, and the READs that wait there for rows. Belongs to
 * an open file; thread of the loop.
 */
#ifndef CONNFS_FS_RESULT_READER_H
#define CONNFS_FS_RESULT_READER_H

#include <stdbool.h>
#include <stdint.h>

#include "fs/loop.h"
#include "fs/request.h"
#include "fs/spool.h"

struct mount;
struct result;
struct result_fetch;
struct result_reader;
struct statement;

/* What became of a READ; or a negative errno, which is to be its answer. */
enum result_served {
	RESULT_ANSWERED,
	RESULT_LATER,   /* nothing is there yet */
	RESULT_AWAITED, /* the same, and serve() has seen to the wake */
	RESULT_ON_DISK, /* the bytes have to be fetched first */
	RESULT_END,     /* of result_reader_serve() only */
};

struct result_reader_ops {
	/* Tries to answer rq. */
	int (*serve)(struct result_reader *r, struct request *rq);
	/* A READ that waited was ended by a signal. May be null. */
	void (*left)(struct result_reader *r);
};

struct result_reader {
	const struct result_reader_ops *ops;
	struct mount *mount;
	bool whole; /* in the page cache, where a short answer cuts the file */
	struct result *result;       /* counted; null: none */
	struct statement *statement; /* counted; may be null */
	struct result_reader *next;  /* of the same result */
	struct spool_reader place;
	bool attached;
	bool unreadable; /* the disk has failed: no fetch helps */
	struct request_list waiting;
	struct poll_handle *ph;
	struct loop_timer again;    /* see spool_want() */
	struct result_fetch *fetch; /* from the disk, while it lasts */
};

void result_reader_init(struct result_reader *r,
			const struct result_reader_ops *ops, struct mount *m);
void result_reader_finish(struct result_reader *r); /* READs get ENOTCONN */

/*
 * Keeps the result set for the reader, whatever comes after it. 0, or -ESTALE
 * when its beginning is gone.
 */
int result_reader_pin(struct result_reader *r, struct result *result,
		      struct statement *statement);
void result_reader_unpin(struct result_reader *r); /* nothing pinned: fine */

/*
 * Answers rq with the bytes of the pinned result at rq->off. RESULT_END, with
 * rq not answered, when no more will come: see result_reader_end().
 */
int result_reader_serve(struct result_reader *r, struct request *rq);

/* What the end means to a reader: 0 or the negative errno it ended with. */
int result_reader_end(const struct result_reader *r);

/* A READ: answered, failed (the negative errno), or kept until it can be. */
int result_reader_read(struct result_reader *r, struct request *rq,
		       bool nonblocking);

/* Looks at the READs that wait again, and tells whoever polls. */
void result_reader_wake(struct result_reader *r);

/* Asks for a wake when there is more than off. False: there is already. */
bool result_reader_want(struct result_reader *r, struct result *result,
			uint64_t off);

/* ph, if not null, is told at the next wake, instead of the one before. */
void result_reader_poll(struct result_reader *r, struct poll_handle *ph);

/* There are more rows, or the end: readers that wait get them. */
void result_wake(struct result *result);

#endif
