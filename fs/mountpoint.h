/* SPDX-License-Identifier: MIT */
/*
 * The directory that is mounted on. Before the mount, on the starting thread.
 */
#ifndef CONNFS_FS_MOUNTPOINT_H
#define CONNFS_FS_MOUNTPOINT_H

struct err;

/*
 * Keeps other daemons from mounting there between mountpoint_clear() and the
 * mount: a descriptor to be closed after it. -1 when it cannot be had within a
 * few seconds; then two that start at one moment may both mount.
 */
int mountpoint_lock(const char *path);

/*
 * 0 when path can be mounted on: a directory, with no other connfs there. A
 * connfs whose daemon has gone is unmounted first. Else -ENOTDIR, -EBUSY (one
 * that lives, or does not answer) or what else is wrong.
 */
int mountpoint_clear(const char *path, struct err *err);

/*
 * Makes the bare directory say that nothing is mounted, and refuse writes: of
 * root, when it is root's only, and empty or prepared before. What cannot be
 * done there (a file system without immutable files) is left out. source is
 * what is to be mounted.
 */
void mountpoint_prepare(const char *path, const char *source);

/*
 * After a mount at path has failed: says so when AppArmor may be the reason,
 * which the kernel does not tell from any other.
 */
void mountpoint_explain(const char *path);

#endif
