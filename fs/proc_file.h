/* SPDX-License-Identifier: MIT */
/*
 * Small files of /proc/<pid>. Any thread.
 *
 * Which of them may be read when is said in docs/identity.md: most block while
 * the process is inside exec, and that may last until this daemon replies.
 */
#ifndef CONNFS_FS_PROC_FILE_H
#define CONNFS_FS_PROC_FILE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct buf;

enum { PROC_STATUS_MAX = 1024 * 1024 }; /* bytes; 65536 groups fit */

/*
 * Appends /proc/<pid>/<name>, as much as out->max allows. 0, -ESRCH when the
 * process is gone, or another negative errno.
 */
int proc_file_read(struct buf *out, pid_t pid, const char *name);

/* What stands behind "key:" in the text of status; null: there is none. */
const char *proc_status_find(const char *status, const char *key);

/* The same as a number in the given base; false: there is none. */
bool proc_status_number(uint64_t *out, const char *status, const char *key,
			int base);

#endif
