/* SPDX-License-Identifier: MIT */
/*
 * What one open file of query.sql receives from OPEN to close, and what came
 * of it: text that accumulates, statements that run one after another, their
 * result sets, and the callers who wait. Thread of the loop.
 *
 * A script is started when its first statement is complete. Its first failure
 * ends it.
 */
#ifndef CONNFS_FS_SCRIPT_H
#define CONNFS_FS_SCRIPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/buf.h"
#include "fs/caller.h"
#include "fs/format.h"
#include "fs/loop.h"
#include "fs/request.h"

enum {
	SCRIPT_MAX_STATEMENT = 16 * 1024 * 1024,
	SCRIPT_MAX_TEXT = SCRIPT_MAX_STATEMENT + 2 * 1024 * 1024,
	SCRIPT_MAX_RESULTS = 100,
};

struct conversation;
struct err;
struct result;
struct script_watcher;
struct statement;
struct sql_splitter;

struct script {
	unsigned refs;
	uint64_t id;               /* of all scripts of this daemon, from 1 */
	struct conversation *conv; /* counted */
	struct caller writer;
	struct caller_names names; /* what the access rule asked for */
	bool trusts_size;         /* the writer's tools take size 0 for empty */
	struct script *next;      /* conversation's list, newest first */
	struct script *next_turn; /* conversation's queue */
	bool in_turn;
	struct script *next_open; /* conversation's open scripts */

	/* Text that is not a complete statement yet. */
	struct buf text;
	bool held;     /* its ends depend on a statement that is not over */
	bool held_end; /* nothing more will come */
	struct sql_splitter *splitter;
	unsigned line; /* of text's first byte, from 1 */
	unsigned column;

	struct statement *pending; /* complete, not sent; counted */
	struct statement *current; /* the last one sent or failed; counted */
	bool running;              /* current is not over; counts a ref */
	int rc;                    /* the first failure, 0: none */
	bool refused; /* it met another one: it never had the session */
	bool told;    /* rc, by the failure of a WRITE */

	/* An exchange's: a WRITE returns at the first row of what only reads,
	 * and on_progress is called after every script_advance(). */
	bool interactive;
	void (*on_progress)(void *listener);
	void *listener;

	/* The last SCRIPT_MAX_RESULTS; number of the first is first_result. */
	struct {
		struct result *result;       /* counted */
		struct statement *statement; /* counted */
	} results[SCRIPT_MAX_RESULTS];
	size_t n_results;
	uint64_t first_result;
	size_t n_collected; /* of current's own */
	/* result.csv and the others while there is none; 0: not made. */
	uint64_t blank_nodes[FORMATS];

	struct request_list waiters; /* WRITE, FLUSH, FSYNC, RENAME */
	struct request_list openers; /* OPEN of a result */
	struct script_watcher *watchers;
	struct loop_timer settle_timer;
	struct loop_timer queue_timer;
};

/* writer is the caller that opened query.sql. Null: no memory. */
struct script *script_create(struct conversation *conv,
			     const struct caller *writer);
/*
 * The script of the same writer after this one, with what is left of its text
 * when it has not failed. Null: no memory.
 */
struct script *script_continue(struct script *script);
struct script *script_ref(struct script *script);
void script_unref(struct script *script); /* null is allowed */

/*
 * More text. Statements that it completes run, and rq (a copy of it) is
 * answered once the last of them has settled: failed, complete, or its rows
 * fill spool_memory or have been coming for settle_time. Returns 0 when rq was
 * taken over, or a negative errno.
 */
int script_write(struct script *script, struct request *rq, const char *data,
		 size_t len);

/*
 * The parts of script_write(): takes more text (and says that it ends there),
 * and has rq answered when all of it has settled.
 */
int script_add(struct script *script, const char *data, size_t len, bool end);
int script_settle(struct script *script, struct request *rq);

/*
 * What a waiter is to be told, if it is known: 0 or the negative errno. While
 * it is not, script_advance() is called when it may be.
 */
bool script_settled(struct script *script, int *rc);

/*
 * The end of the text, or a place to run what stands there without its
 * semicolon; rq as above. rq may be null: nobody is told.
 */
int script_flush(struct script *script, struct request *rq);

/* Text that has not run is forgotten: the file was cut to nothing. */
void script_truncate(struct script *script);

/* Runs what can run and answers who can be answered. */
void script_advance(struct script *script);

/* Ends the running statement and what follows it. */
void script_cancel(struct script *script, int reason);

/*
 * Nobody can ask for its results any more: they are let go, but for those
 * that are open.
 */
void script_retire(struct script *script);

/* No file is open any more. */
void script_close(struct script *script);

/*
 * What an OPEN of the last result set would find: 0 with *out (null: there is
 * none, the content is empty), -EAGAIN while it has to wait, or the errno of
 * the failure.
 */
int script_last_result(struct script *script, struct result **out,
		       struct statement **statement);

/*
 * Keeps an OPEN, parked or not, until script_last_result() knows; then
 * rq->then is called.
 */
int script_wait_result(struct script *script, struct request *rq);

/* A reader of a running result has gone; it may be nobody wants it now. */
void script_reader_left(struct script *script, struct result *result,
			bool early);

/* A caller that waited for rows is ending; cancels when it was alone. */
void script_reader_died(struct script *script);

/* Result set number n, from 1; null when it is not there (any more). */
struct result *script_result(struct script *script, uint64_t n,
			     struct statement **statement);

#endif
