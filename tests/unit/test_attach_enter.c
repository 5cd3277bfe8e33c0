/* SPDX-License-Identifier: MIT */
/* What the child is when it enters a container, and what becomes of its end. */
#include "fs/attach_enter.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/err.h"
#include "tests/unit/check.h"

enum ending { DUMPABLE, KILLED };

static enum ending wanted;

int __wrap_setns(int fd, int type);

/* In the child, in place of entering. */
int __wrap_setns(int fd, int type)
{
	if (wanted == KILLED)
		(void)raise(SIGKILL);
	errno = prctl(PR_GET_DUMPABLE) == 0 ? EDOM : ERANGE;
	return -1;
}

static int enter(enum ending how, struct err *err)
{
	int fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	int rc;

	CHECK(fd >= 0);
	wanted = how;
	rc = attach_enter_unmount(fd, fd, err);
	CHECK(close(fd) == 0);
	return rc;
}

/* A process of the container that sees it must not get at its descriptors. */
static void test_the_child_cannot_be_traced(void)
{
	struct err err;

	CHECK(enter(DUMPABLE, &err) == -EDOM);
	CHECK(prctl(PR_GET_DUMPABLE) == 1);
}

/* It is waited for, and its end without a word is an error. */
static void test_a_child_that_is_killed(void)
{
	struct err err;

	CHECK(enter(KILLED, &err) == -EIO);
	CHECK(strstr(err.msg, "was killed") != NULL);
	CHECK(waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD);
}

int main(void)
{
	test_the_child_cannot_be_traced();
	test_a_child_that_is_killed();
	return 0;
}
