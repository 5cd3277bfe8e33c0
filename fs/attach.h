/* SPDX-License-Identifier: MIT */
/*
 * A mount of this host, put into a container that runs, and taken out again.
 * No daemon takes part: it sees the callers it sees anyway. For a process with
 * one thread: the umask is another one for a moment. The namespace is entered
 * by a child process that ends with it (attach_enter.h).
 */
#ifndef CONNFS_FS_ATTACH_H
#define CONNFS_FS_ATTACH_H

#include <sys/types.h>

struct err;

struct attach_target {
	pid_t pid; /* any process of the container */
	/*
	 * The container's root directory as the process sees it now: "/", or
	 * what it will make its root (a hook runs before that).
	 */
	const char *root;
	const char *at; /* absolute, in the container; may be missing */
};

/*
 * from: the mount point on this host; null: the only connfs there is. 0 or a
 * negative errno: -ESRCH no such process, -EBUSY something is mounted there..
 */
int attach_mount(const char *from, const struct attach_target *to,
		 struct err *err);
int attach_remove(const struct attach_target *from, struct err *err);

/* The commands; argv[0] is "attach" or "detach". The exit status: 0, 1 usage,
   2 it cannot be done. */
int attach_main(int argc, char **argv);
int detach_main(int argc, char **argv);

#endif
