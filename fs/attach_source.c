/* SPDX-License-Identifier: MIT */
#include "fs/attach_source.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/err.h"
#include "common/mountinfo.h"

int attach_mount_id(int fd)
{
	static const char key[] = "mnt_id:";
	char text[512];
	const char *line;
	ssize_t n;

	(void)snprintf(text, sizeof(text), "/proc/self/fdinfo/%d", fd);
	auto_close int info = open(text, O_RDONLY | O_CLOEXEC);
	if (info < 0)
		return -errno;
	n = read(info, text, sizeof(text) - 1);
	if (n < 0)
		return -errno;
	text[n] = '\0';
	line = strstr(text, key);
	return line != NULL ? (int)strtol(line + sizeof(key) - 1, NULL, 10)
			    : -EIO;
}

bool attach_is_dead(int fd)
{
	struct statfs st;

	return fstatfs(fd, &st) < 0 && errno == ENOTCONN;
}

/* Of several mounts of one daemon the first counts. */
struct only {
	char *mountpoint; /* owned */
	dev_t dev;
	bool several, failed;
};

static bool visit_only(void *arg, const struct mountinfo *m)
{
	struct only *only = arg;

	if (!mountinfo_is_connfs(m) || strcmp(m->root, "/") != 0)
		return true;
	if (only->mountpoint == NULL) {
		only->mountpoint = strdup(m->mountpoint);
		only->dev = m->dev;
		only->failed = only->mountpoint == NULL;
	}
	only->several = only->several || m->dev != only->dev;
	return !only->failed && !only->several;
}

static int find_only(char **out, struct err *err)
{
	struct only only = {0};
	int rc = mountinfo_each(MOUNTINFO_SELF, visit_only, &only);

	if (rc < 0)
		rc = err_sys(err, -rc, MOUNTINFO_SELF);
	else if (only.failed)
		rc = err_set(err, ENOMEM, "out of memory");
	else if (only.mountpoint == NULL)
		rc = err_set(err, ENODEV, "no connfs is mounted here");
	else if (only.several)
		rc = err_set(err, ENOTUNIQ,
			     "more than one connfs is mounted here: name one "
			     "with --from MOUNTPOINT");
	if (rc < 0)
		free(only.mountpoint);
	else
		*out = only.mountpoint;
	return rc;
}

struct found {
	int id;
	const char *path;
	bool is_connfs, allow_other; /* false where the mount is elsewhere */
};

static bool visit_id(void *arg, const struct mountinfo *m)
{
	struct found *found = arg;
	const char *other = strstr(m->options, ",allow_other");

	if (m->id != found->id)
		return true;
	found->is_connfs = mountinfo_is_connfs(m) &&
			   strcmp(m->mountpoint, found->path) == 0;
	found->allow_other = other != NULL && strchr(",", other[12]) != NULL;
	return false;
}

/* Only the path to it is looked up: opening the root asks no daemon. */
static int open_source(int *out, const char *path, struct err *err)
{
	auto_close int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	char self[32], real[PATH_MAX];
	struct found found = {.path = real};
	ssize_t n;
	int rc;

	if (fd < 0)
		return err_sys(err, errno, "%s", path);
	/* With nothing left to resolve, and without asking what is there. */
	(void)snprintf(self, sizeof(self), "/proc/self/fd/%d", fd);
	n = readlink(self, real, sizeof(real) - 1);
	if (n < 0)
		return err_sys(err, errno, "%s", path);
	real[n] = '\0';
	found.id = attach_mount_id(fd);
	rc = found.id < 0 ? found.id
			  : mountinfo_each(MOUNTINFO_SELF, visit_id, &found);
	if (rc < 0)
		return err_sys(err, -rc, "%s", path);
	if (!found.is_connfs)
		return err_set(err, ENODEV, "%s: no connfs is mounted there",
			       path);
	if (attach_is_dead(fd))
		return err_set(err, ENOTCONN, "%s: its daemon has ended", path);
	if (!found.allow_other)
		return err_set(err, EACCES,
			       "%s: mounted without -o allow_other, so that "
			       "no container could use it",
			       path);
	*out = take_fd(&fd);
	return 0;
}

int attach_source(int *out, const char *from, struct err *err)
{
	struct mount_attr attr = {.propagation = MS_PRIVATE};
	auto_free char *only = NULL;
	auto_close int fd = -1;
	auto_close int tree = -1;
	int rc = from == NULL ? find_only(&only, err) : 0;

	if (rc == 0)
		rc = open_source(&fd, from == NULL ? only : from, err);
	if (rc < 0)
		return rc;
	tree = open_tree(fd, "",
			 AT_EMPTY_PATH | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	if (tree < 0 && errno == EPERM)
		return err_set(err, EPERM, "this needs root: it mounts");
	if (tree < 0 ||
	    mount_setattr(tree, "", AT_EMPTY_PATH, &attr, sizeof(attr)) < 0)
		return err_sys(err, errno, "copy of the mount");
	*out = take_fd(&tree);
	return 0;
}
