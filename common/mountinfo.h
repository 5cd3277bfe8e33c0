/* SPDX-License-Identifier: MIT */
/*
 * What is mounted, as /proc/<pid>/mountinfo lists it. Reading it asks no file
 * system anything, so that it cannot wait for one that hangs. Any thread.
 */
#ifndef CONNFS_COMMON_MOUNTINFO_H
#define CONNFS_COMMON_MOUNTINFO_H

#include <stdbool.h>
#include <sys/types.h>

#define MOUNTINFO_SELF "/proc/self/mountinfo"

/* One mount; texts are as they are, without the file's escapes. Borrowed. */
struct mountinfo {
	int id;     /* as statx(2) and fdinfo have it */
	int parent; /* the mount it is on, by id */
	int peers;  /* which mounts have what is mounted on it; 0: itself */
	dev_t dev;
	const char *root;       /* what of the file system is mounted */
	const char *mountpoint; /* relative to the root of the process */
	const char *type;       /* "fuse.connfs" */
	const char *source;
	const char *options; /* of the file system, not of the mount */
};

/*
 * Calls visit() for each mount of the file, in its order: of those at one place
 * the last is on top. visit() returns false to end it. 0, -ENOMEM, or what
 * opening or reading the file said.
 */
int mountinfo_each(const char *file,
		   bool (*visit)(void *arg, const struct mountinfo *m),
		   void *arg);

/*
 * The id of the mount that fd is in, which may be one of O_PATH, or a negative
 * errno. statx() would ask a FUSE file system, or be refused by another user's.
 */
int mountinfo_id_of(int fd);

/* option is one of the comma-separated options. */
bool mountinfo_has_option(const char *options, const char *option);

/* A mount of ours, of whatever daemon. */
bool mountinfo_is_connfs(const struct mountinfo *m);

#endif
