/* SPDX-License-Identifier: MIT */
#include "fs/attach_enter.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/err.h"

/* All that the child needs, made before there is one. */
struct job {
	int ns_fd;
	int tree_fd; /* -1: unmount */
	int at_fd;
	char at_name[12]; /* at_fd in digits */
};

struct report {
	const char *step; /* of the text that parent and child share */
	int error;
};

static struct report failed(const char *step)
{
	return (struct report){.step = step, .error = errno};
}

/*
 * There is no umount by descriptor. /proc/self/fd of this host, opened before,
 * leads to the very mount that was looked at, whatever has its name by then.
 */
static struct report unmount(const struct job *job, int proc_fd)
{
	if (fchdir(proc_fd) < 0 || umount2(job->at_name, MNT_DETACH) < 0)
		return failed("unmount");
	return (struct report){0};
}

static struct report enter(const struct job *job)
{
	int proc_fd;

	/* Who shares our pid namespace must not get at our descriptors. */
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		return failed("prctl");
	proc_fd = open("/proc/self/fd", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (proc_fd < 0)
		return failed("/proc/self/fd");
	if (setns(job->ns_fd, CLONE_NEWNS) < 0)
		return failed("enter its mount namespace");
	if (job->tree_fd < 0)
		return unmount(job, proc_fd);
	if (move_mount(job->tree_fd, "", job->at_fd, "",
		       MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) < 0)
		return failed("mount");
	return (struct report){0};
}

static int await(pid_t child, int from, struct err *err)
{
	struct report report = {0};
	ssize_t n = read(from, &report, sizeof(report));

	(void)TEMP_FAILURE_RETRY(waitpid(child, NULL, 0));
	if (n != (ssize_t)sizeof(report))
		return err_set(err, EIO,
			       "the process that enters the container was "
			       "killed");
	if (report.error == 0)
		return 0;
	return err_sys(err, report.error, "%s", report.step);
}

static int run(const struct job *job, struct err *err)
{
	auto_close int from = -1;
	auto_close int to = -1;
	int ends[2];
	pid_t child;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return err_sys(err, errno, "pipe");
	from = ends[0];
	to = ends[1];
	child = fork();
	if (child < 0)
		return err_sys(err, errno, "fork");
	if (child == 0) {
		struct report report = enter(job);

		_exit(write(to, &report, sizeof(report)) < 0);
	}
	(void)close(take_fd(&to)); /* else read() would not see its end */
	return await(child, from, err);
}

int attach_enter_move(int ns_fd, int tree_fd, int at_fd, struct err *err)
{
	const struct job job = {.ns_fd = ns_fd,
				.tree_fd = tree_fd,
				.at_fd = at_fd};

	return run(&job, err);
}

int attach_enter_unmount(int ns_fd, int at_fd, struct err *err)
{
	struct job job = {.ns_fd = ns_fd, .tree_fd = -1, .at_fd = at_fd};

	(void)snprintf(job.at_name, sizeof(job.at_name), "%d", at_fd);
	return run(&job, err);
}
