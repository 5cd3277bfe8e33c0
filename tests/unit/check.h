/* SPDX-License-Identifier: MIT */
/* What the unit tests share: checks that end the test, and files to work on. */
#ifndef CONNFS_TESTS_UNIT_CHECK_H
#define CONNFS_TESTS_UNIT_CHECK_H

#include <ftw.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define COUNT(a) (sizeof(a) / sizeof(*(a)))

#define CHECK(condition)                                                 \
	do {                                                             \
		if (!(condition)) {                                      \
			(void)fprintf(stderr, "%s:%d: not so: %s: %m\n", \
				      __FILE__, __LINE__, #condition);   \
			exit(1);                                         \
		}                                                        \
	} while (0)

/* Strings, either of which may be null. */
#define CHECK_TEXT(got, expected) \
	check_text(__FILE__, __LINE__, (got), (expected))

static inline void check_text(const char *file, int line, const char *got,
			      const char *expected)
{
	if (got == expected ||
	    (got != NULL && expected != NULL && strcmp(got, expected) == 0))
		return;
	(void)fprintf(stderr, "%s:%d:\n got      %s\n expected %s\n", file,
		      line, got != NULL ? got : "(null)",
		      expected != NULL ? expected : "(null)");
	exit(1);
}

/* Of this run, empty at first; one for all sources of a test. */
__attribute__((weak)) char check_dir[512];

static inline int check_remove(const char *path, const struct stat *st,
			       int kind, struct FTW *ftw)
{
	(void)st, (void)kind, (void)ftw;
	return remove(path);
}

static inline void check_cleanup(void)
{
	(void)nftw(check_dir, check_remove, 16, FTW_DEPTH | FTW_PHYS);
}

/*
 * A fresh directory inside of argv[1], removed at exit. And every signal at
 * its default: whoever started us (nohup, a shell's &) may have ignored some.
 */
static inline void check_init(int argc, char **argv)
{
	const struct sigaction normal = {.sa_handler = SIG_DFL};

	for (int signo = 1; signo < NSIG; signo++)
		(void)sigaction(signo, &normal, NULL);
	if (argc != 2) {
		(void)fprintf(stderr, "usage: %s DIRECTORY\n", argv[0]);
		exit(1);
	}
	CHECK(snprintf(check_dir, sizeof(check_dir), "%s/unit.XXXXXX",
		       argv[1]) < 400);
	CHECK(mkdtemp(check_dir) != NULL);
	CHECK(atexit(check_cleanup) == 0);
}

/* check_dir/name; good until the fourth call from here. */
static inline const char *check_path(const char *name)
{
	static char paths[4][1024];
	static unsigned next;
	char *path = paths[next++ % 4];

	CHECK(check_dir[0] != '\0');
	(void)snprintf(path, sizeof(*paths), "%s/%s", check_dir, name);
	return path;
}

/* Replaces check_dir/name. */
static inline void check_write(const char *name, mode_t mode, const char *text)
{
	const char *path = check_path(name);
	FILE *f;

	(void)remove(path);
	f = fopen(path, "we");
	CHECK(f != NULL);
	CHECK(fputs(text, f) >= 0);
	CHECK(fclose(f) == 0);
	CHECK(chmod(path, mode) == 0);
}

/* The number that a file in check_dir begins with. */
static inline long check_number(const char *name)
{
	char text[32] = "";
	FILE *f = fopen(check_path(name), "re");

	CHECK(f != NULL && fgets(text, sizeof(text), f) != NULL);
	CHECK(fclose(f) == 0);
	return strtol(text, NULL, 10);
}

/* The first line of a mapping in /proc/self/smaps: "start-end mode .." */
static inline bool check_mapping(const char *line, unsigned long *start,
				 unsigned long *end)
{
	char *rest;
	unsigned long first = strtoul(line, &rest, 16);

	if (rest == line || *rest != '-')
		return false;
	*start = first;
	*end = strtoul(rest + 1, NULL, 16);
	return true;
}

#endif
