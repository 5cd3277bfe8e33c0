/* SPDX-License-Identifier: MIT */
/*
 * Namespaces are told apart by numbers that the kernel uses again once one is
 * gone: a container would find what an earlier one has left. Whoever keeps
 * something of theirs for longer than their processes live holds them, which
 * keeps the numbers. Any thread.
 */
#ifndef CONNFS_FS_NS_HOLD_H
#define CONNFS_FS_NS_HOLD_H

#include <stdbool.h>

struct caller;

struct ns_hold {
	int pid_ns; /* -1: the daemon's own, or not known */
	int user_ns;
};
#define NS_HOLD_NONE ((struct ns_hold){.pid_ns = -1, .user_ns = -1})

/* The caller is held in a LOOKUP, OPEN or CREATE. 0 or a negative errno. */
int ns_hold_init(struct ns_hold *out, const struct caller *c);
void ns_hold_finish(struct ns_hold *h);

/*
 * Its pid namespace has no process and will have none. False, too, before
 * Linux 6.11, where nobody can tell.
 */
bool ns_hold_is_over(const struct ns_hold *h);

#endif
