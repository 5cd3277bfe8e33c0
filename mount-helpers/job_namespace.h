/* SPDX-License-Identifier: MIT */
/*
 * The mount namespace of a job. Before any thread is started.
 */
#ifndef CONNFS_MOUNT_HELPERS_JOB_NAMESPACE_H
#define CONNFS_MOUNT_HELPERS_JOB_NAMESPACE_H

#include <stdbool.h>

struct err;

/*
 * Moves this process into a mount namespace of its own, which gets what is
 * mounted outside later and lets nothing out. Where that is not permitted,
 * into a user namespace of its own as well, in which it keeps its user and
 * group: *own_users. 0 or a negative errno; err then names the setting of the
 * system that forbids it, where there is one.
 */
int job_namespace(bool *own_users, struct err *err);

/*
 * For a mount(2) in it that was refused with errno value code: likewise.
 */
int job_namespace_refused(int code, const char *at, struct err *err);

#endif
