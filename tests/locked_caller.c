/* SPDX-License-Identifier: MIT */
/*
 * locked_caller SILENT CONNECTION NUMBER DOOR DOOR DOOR
 *
 * A caller of connfs whose memory map is locked while it calls: whoever wants
 * to read its environment waits. SILENT is a file of silent_fuse.py.
 *
 * One thread reads the file, which locks its first page for ever. After the
 * first door another one maps it with direct I/O (O_NONBLOCK), for which the
 * kernel wants that page, holding the lock of the memory map. After the second
 * door this one runs `select NUMBER` and prints the rows; from there on it
 * must not need that lock itself. It ends after the third.
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

static char **args;
static char sql_path[4096], result_path[4096], sql[64], rows[4096], page[4096];

static void wait_at(const char *door)
{
	char byte;
	int fd = open(door, O_RDONLY);

	if (fd < 0 || read(fd, &byte, 1) != 1)
		_exit(2);
	(void)close(fd);
}

static void *read_file(void *arg)
{
	int fd = open(args[1], O_RDONLY);

	(void)arg;
	(void)pread(fd, page, sizeof(page), 0);
	return NULL;
}

static void *map_file(void *arg)
{
	int fd;

	(void)arg;
	(void)prctl(PR_SET_NAME, "mapper");
	wait_at(args[4]);
	fd = open(args[1], O_RDONLY | O_NONBLOCK);
	(void)mmap(NULL, sizeof(page), PROT_READ, MAP_PRIVATE, fd, 0);
	return NULL;
}

/* Its rows to standard output. 0, or the step that failed. */
static int run_statement(void)
{
	int fd = open(sql_path, O_WRONLY | O_TRUNC);
	ssize_t n;

	if (fd < 0)
		return 3;
	if (write(fd, sql, strlen(sql)) != (ssize_t)strlen(sql))
		return 4;
	(void)close(fd);
	fd = open(result_path, O_RDONLY);
	if (fd < 0)
		return 5;
	n = read(fd, rows, sizeof(rows));
	return n > 0 && write(1, rows, (size_t)n) == n ? 0 : 6;
}

int main(int argc, char **argv)
{
	pthread_t thread;
	int rc;

	if (argc != 7)
		return 1;
	args = argv;
	(void)snprintf(sql_path, sizeof(sql_path), "%s/query.sql", argv[2]);
	(void)snprintf(result_path, sizeof(result_path), "%s/result.csv",
		       argv[2]);
	(void)snprintf(sql, sizeof(sql), "select %s as n;", argv[3]);
	memset(rows, 1, sizeof(rows));
	memset(page, 1, sizeof(page));
	if (mlockall(MCL_CURRENT | MCL_FUTURE) != 0 ||
	    pthread_create(&thread, NULL, read_file, NULL) != 0 ||
	    pthread_create(&thread, NULL, map_file, NULL) != 0)
		return 1;
	wait_at(argv[5]);
	rc = run_statement();
	wait_at(argv[6]);
	_exit(rc);
}
