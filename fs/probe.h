/* SPDX-License-Identifier: MIT */
/*
 * Asking a file system that may never answer: in a process of its own, which
 * can be left behind. Nothing ends it when what it waits for is a FUSE daemon
 * that was stopped; it holds no descriptor that somebody waits for the end of.
 */
#ifndef CONNFS_FS_PROBE_H
#define CONNFS_FS_PROBE_H

enum { PROBE_MAX = 255 }; /* what ask() may return */

/*
 * Calls ask(fd, arg) in a copy of this process and returns what it returns: 0
 * to PROBE_MAX. -ETIMEDOUT when that takes longer, -EIO when it died, or a
 * negative errno. fd is all the copy has open, and may be -1. Where there are
 * threads ask() has to make do with what a signal handler may call.
 */
int probe_run(int (*ask)(int fd, void *arg), int fd, void *arg, unsigned ms);

#endif
