/* SPDX-License-Identifier: MIT */
/*
 * measure COMMAND [ARGUMENT...]: runs it with standard output to /dev/null
 * and prints seconds from start to end, seconds of CPU time, and the largest
 * resident size in kB among it and its children.
 *
 * A program of its own, for a process starts its life with the size of the
 * one that forked it, and Python's is larger than what is measured here.
 */
#include <err.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static double seconds(const struct timeval *t)
{
	return (double)t->tv_sec + (double)t->tv_usec / 1e6;
}

int main(int argc, char **argv)
{
	struct rusage usage;
	double start = now();
	int status;
	pid_t pid;

	if (argc < 2)
		return 2;
	pid = fork();
	if (pid == 0) {
		int fd = open("/dev/null", O_WRONLY | O_CLOEXEC);

		if (fd >= 0 && dup2(fd, STDOUT_FILENO) >= 0)
			execvp(argv[1], argv + 1);
		warn("%s", argv[1]);
		_exit(127);
	}
	if (pid < 0 || wait4(pid, &status, 0, &usage) < 0)
		err(1, "%s", argv[1]);
	printf("%.6f %.6f %ld\n", now() - start,
	       seconds(&usage.ru_utime) + seconds(&usage.ru_stime),
	       usage.ru_maxrss);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}
