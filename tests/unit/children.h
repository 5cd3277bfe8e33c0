/* SPDX-License-Identifier: MIT */
/*
 * Processes for tests that look at processes. All end with the test: at its
 * end they are killed, and when it dies they are told.
 */
#ifndef CONNFS_TESTS_UNIT_CHILDREN_H
#define CONNFS_TESTS_UNIT_CHILDREN_H

#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/check.h"

/* Of clone3(), which glibc does not have: only what is used here. */
struct clone_request {
	uint64_t flags, pidfd, child_tid, parent_tid, exit_signal;
	uint64_t stack, stack_size, tls, set_tid, set_tid_size;
};

/* Runs in the child; must not return to the test. */
typedef void (*child_fn)(int ready, void *arg);

/* The child tells a number, most often of itself, and so that it is there. */
static inline void child_says(int ready, pid_t number)
{
	CHECK(write(ready, &number, sizeof(number)) == sizeof(number));
}

static inline void child_stays(int ready)
{
	child_says(ready, getpid());
	for (;;)
		(void)pause();
}

static inline pid_t child_hear(int ready)
{
	pid_t number = 0;

	CHECK(read(ready, &number, sizeof(number)) == sizeof(number));
	return number;
}

/* As fork(), with the pid that is asked for, 0: any. */
static inline pid_t fork_as(pid_t pid)
{
	struct clone_request request = {.exit_signal = SIGCHLD};

	if (pid == 0)
		return fork();
	request.set_tid = (uint64_t)(uintptr_t)&pid;
	request.set_tid_size = 1;
	return (pid_t)syscall(SYS_clone3, &request, sizeof(request));
}

/* Starts a child and hears the first number it says. */
static inline pid_t child_start_as(pid_t pid, pid_t *said, child_fn run,
				   void *arg)
{
	pid_t parent = getpid();
	int fds[2];
	pid_t number;
	pid_t child;

	CHECK(pipe(fds) == 0);
	child = fork_as(pid);
	CHECK(child >= 0);
	if (child == 0) {
		CHECK(prctl(PR_SET_PDEATHSIG, SIGKILL) == 0);
		/* In a pid namespace of its own it sees no parent. */
		if (getppid() != parent && getppid() != 0)
			_exit(1);
		(void)close(fds[0]);
		run(fds[1], arg);
		_exit(0);
	}
	(void)close(fds[1]);
	number = child_hear(fds[0]);
	(void)close(fds[0]);
	if (said != NULL)
		*said = number;
	return child;
}

static inline pid_t child_start(child_fn run, void *arg)
{
	return child_start_as(0, NULL, run, arg);
}

/* Ends a child without reaping it. */
static inline void child_to_zombie(pid_t child, int signo)
{
	siginfo_t info;

	if (signo != 0)
		CHECK(kill(child, signo) == 0);
	CHECK(waitid(P_PID, (id_t)child, &info, WEXITED | WNOWAIT) == 0);
}

static inline void child_end(pid_t child)
{
	CHECK(kill(child, SIGKILL) == 0);
	CHECK(waitpid(child, NULL, 0) == child);
}

static inline void run_staying(int ready, void *arg)
{
	(void)arg;
	child_stays(ready);
}

#endif
