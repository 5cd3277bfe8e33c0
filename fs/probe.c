/* SPDX-License-Identifier: MIT */
#include "fs/probe.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/clock.h"

static void close_all_but(int fd)
{
	if (fd > 0)
		(void)close_range(0, (unsigned)fd - 1, 0);
	(void)close_range((unsigned)(fd + 1), UINT_MAX, 0);
}

/* True when it has ended within the time. */
static bool wait_for_end(pid_t child, unsigned ms)
{
	auto_close int fd = (int)syscall(SYS_pidfd_open, child, 0);
	uint64_t deadline = clock_mono_ms() + ms;
	struct pollfd ends = {.fd = fd, .events = POLLIN};

	if (fd < 0)
		return false;
	return TEMP_FAILURE_RETRY(
		       poll(&ends, 1, clock_poll_timeout(deadline))) == 1;
}

int probe_run(int (*ask)(int fd, void *arg), int fd, void *arg, unsigned ms)
{
	pid_t child = fork();
	int status;

	if (child < 0)
		return -errno;
	if (child == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		close_all_but(fd);
		_exit(ask(fd, arg));
	}
	if (!wait_for_end(child, ms)) {
		/* Whoever reaps orphans reaps it, once it can end. */
		(void)kill(child, SIGKILL);
		return -ETIMEDOUT;
	}
	if (TEMP_FAILURE_RETRY(waitpid(child, &status, 0)) < 0)
		return -errno;
	return WIFEXITED(status) ? WEXITSTATUS(status) : -EIO;
}
