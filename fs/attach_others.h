/* SPDX-License-Identifier: MIT */
/*
 * Who else sees a directory of a container: the same one can be in several
 * mount namespaces. From mountinfo alone, which asks no file system.
 */
#ifndef CONNFS_FS_ATTACH_OTHERS_H
#define CONNFS_FS_ATTACH_OTHERS_H

#include <limits.h>
#include <stdbool.h>
#include <sys/types.h>

/* A directory, whatever the mount is that it is seen through. */
struct backing {
	dev_t dev;
	char path[PATH_MAX]; /* from the root of the file system */
};

/*
 * What the mount is on, as this file has it: /proc/<pid>/mountinfo. 0, -ENOENT
 * when its process does not see that, or what reading said.
 */
int backing_of(struct backing *out, const char *mountinfo, int mount_id);

/* Is anything mounted there, in whatever mount namespace? True when unknown. */
bool backing_is_used(const struct backing *b);

/*
 * Would what is mounted in that mount of the file appear on this host as well,
 * as the two are peers? A process that has changed its root directory may not
 * see its own mount: then false.
 */
bool attach_spreads_here(const char *mountinfo, int mount_id);

#endif
