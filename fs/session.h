/* SPDX-License-Identifier: MIT */
/*
 * One database session and its worker thread: logs in at the first statement,
 * runs one statement at a time, and notices before a statement is sent when
 * the server has gone. It can be handed over to another client.
 *
 * Where the engine is one that asks for it, clients do not see that connections
 * are replaced before the server ends them, between statements, nor that a
 * statement on its own met another transaction and was sent again.
 *
 * Belongs to the thread of the loop; the worker and the canceller threads see
 * only what is under the lock. The worker outlives the cancellers.
 */
#ifndef CONNFS_FS_SESSION_H
#define CONNFS_FS_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct loop;
struct session;
struct settings;
struct spec;
struct statement;

struct session_config {
	struct loop *loop;
	struct spec *spec; /* counted by the session */
	const char *app_name;
	uint64_t max_row;
	bool read_only;
	/* Thread of the loop: a statement has ended and the session is idle. */
	void (*on_idle)(void *owner);
	void *owner;
	/* Thread of the loop, once: the worker has ended after a close. */
	void (*on_closed)(void *arg);
	void *closed_arg;
};

/* Starts the worker. Null when there is no memory or no thread. */
struct session *session_create(const struct session_config *config);

/* Runs s, which the session counts until its end. It must be idle. */
void session_run(struct session *session, struct statement *s);

/*
 * From now on it is owner's: before the next statement it is reset, and gets
 * the new client's name. It must be idle and hold no state. 0 or -ENOMEM.
 */
int session_hand_over(struct session *session, void *owner,
		      const char *app_name);

/*
 * Asks the server to end s if it is still the one that runs; returns at once.
 * What comes of it is seen by the statement's end.
 */
void session_cancel(struct session *session, struct statement *s);

/* Puts down in s, which it has, what happened until now: for `error`. */
void session_explain(struct session *session, struct statement *s);

/* Cuts the connection under s, so that the worker returns. Does not wait. */
void session_abort(struct session *session, struct statement *s);

/*
 * No more statements: the worker logs out and ends on its own time. The
 * session is the caller's no more; on_idle will not be called again.
 */
void session_close(struct session *session);

struct session_state {
	bool busy;        /* runs a statement */
	bool keeps_state; /* a transaction or settings would be lost */
	bool in_transaction;
	unsigned sql_modes;  /* enum sql_mode */
	uint64_t idle_since; /* monotonic ms, when not busy */
};
void session_state(struct session *session, struct session_state *out);

/* The one it logs in by, from beginning to end. Borrowed. */
const struct spec *session_spec(const struct session *session);

#endif
