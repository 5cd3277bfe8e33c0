/* SPDX-License-Identifier: MIT */
/*
 * The system calls behind caller.h; for fs/caller.c and its test only.
 *
 * Nothing here waits for a process that is inside exec, but kernel_thread():
 * its caller holds the thread in a LOOKUP or an OPEN, and that is never made
 * there. Any thread, after kernel_init().
 */
#ifndef CONNFS_FS_CALLER_KERNEL_H
#define CONNFS_FS_CALLER_KERNEL_H

#include <stdint.h>
#include <sys/types.h>

struct err;

/* What newer kernels offer beyond pidfd_open() and poll() of 5.3. */
enum kernel_feature {
	KERNEL_PIDFS = 1,     /* 6.9: each process has an inode number */
	KERNEL_NAMESPACE = 2, /* 6.11: namespaces of a pidfd by ioctl */
	KERNEL_PID_INFO = 4,  /* 6.13: PIDFD_GET_INFO */
	KERNEL_ALL = 7,
};

/*
 * Looks which of the wanted ones there are. Once, before the first request;
 * the test asks for fewer, to have the older ways taken.
 */
int kernel_init(unsigned wanted, struct err *err);
unsigned kernel_features(void);

struct kernel_ns {
	uint64_t mnt; /* inode numbers; 0: not known */
	uint64_t pid;
	uint64_t user;
};

/*
 * The daemon's, which its owner's processes share; once and before the first
 * request, those of the process that the mount was made by and for.
 */
const struct kernel_ns *kernel_own_ns(void);
int kernel_own_ns_of(pid_t pid, struct err *err);

struct kernel_thread {
	pid_t tgid;
	pid_t ppid;
	uint64_t birth; /* of the process, as below */
	struct kernel_ns ns;
};

/* tid is held in a LOOKUP or an OPEN. 0 or -ESRCH. */
int kernel_thread(struct kernel_thread *out, pid_t tid);

struct kernel_process {
	uint64_t birth; /* no other process ever has it; 0: not known */
	pid_t ppid;     /* 0: none, or outside our pid namespace */
};

/* 0, or -ESRCH when there is none of that number or it is a zombie. */
int kernel_process(struct kernel_process *out, pid_t pid);

/* The same without the parent: cheaper where the kernel is old. */
int kernel_birth(uint64_t *out, pid_t pid);

#endif
