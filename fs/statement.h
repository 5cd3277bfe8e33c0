/* SPDX-License-Identifier: MIT */
/*
 * One statement from the moment its text is complete: what the worker that
 * runs it and the loop share.
 *
 *     QUEUED -> CONNECTING -> RUNNING -> STREAMING -> DONE | FAILED | CANCELLED
 *
 * Counted. Fields marked "lock" may be read and written by both threads under
 * the lock; the rest is fixed at creation or belongs to the thread named.
 */
#ifndef CONNFS_FS_STATEMENT_H
#define CONNFS_FS_STATEMENT_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "backends/db.h"
#include "backends/sql.h"
#include "common/buf.h"
#include "common/err.h"
#include "fs/loop.h"
#include "fs/timing.h"

struct params;
struct result;
struct spool_pool;
struct trail;

enum statement_state {
	STATEMENT_QUEUED,
	STATEMENT_CONNECTING,
	STATEMENT_RUNNING,
	STATEMENT_STREAMING, /* it has a result set */
	STATEMENT_DONE,
	STATEMENT_FAILED,
	STATEMENT_CANCELLED,
};

enum statement_stop {
	STOP_NONE,
	STOP_CANCEL,    /* the cancel file, or the caller was ended */
	STOP_ABANDONED, /* its readers closed it before its end */
	STOP_REPLACED,  /* the next statement took its place */
	STOP_TIMEOUT,   /* statement_timeout */
	STOP_OVERFLOW,  /* its rows fill the spool, unread, and more follows */
	STOP_UNHELD,    /* its writer's tools need it whole; it is too large */
	STOP_ENDING,    /* the conversation or the mount ends */
};

/* The server's words on a failure; strings are owned, or null. */
struct diagnosis {
	char *severity;
	char *code;
	char *message;
	char *detail;
	char *hint;
	char *context;
	long offset; /* byte of the statement's text, -1: none */
};

struct statement {
	atomic_uint refs;
	uint64_t id;
	char *sql; /* without its semicolon */
	struct sql_traits traits;
	unsigned line; /* of its first byte in the script, from 1 */
	unsigned column;
	struct loop *loop;
	struct spool_pool *pool;
	struct err refusal;   /* why it will not be sent; code 0: it will */
	size_t n_params;      /* that it was given */
	int64_t created_wall; /* ms */
	uint64_t created;     /* monotonic ms */

	/* Thread of the loop. on_change is called after each change. */
	void (*on_change)(void *owner);
	void *owner;
	struct statement *next;  /* in its script's queue */
	struct loop_timer timer; /* statement_timeout, then the last resort */
	unsigned resort;         /* how far a cancellation had to go */
	bool in_transaction;     /* of the session when it was sent */
	unsigned timeout_ms;     /* statement_timeout, 0: none */

	struct loop_event event;
	atomic_bool stopped; /* the sink ends the statement at its next call */
	atomic_int stop;     /* enum statement_stop; the first reason counts */
	atomic_uint_least64_t rows;

	/* The worker's own, once it is sent. */
	struct result *current;
	struct params *params; /* counted, or null */

	pthread_mutex_t lock;
	enum statement_state state; /* lock */
	bool cut;                   /* lock; see statement_cut() */
	bool unknown_outcome;       /* lock; it may still run at the server */
	struct err err;             /* lock */
	struct diagnosis diagnosis; /* lock */
	struct buf notices;         /* lock; a line each */
	char *tag;                  /* lock */
	int64_t affected;           /* lock; -1: does not apply */
	uint64_t streaming_since;   /* lock; monotonic ms */
	uint64_t ended;             /* lock; monotonic ms */
	bool sent;                  /* lock; by the connection it has */
	struct timing timing;       /* lock */
	struct trail *trail;        /* lock; null: nothing to explain */
	int server_pid;             /* lock */
	char app_name[256];         /* lock */
	struct result **results;    /* lock; counted */
	size_t n_results;           /* lock */
};

/* text is copied. Null when there is no memory. */
struct statement *statement_create(struct loop *loop, struct spool_pool *pool,
				   const char *text, size_t len);
struct statement *statement_ref(struct statement *s);
void statement_unref(struct statement *s); /* null is allowed */

/* Before it is sent: its parameters, whose reference goes over; or null. */
void statement_give(struct statement *s, struct params *params);

enum statement_state statement_state(struct statement *s);
bool statement_over(struct statement *s);
const char *statement_state_name(enum statement_state state);

/*
 * Sets the reason and makes the sink end it; asking the server is the
 * session's part. False when it is over or was stopped before.
 */
bool statement_stop(struct statement *s, enum statement_stop reason);

/* The worker is about to send it, again or for the first time. */
void statement_set_sent(struct statement *s);

/*
 * What led to its end, copied: kept when it fails otherwise than by the
 * server's answer to it. Before statement_finish(). Any thread.
 */
void statement_set_trail(struct statement *s, const struct trail *trail);

/* It is sent again: nobody is told of this failure, and what came with it. */
void statement_forget_failure(struct statement *s);

/* The worker tells of its progress; any change is posted to the loop. */
void statement_set_state(struct statement *s, enum statement_state state);

/*
 * The end, by the worker or by the loop: rc 0 or a negative errno with err.
 * The first call counts. Result sets that are still open end with it.
 */
void statement_finish(struct statement *s, int rc, const struct err *err);

/*
 * Its connection is about to be cut: when it ends by that, nobody knows
 * whether the server still works on it.
 */
void statement_cut(struct statement *s);

/* The end when the worker did not come back: nobody knows either. */
void statement_give_up(struct statement *s);

/* Posts a change to the loop. Any thread. */
void statement_changed(struct statement *s);

/* 0, or the negative errno it ended with. */
int statement_code(struct statement *s);

/* It has produced a row, or bytes of COPY. */
bool statement_has_row(struct statement *s);

/* Any of its result sets keeps its writer waiting for a reader. */
bool statement_blocked(struct statement *s);

/* Some open file holds one of its result sets. Thread of the loop. */
bool statement_is_read(struct statement *s);

/* For db_exec(), with the statement as its argument. */
extern const struct db_sink statement_sink;

#endif
