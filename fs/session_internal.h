/* SPDX-License-Identifier: MIT */
/*
 * What session.c, session_login.c and session_cancel.c share: who may touch
 * what of a session. Private to the three.
 */
#ifndef CONNFS_FS_SESSION_INTERNAL_H
#define CONNFS_FS_SESSION_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "fs/login.h"
#include "fs/loop.h"
#include "fs/session.h"
#include "fs/trail.h"

struct db;
struct err;
struct spec;
struct statement;

enum {
	/* SQLite's parser needs most of it for a deeply nested expression. */
	SESSION_STACK = 1024 * 1024,
};

struct session {
	atomic_uint refs;
	struct loop *loop;
	struct spec *spec;
	uint64_t max_row;
	bool read_only;
	void (*on_idle)(void *owner); /* thread of the loop */
	void *owner;
	void (*on_closed)(void *arg); /* thread of the loop */
	void *closed_arg;
	struct loop_event event;
	pthread_t thread; /* the worker */
	bool joined;      /* it has been, by the loop */

	/* The worker's own. */
	bool logged_in_before;
	uint64_t db_end; /* clock_mono_ms(): the connection is not used then */

	pthread_mutex_t lock;
	pthread_cond_t cond;
	char *app_name;        /* lock; the worker's while it has a job */
	bool lent;             /* lock; it has to be reset first */
	struct statement *job; /* lock; counted while it runs */
	bool close;            /* lock */
	bool ended;            /* lock; the worker touches nothing more */
	struct db *db;         /* lock to change; the worker uses it */
	unsigned n_cancels;    /* lock; cancellers: the worker outlives them */
	struct session_state state; /* lock */
	/* What happened last; of it, how the connection came about. */
	struct trail trail;  /* lock */
	uint64_t login_from; /* lock; see trail_keep() */
	uint64_t login_to;   /* lock */
};

/* Of clock_mono_ms(), for pthread_cond_timedwait(). */
struct timespec session_time_in(unsigned ms);

/* How it logs in, under that name. Lent by the session. */
struct login session_login(const struct session *session, const char *app_name);

/*
 * Worker, while it has a job: a connection that is known to work, or a new one.
 * One that was lost with something in it that the next statement would count on
 * is a failure.
 */
int session_ready(struct session *session, struct err *err);

/* Takes the connection away once no canceller is left that could use it. */
struct db *session_detach_db(struct session *session);

/* Notes an event, without a secret. Any thread, without the lock. */
void session_note(struct session *session, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* Forgets the events of the statement before. */
void session_begin_trail(struct session *session);

#endif
