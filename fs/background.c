/* SPDX-License-Identifier: MIT */
#include "fs/background.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/log.h"
#include "common/secret.h"

/* Waits for a byte, or for the child's end and its exit status. */
__attribute__((noreturn)) static void wait_for(pid_t child, int fd)
{
	char byte;
	int status;
	ssize_t n;

	/* The child has its own copy, and wipes the secrets in that. */
	for (char **var = environ; *var != NULL; var++)
		secret_wipe(*var, strlen(*var));
	n = TEMP_FAILURE_RETRY(read(fd, &byte, 1));
	if (n == 1)
		_exit(EXIT_SUCCESS);
	(void)TEMP_FAILURE_RETRY(waitpid(child, &status, 0));
	_exit(WIFEXITED(status) && WEXITSTATUS(status) != 0
		      ? WEXITSTATUS(status)
		      : 2);
}

int background_start(void)
{
	int fds[2];
	pid_t child;

	if (pipe2(fds, O_CLOEXEC) < 0)
		return -errno;
	child = fork();
	if (child < 0)
		return -errno;
	if (child > 0) {
		(void)close(fds[1]);
		wait_for(child, fds[0]);
	}
	(void)close(fds[0]);
	return fds[1];
}

void background_ready(int fd)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (null >= 0) {
		(void)dup2(null, STDIN_FILENO);
		(void)dup2(null, STDOUT_FILENO);
		(void)dup2(null, STDERR_FILENO);
		if (null > STDERR_FILENO)
			(void)close(null);
	}
	log_to_syslog();
	/*
	 * Not before: an automount waits for its mount, and lets nobody through
	 * but the process group of who mounts.
	 */
	(void)setsid();
	if (write(fd, "", 1) < 0)
		log_warn("the starting process has gone: %m");
	(void)close(fd);
}
