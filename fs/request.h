/* SPDX-License-Identifier: MIT */
/*
 * One FUSE request on its way to a file and back: what a file_*.c sees of
 * FUSE. An operation answers it at once or parks it and answers later; it is
 * answered exactly once. Thread of the loop only.
 *
 * A parked request whose caller gets a signal is looked at again every 100 ms
 * until a signal that ends the caller is pending; then its on_dying is called,
 * once. A handled signal (a timer, a child that ended) changes nothing: a
 * caller that sees EINTR repeats the call, and would run a statement twice.
 */
#ifndef CONNFS_FS_REQUEST_H
#define CONNFS_FS_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "fs/format.h"

struct fuse_file_info;
struct fuse_pollhandle;
struct poll_handle;
struct fuse_req;
struct loop;
struct request;
struct result_owner;

typedef void (*request_fn)(struct request *rq);

struct request {
	struct fuse_req *req;
	struct fuse_file_info *fi; /* OPEN and CREATE: filled for the reply */
	pid_t tid;
	uid_t uid;
	gid_t gid;

	/* For whoever parks it. */
	void *owner;
	size_t size;
	uint64_t off;
	int flags; /* of an OPEN; of a READ: as they are by then */
	/* Of an OPEN of a result; the other may be null. */
	enum format format;
	struct result_owner *result_owner;
	request_fn on_dying;
	request_fn then;      /* what goes on once it need not wait */
	struct request *next; /* in the owner's list */

	/* request.c's own. */
	struct request_table *table;
	struct request *all_next, *all_prev;
	bool parked;
	bool interrupted;
	bool dying;
};

struct request_table;

struct request_table *request_table_create(struct loop *loop);
void request_table_destroy(struct request_table *table);

/* Looks at callers that were interrupted since; after each round. */
void request_table_check(struct request_table *table);

/* Answers every parked request: the end of the daemon. */
void request_table_fail_all(struct request_table *table, int code);

/*
 * Keeps rq, which lives on the stack of ops.c, until it is answered. Returns
 * the copy to keep, or null when there is no memory.
 */
struct request *request_park(struct request_table *table,
			     const struct request *rq, request_fn on_dying,
			     void *owner);

/* Each answers and, when it was parked, frees rq. */
void request_fail(struct request *rq, int code); /* positive errno, 0: done */
void request_wrote(struct request *rq);          /* all of rq->size */
void request_data(struct request *rq, const void *data, size_t len);
void request_pieces(struct request *rq, const struct iovec *iov, int n);

/* How an OPEN is answered; see fuse_file_info. */
struct open_reply {
	uint64_t fh;
	bool direct_io;
	bool keep_cache;
	bool nonseekable;
	/* Without a position: reads and writes do not wait for each other. */
	bool stream;
};
/* False when the caller is gone and no RELEASE will come. */
bool request_opened(struct request *rq, const struct open_reply *reply);

/*
 * Somebody who polls a file. Made by ops.c; notify tells the kernel to ask
 * again, and frees it.
 */
struct poll_handle *poll_handle_create(struct fuse_pollhandle *ph);
void poll_handle_notify(struct poll_handle **ph);
void poll_handle_free(struct poll_handle *ph); /* null is allowed */

/* A list of parked requests, first in first out. */
struct request_list {
	struct request *first;
	struct request **last; /* null while empty and never used */
};
void request_list_add(struct request_list *list, struct request *rq);
void request_list_remove(struct request_list *list, struct request *rq);
struct request *request_list_take(struct request_list *list);

/* Answers all of them: what they waited for has gone. */
void request_list_fail(struct request_list *list, int code);

#endif
