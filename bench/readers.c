/* SPDX-License-Identifier: MIT */
/*
 * readers QUERY_FILE RESULT_FILE TEXT SESSIONS READERS
 *
 * In each of SESSIONS Unix sessions one thread writes TEXT, which is to take
 * its time. A line on standard input then has READERS threads in each of them
 * open the result. Nobody ends before the program is killed, unless something
 * fails.
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { STACK_SIZE = 65536 };

static const char *query_file, *result_file, *text;

static void *write_query(void *arg)
{
	size_t len = strlen(text);
	int fd = open(query_file, O_WRONLY | O_TRUNC | O_CLOEXEC);

	if (fd < 0 || write(fd, text, len) != (ssize_t)len)
		err(1, "%s", query_file);
	errx(1, "the statement has ended");
}

static void *read_result(void *arg)
{
	if (open(result_file, O_RDONLY | O_CLOEXEC) < 0)
		err(1, "%s", result_file);
	errx(1, "the result has come");
}

static void start(void *(*run)(void *))
{
	pthread_attr_t attr;
	pthread_t thread;

	if (pthread_attr_init(&attr) ||
	    pthread_attr_setstacksize(&attr, STACK_SIZE) ||
	    pthread_create(&thread, &attr, run, NULL))
		errx(1, "cannot start a thread");
	pthread_attr_destroy(&attr);
}

/* gate: at its end the readers begin. */
static void be_a_session(int gate, long n_readers)
{
	char c;

	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || setsid() < 0)
		err(1, "setsid");
	start(write_query);
	if (read(gate, &c, 1) != 0)
		err(1, "gate");
	for (long i = 0; i < n_readers; i++)
		start(read_result);
	for (;;)
		pause();
}

int main(int argc, char **argv)
{
	long n_sessions, n_readers;
	int gate[2], status;
	char c;

	if (argc != 6)
		errx(2, "usage: readers QUERY_FILE RESULT_FILE TEXT SESSIONS "
			"READERS");
	query_file = argv[1];
	result_file = argv[2];
	text = argv[3];
	n_sessions = strtol(argv[4], NULL, 10);
	n_readers = strtol(argv[5], NULL, 10);
	if (pipe2(gate, O_CLOEXEC) < 0)
		err(1, "pipe2");
	for (long i = 0; i < n_sessions; i++) {
		pid_t pid = fork();

		if (pid < 0)
			err(1, "fork");
		if (pid == 0) {
			close(gate[1]);
			be_a_session(gate[0], n_readers);
		}
	}
	close(gate[0]);
	if (read(STDIN_FILENO, &c, 1) != 1)
		errx(1, "no line on standard input");
	close(gate[1]);
	(void)wait(&status);
	errx(1, "a session has ended");
}
