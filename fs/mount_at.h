/* SPDX-License-Identifier: MIT */
/*
 * What is mounted at a place, found out without asking it, as it may have died
 * or hang. Any thread.
 */
#ifndef CONNFS_FS_MOUNT_AT_H
#define CONNFS_FS_MOUNT_AT_H

#include <stdbool.h>
#include <sys/types.h>

struct err;

struct mount_at {
	int fd;       /* O_PATH: the place, and no other one later */
	char *path;   /* without links; as this process sees it */
	bool is_root; /* the place is where it is mounted, not below that */
	bool is_connfs;
	dev_t dev;
	char *type;       /* "ext4" */
	char *source;     /* "/dev/sda1" */
	char *mountpoint; /* where it is mounted */
	char *options;    /* of the file system */
};

/*
 * flags: 0, or O_DIRECTORY, which has an automount mount what it stands for.
 * 0 or a negative errno; err tells of the path. mount_at_close() in any case.
 */
int mount_at_open(struct mount_at *out, const char *path, int flags,
		  struct err *err);
void mount_at_close(struct mount_at *at);

#define auto_mount_at __attribute__((cleanup(mount_at_close)))

#endif
