/* SPDX-License-Identifier: MIT */
/* A process that ends while it is opened, and another one that has its pid. */
#include "fs/attach_place.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/err.h"
#include "fs/attach.h"
#include "tests/unit/check.h"

static pid_t replaced; /* 0: none is to be */

int __real_open64(const char *path, int flags, ...);
int __wrap_open64(const char *path, int flags, ...);

/* pid 0: any. Takes the privilege that attach needs too. */
static pid_t start(pid_t pid)
{
	struct clone_args args = {
		.exit_signal = SIGCHLD,
		.set_tid = pid != 0 ? (uintptr_t)&pid : 0,
		.set_tid_size = pid != 0,
	};
	pid_t child = (pid_t)syscall(SYS_clone3, &args, sizeof(args));

	if (child == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		(void)pause();
		_exit(0);
	}
	CHECK(child > 0);
	return child;
}

static void end(pid_t pid)
{
	CHECK(kill(pid, SIGKILL) == 0);
	CHECK(waitpid(pid, NULL, 0) == pid);
}

/* open(), at the first file below /proc. */
int __wrap_open64(const char *path, int flags, ...)
{
	va_list ap;
	mode_t mode;

	va_start(ap, flags);
	mode = (flags & O_CREAT) != 0 ? va_arg(ap, mode_t) : 0;
	va_end(ap);
	if (replaced != 0 && strncmp(path, "/proc/", 6) == 0) {
		end(replaced);
		CHECK(start(replaced) == replaced);
		replaced = 0;
	}
	return __real_open64(path, flags, mode);
}

static void test_another_process_is_not_taken_for_it(void)
{
	struct attach_target target = {.pid = start(0),
				       .root = "/",
				       .at = "/conn"};
	struct place place;
	struct err err;

	replaced = target.pid;
	CHECK(place_open(&place, &target, &err) == -ESRCH);
	CHECK(replaced == 0);
	CHECK(strstr(err.msg, "has ended") != NULL);
	place_close(&place);
	end(target.pid);
}

int main(void)
{
	test_another_process_is_not_taken_for_it();
	return 0;
}
