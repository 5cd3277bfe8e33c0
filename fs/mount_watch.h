/* SPDX-License-Identifier: MIT */
/*
 * Whether the mount is still where the daemon has made it. After a lazy
 * unmount, or while a container has a mount of its own of it, the kernel does
 * not end the session: the daemon does when it sees no mount of its any more.
 * Thread of the loop.
 */
#ifndef CONNFS_FS_MOUNT_WATCH_H
#define CONNFS_FS_MOUNT_WATCH_H

#include <sys/types.h>

#include "fs/loop.h"

struct err;

struct mount_watch {
	struct loop_watch watch;
	struct loop_timer timer;
	struct loop *loop; /* null: not started */
	dev_t dev;         /* of the file system; 0: not known */
	unsigned delay_ms; /* from a change to the look at it */
};

/*
 * From when the file system is mounted at path; stops the loop once it is
 * mounted nowhere in this mount namespace. 0 or a negative errno; w->dev is
 * that of what was found at path.
 */
int mount_watch_start(struct mount_watch *w, struct loop *loop,
		      const char *path, struct err *err);

/* Also of one that was not started. w->dev stays. */
void mount_watch_stop(struct mount_watch *w);

#endif
