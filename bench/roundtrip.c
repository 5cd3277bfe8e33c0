/* SPDX-License-Identifier: MIT */
/*
 * How long one small statement takes, many times in one process:
 *
 *     roundtrip files QUERY_FILE RESULT_FILE TEXT COUNT
 *         open, write TEXT, close; open, read to the end, close
 *     roundtrip turns QUERY_FILE RESULT_FILE TEXT COUNT
 *         the same by two Unix sessions that take turns, COUNT of each
 *     roundtrip libpq CONNINFO TEXT COUNT
 *         PQexec() on one connection
 *
 * Prints median, 90th and 99th percentile in microseconds. A tenth of COUNT
 * is run before, and not counted.
 */
#include <err.h>
#include <fcntl.h>
#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

struct task {
	const char *query_file;
	const char *result_file;
	const char *text;
	PGconn *conn; /* null: by files */
};

static void by_files(const struct task *task)
{
	char buf[4096];
	size_t len = strlen(task->text);
	ssize_t n;
	int fd = open(task->query_file, O_WRONLY | O_TRUNC | O_CLOEXEC);

	if (fd < 0 || write(fd, task->text, len) != (ssize_t)len || close(fd))
		err(1, "%s", task->query_file);
	fd = open(task->result_file, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || read(fd, buf, sizeof(buf)) <= 0)
		err(1, "%s", task->result_file);
	while ((n = read(fd, buf, sizeof(buf))) > 0)
		continue;
	if (n < 0 || close(fd))
		err(1, "%s", task->result_file);
}

static void by_libpq(const struct task *task)
{
	PGresult *res = PQexec(task->conn, task->text);

	if (PQresultStatus(res) != PGRES_TUPLES_OK)
		errx(1, "%s", PQerrorMessage(task->conn));
	PQclear(res);
}

static double now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a;
	double y = *(const double *)b;

	return (x > y) - (x < y);
}

static double once(const struct task *task)
{
	double start = now_us();

	if (task->conn)
		by_libpq(task);
	else
		by_files(task);
	return now_us() - start;
}

static void print(double *took, long count)
{
	qsort(took, (size_t)count, sizeof(*took), compare);
	printf("%.1f %.1f %.1f\n", took[count / 2], took[count * 9 / 10],
	       took[count * 99 / 100]);
}

static void run(const struct task *task, long count)
{
	double *took = calloc((size_t)count, sizeof(*took));

	if (!took)
		err(1, "calloc");
	for (long i = -count / 10; i < count; i++) {
		double us = once(task);

		if (i >= 0)
			took[i] = us;
	}
	print(took, count);
	free(took);
}

/* One of the two: a byte in mine says that it is its turn. */
static void take_turns(const struct task *task, double *took, long count,
		       int mine, int other)
{
	char c = 0;

	for (long i = -count / 10; i < count; i++) {
		double us;

		if (read(mine, &c, 1) != 1)
			errx(1, "the other has ended");
		us = once(task);
		if (i >= 0)
			took[i] = us;
		if (write(other, &c, 1) != 1)
			err(1, "write");
	}
}

static void run_turns(const struct task *task, long count)
{
	size_t size = 2 * (size_t)count * sizeof(double);
	double *took = mmap(NULL, size, PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int a[2], b[2], status;
	pid_t pid;

	if (took == MAP_FAILED || pipe(a) < 0 || pipe(b) < 0)
		err(1, "mmap or pipe");
	if (write(a[1], "", 1) != 1)
		err(1, "write");
	pid = fork();
	if (pid == 0) {
		/* Who has no part in b must not hold it open. */
		close(a[0]);
		close(b[1]);
		if (setsid() < 0)
			err(1, "setsid");
		take_turns(task, took + count, count, b[0], a[1]);
		_exit(0);
	}
	close(a[1]);
	close(b[0]);
	take_turns(task, took, count, a[0], b[1]);
	if (pid < 0 || waitpid(pid, &status, 0) < 0 || status != 0)
		errx(1, "the other failed");
	print(took, 2 * count);
	(void)munmap(took, size);
}

int main(int argc, char **argv)
{
	struct task task = {0};
	long count = argc > 1 ? strtol(argv[argc - 1], NULL, 10) : 0;

	if (argc == 6 && count > 0 &&
	    (strcmp(argv[1], "files") == 0 || strcmp(argv[1], "turns") == 0)) {
		task.query_file = argv[2];
		task.result_file = argv[3];
		task.text = argv[4];
	} else if (argc == 5 && strcmp(argv[1], "libpq") == 0 && count > 0) {
		task.conn = PQconnectdb(argv[2]);
		task.text = argv[3];
	} else {
		errx(2, "usage: roundtrip files|turns|libpq ... COUNT");
	}
	if (strcmp(argv[1], "turns") == 0)
		run_turns(&task, count);
	else
		run(&task, count);
	PQfinish(task.conn);
	return 0;
}
