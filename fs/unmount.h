/* SPDX-License-Identifier: MIT */
/*
 * Taking the mount off, lazily, wherever it is in this mount namespace, and
 * nothing else: it may have been moved, and another file system may be at its
 * place by then. Thread of the loop.
 *
 *     unmount_begin -> [ requests are answered ] -> unmount_finish
 */
#ifndef CONNFS_FS_UNMOUNT_H
#define CONNFS_FS_UNMOUNT_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct fuse_session;

/* Zeroed means that nothing was taken off. */
struct unmount {
	int *held; /* the mounts that were taken off */
	size_t n_held;
	bool refused; /* fusermount3 has to do it */
};

/*
 * Nobody finds the mount by a name any more; files that are open are served.
 * dev 0: the mount is in another mount namespace and stays there, dead.
 */
void unmount_begin(struct unmount *u, struct fuse_session *se, dev_t dev);

/*
 * Answers what was asked meanwhile with ENOTCONN, and closes the device: all
 * that is asked later gets the same from the kernel. The device must not block.
 */
void unmount_finish(struct unmount *u, struct fuse_session *se);

#endif
