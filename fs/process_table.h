/* SPDX-License-Identifier: MIT */
/*
 * Pidfds of the processes seen, kept open. While the process behind one has
 * not ended, nobody else can have its pid: so a look at the pidfd tells, for a
 * small part of the price of opening one, that a number still means the same
 * process. On kernels before 6.9, whose pidfds look all alike, the table also
 * gives each process the number that start times in /proc/<pid>/stat would
 * give; that file can block for ever (docs/identity.md).
 *
 * One thread at a time: fs/caller_kernel.c has the lock.
 */
#ifndef CONNFS_FS_PROCESS_TABLE_H
#define CONNFS_FS_PROCESS_TABLE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct known_process {
	pid_t pid;
	int pidfd;      /* -1: no descriptor is to be had */
	uint64_t birth; /* no other process ever has it; 0: not known */
	/* For the user of the table: 0, until it is set. */
	pid_t ppid;
	uint64_t parent_birth;
};

/* Empties it. pidfs: births are the inode numbers of the pidfds. */
void process_table_init(bool pidfs);

/*
 * *out stays the table's, until its next call. 0, or -ESRCH when there is no
 * process of that number or it is a zombie.
 */
int process_get(struct known_process **out, pid_t pid);

/* The one kept, if it has not ended; else null. */
struct known_process *process_known(pid_t pid);

#endif
