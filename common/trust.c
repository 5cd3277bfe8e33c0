/* SPDX-License-Identifier: MIT */
#include "common/trust.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "common/err.h"

enum { MAX_LINKS = 40 };

struct walk {
	char done[PATH_MAX]; /* absolute, no symbolic link left in it */
	char rest[PATH_MAX]; /* what is still to be followed */
	unsigned n_links;
};

/* A volume of a container may be 0777 and mounted read-only. */
static bool on_readonly_mount(const char *path)
{
	struct statvfs fs;

	return statvfs(path, &fs) == 0 && (fs.f_flag & ST_RDONLY) != 0;
}

static int check(const char *path, const struct stat *st, struct err *err)
{
	bool link = S_ISLNK(st->st_mode);
	bool sticky = S_ISDIR(st->st_mode) && (st->st_mode & S_ISVTX) != 0;

	if (st->st_uid != 0 && st->st_uid != geteuid())
		return err_set(err, EPERM,
			       "%s belongs to uid %u, neither to root nor to "
			       "the user who mounts",
			       path, (unsigned)st->st_uid);
	if (link || sticky || (st->st_mode & (S_IWGRP | S_IWOTH)) == 0)
		return 0;
	if (on_readonly_mount(path))
		return 0;
	return err_set(err, EPERM,
		       "%s can be written by others than its owner: "
		       "chmod go-w",
		       path);
}

static void cut_last(char *path)
{
	char *slash = strrchr(path, '/');

	slash[slash == path ? 1 : 0] = '\0';
}

/* Puts the target of the link w->done in front of w->rest. */
static int follow(struct walk *w, struct err *err)
{
	char target[PATH_MAX], joined[2 * PATH_MAX];
	ssize_t n;
	int len;

	if (++w->n_links > MAX_LINKS)
		return err_sys(err, ELOOP, "%s", w->done);
	n = readlink(w->done, target, sizeof(target) - 1);
	if (n < 0)
		return err_sys(err, errno, "%s", w->done);
	target[n] = '\0';
	len = snprintf(joined, sizeof(joined), "%s/%s", target, w->rest);
	if (len < 0 || (size_t)len >= sizeof(w->rest))
		return err_sys(err, ENAMETOOLONG, "%s", w->done);
	memcpy(w->rest, joined, (size_t)len + 1);
	if (target[0] == '/')
		w->done[1] = '\0';
	else
		cut_last(w->done);
	return 0;
}

/* Moves the first name of w->rest to w->done and looks at what it is. */
static int step(struct walk *w, const char *name, size_t len, struct err *err)
{
	size_t at = strlen(w->done);
	struct stat st;
	int rc;

	if (len == 2 && memcmp(name, "..", 2) == 0) {
		cut_last(w->done);
		return 0;
	}
	if (at + 1 + len >= sizeof(w->done))
		return err_sys(err, ENAMETOOLONG, "%s", w->done);
	if (at > 1)
		w->done[at++] = '/';
	memcpy(w->done + at, name, len);
	w->done[at + len] = '\0';
	if (lstat(w->done, &st) < 0)
		return err_sys(err, errno, "%s", w->done);
	rc = check(w->done, &st, err);
	if (rc < 0 || !S_ISLNK(st.st_mode))
		return rc;
	return follow(w, err);
}

static int walk_all(struct walk *w, struct err *err)
{
	struct stat st;
	int rc;

	if (lstat("/", &st) < 0)
		return err_sys(err, errno, "/");
	rc = check("/", &st, err);
	while (rc == 0) {
		size_t skip = strspn(w->rest, "/");
		size_t len = strcspn(w->rest + skip, "/");
		char name[NAME_MAX + 1];

		if (len == 0)
			return 0;
		if (len > NAME_MAX)
			return err_sys(err, ENAMETOOLONG, "%s", w->done);
		memcpy(name, w->rest + skip, len);
		memmove(w->rest, w->rest + skip + len,
			strlen(w->rest + skip + len) + 1);
		if (len == 1 && name[0] == '.')
			continue;
		rc = step(w, name, len, err);
	}
	return rc;
}

int trust_open(const char *path, int flags, struct err *err)
{
	struct walk w = {.done = "/"};
	char cwd[PATH_MAX] = "";
	int n, rc, fd;

	if (path[0] != '/' && getcwd(cwd, sizeof(cwd)) == NULL)
		return err_sys(err, errno, "working directory");
	n = snprintf(w.rest, sizeof(w.rest), "%s/%s", cwd, path);
	if (n < 0 || (size_t)n >= sizeof(w.rest))
		return err_set(err, ENAMETOOLONG, "the path is too long");
	rc = walk_all(&w, err);
	if (rc < 0)
		return rc;
	/* Nobody else can exchange what was looked at. */
	fd = open(w.done,
		  flags | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		return err_sys(err, errno, "%s", w.done);
	return fd;
}
