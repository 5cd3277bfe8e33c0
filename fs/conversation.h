/* SPDX-License-Identifier: MIT */
/*
 * What one Unix session does with one connection: its scripts, its database
 * session, its scratch files. Made at the first open of query.sql; ends when
 * the Unix session has no process left. A directory in sessions/ is one that
 * its maker's processes share and that ends by rmdir, or unused for
 * session_timeout; an exchange is one of a single open file. Thread of the
 * loop.
 *
 * Jobs of one shell share a conversation and still each see their own: a
 * reader is given the newest script whose writer is its nearest relative. Of
 * two scripts, the one of the same job (the writers are the same process, or
 * one descends from the other) has precedence by rule 5 of design section 3;
 * those of different jobs take turns on the one database session.
 */
#ifndef CONNFS_FS_CONVERSATION_H
#define CONNFS_FS_CONVERSATION_H

#include <stdbool.h>
#include <stddef.h>

#include "fs/caller.h"
#include "fs/loop.h"
#include "fs/ns_hold.h"
#include "fs/request.h"

struct connection;
struct err;
struct follow;
struct node;
struct pending_params;
struct run_failure;
struct scratch_dir;
struct script;
struct session;

enum { CONVERSATION_NAME_SIZE = 256 };

enum conversation_kind {
	CONVERSATION_SHELL,    /* of a Unix session, found by its key */
	CONVERSATION_NAMED,    /* of a directory in sessions/ */
	CONVERSATION_EXCHANGE, /* of one open file */
};

struct conversation {
	unsigned refs;
	enum conversation_kind kind;
	struct connection *conn; /* counted */
	struct caller key;       /* of its first caller */
	struct conversation *next;
	bool ended;
	struct node *dir;  /* in sessions/; null elsewhere */
	struct ns_hold ns; /* of its maker, when it may outlive that */
	bool of_process;   /* it ends with the process that made it, key.self */
	struct follow *follow; /* see follow.h; null: it is not of `sql` */
	uint64_t used;         /* monotonic ms, when last */
	bool rolled_back;      /* its transaction was idle for too long */

	/* LAVA_* of its first caller; its name at the database, by its first
	 * writer, "" until there is one. */
	bool env_known;
	bool env_asked;
	struct caller_env env;
	char app_name[CONVERSATION_NAME_SIZE];
	struct request_list env_waiters;

	struct session *session;
	unsigned sql_modes; /* of the last session, for the splitter */
	struct loop_timer idle_timer;    /* of the database session */
	struct loop_timer session_timer; /* of a named one */
	bool waits_for_session;
	struct conversation *next_waiting;

	struct script *scripts;          /* newest first; counted */
	struct script *active;           /* has the session */
	struct script *turn;             /* wait for it, first in first out */
	struct script *open;             /* with an open file of query.sql */
	struct scratch_dir *scratch;     /* null: it never had any */
	struct pending_params *params;   /* see conversation_params.h */
	struct run_failure *run_failure; /* of a saved query; null: none */
	unsigned n_handles;              /* open files of its own */
};

/*
 * A conversation without anything, on its connection's list until
 * conversation_end(). Null when there is no memory.
 */
struct conversation *conversation_create(struct connection *conn,
					 const struct caller *caller,
					 enum conversation_kind kind);

/* The one of the caller's Unix session, or null. */
struct conversation *conversation_find(struct connection *conn,
				       const struct caller *caller);

/*
 * The one that a file or directory is about for this caller: that of the
 * directory in sessions/ it stands in, else the Unix session's, made when asked
 * for. 0 with *out, which is null when there is none; -ESTALE: the session has
 * ended, or is another's; -ENOMEM.
 */
int conversation_at(struct conversation **out, const struct node *node,
		    const struct caller *caller, bool make);

/* Its maker's uid, in its maker's user and pid namespace. */
bool conversation_is_of(const struct conversation *conv,
			const struct caller *caller);

/* A named one: ends when it has not been used for session_timeout. */
void conversation_set_timeout(struct conversation *conv);

/* The same, made when there is none. Null when there is no memory. */
struct conversation *conversation_get(struct connection *conn,
				      const struct caller *caller);
struct conversation *conversation_ref(struct conversation *conv);
void conversation_unref(struct conversation *conv); /* null is allowed */

/*
 * The script a caller reads the results of. refused: those count too that
 * were turned away because another one ran (their text stands in `error`).
 */
struct script *conversation_pick(struct conversation *conv,
				 const struct caller *reader, bool refused);

/* A script has been started: older ones nobody can ask for any more go. */
void conversation_add(struct conversation *conv, struct script *script);

/*
 * May script's next statement be sent? 1: it has the session; 0: it waits and
 * script_advance() will be called; -EBUSY with the reason.
 */
int conversation_enter(struct conversation *conv, struct script *script,
		       struct err *err);

/* script has nothing to run at the moment, or has been given up. */
void conversation_leave(struct conversation *conv, struct script *script);

/* A session has become free for it, or it has become idle. */
void conversation_kick(struct conversation *conv);

/* Its session is idle and nothing would be lost with it. */
bool conversation_spare(struct conversation *conv);

/* Cancels what runs, closes the session, drops everything. */
void conversation_end(struct conversation *conv);

/*
 * Its Unix session has no process left, and nobody has a file open; or the
 * process that it is of has ended, or the pid namespace.
 */
bool conversation_is_over(struct conversation *conv);

/*
 * Reads the caller's LAVA_* once per conversation. Returns 1 when they are
 * known; 0: rq is parked (with its owner and then) and handed to rq->then when
 * they are; or -ENOMEM.
 */
int conversation_learn_env(struct conversation *conv,
			   const struct caller *caller,
			   const struct request *rq);

/*
 * Once LAVA_* are known: gives the conversation its name at the database,
 * unless it has one. writer is held in its request.
 */
void conversation_name(struct conversation *conv, const struct caller *writer);

/* The name it would have by such a writer; CONVERSATION_NAME_SIZE bytes. */
void conversation_app_name(const struct conversation *conv, char *out,
			   const struct caller_names *names);

#endif
