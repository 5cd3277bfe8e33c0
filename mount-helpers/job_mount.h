/* SPDX-License-Identifier: MIT */
/*
 * A mount for this process and all that it starts, in a mount namespace of its
 * own. The daemon stays in the namespaces this process came with, where files
 * have their true owners and no mount of the job's is the daemon's concern:
 * the mount is made here, and connfs is given the FUSE device. Before any
 * thread is started.
 */
#ifndef CONNFS_MOUNT_HELPERS_JOB_MOUNT_H
#define CONNFS_MOUNT_HELPERS_JOB_MOUNT_H

struct err;

/*
 * Mounts the connections of source at the directory at (absolute) until this
 * process ends; returns when the mount can be used. SIGCHLD must not be
 * ignored. 0; the exit status of connfs, which has said why; or a negative
 * errno.
 */
int job_mount(const char *source, const char *at, struct err *err);

#endif
