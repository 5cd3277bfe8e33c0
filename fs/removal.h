/* SPDX-License-Identifier: MIT */
/*
 * A connection that a reload takes away: nobody finds it any more, and what it
 * has begun goes on to its end. Thread of the loop.
 *
 * What runs, runs on; what waits to be sent is refused, and so is whatever
 * comes after it. A session is closed once nothing runs in it. Conversations
 * end when nothing of theirs runs, but for those of an open file, which end
 * with that, and of an `sql` at work, which ends with its process: these may
 * still be read.
 */
#ifndef CONNFS_FS_REMOVAL_H
#define CONNFS_FS_REMOVAL_H

#include <stdbool.h>

struct connection;
struct node;

/* c stays on the mount's list until removal_check() says so. */
void removal_begin(struct connection *c);

/* Ends what has come to its end. True: nothing is left of it. */
bool removal_check(struct connection *c);

/* The node is one of a removed connection that nobody may open any more. */
bool removal_hides(const struct node *node);

#endif
