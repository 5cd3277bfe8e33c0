/* SPDX-License-Identifier: MIT */
/*
 * One connection of the mount: its spec, its conversations, and how many
 * database sessions they may hold together. Thread of the loop.
 *
 * A conversation keeps the session it got for as long as nobody else needs it.
 * When all max_connections are in use, one that is idle and holds no state is
 * lent to whoever has waited longest, also when its holder is about to use it
 * again; the others wait in turn.
 */
#ifndef CONNFS_FS_CONNECTION_H
#define CONNFS_FS_CONNECTION_H

#include <stdbool.h>
#include <stddef.h>

#include "fs/loop.h"

struct buf;
struct conversation;
struct mount;
struct node;
struct owned_queries;
struct spec;

struct connection {
	unsigned refs;
	struct mount *mount;
	struct spec *spec; /* counted; replaced by a reload */
	bool removed;      /* a reload took it away */
	struct connection *next;
	struct node *dir; /* its directory */

	struct owned_queries *queries; /* see queries.h */
	struct conversation *conversations;
	struct conversation *waiting; /* for a session, first in first out */
	struct loop_timer reap_timer; /* while somebody waits */
	unsigned n_sessions;          /* whose workers have not ended */
	unsigned n_closing;           /* of these: told to */
};

struct connection *connection_create(struct mount *mount, struct spec *spec);
struct connection *connection_ref(struct connection *c);
void connection_unref(struct connection *c); /* null is allowed */

/*
 * Gives conv a session: 1 when it has one, 0 when it waits for one and will
 * be told by conversation_kick(), -ENOMEM.
 */
int connection_acquire(struct connection *c, struct conversation *conv);

/* conv does not wait any more. */
void connection_stop_waiting(struct connection *c, struct conversation *conv);

/* conv's session is closed and taken from it, if it has one. */
void connection_release(struct connection *c, struct conversation *conv);

/* Ends conversations whose Unix session has no process left. */
void connection_check(struct connection *c);

/* Something has become idle: serve who waits. */
void connection_serve(struct connection *c);

/* One line a holder: who has the sessions, and what they do with them. */
void connection_holders(struct connection *c, struct buf *out);

#endif
