/* SPDX-License-Identifier: MIT */
#include "fs/attach_source.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/err.h"
#include "common/mountinfo.h"
#include "fs/mount_at.h"

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

/* Only the path to it is looked up: opening the root asks no daemon. */
static int open_source(int *out, const char *path, struct err *err)
{
	auto_mount_at struct mount_at at;
	int rc = mount_at_open(&at, path, O_DIRECTORY, err);

	/* Of another mount namespace it is in no list of ours. */
	if (rc < 0 && (rc != -ENOENT || at.fd < 0))
		return rc;
	if (!at.is_connfs || !at.is_root)
		return err_set(err, ENODEV, "%s: no connfs is mounted there",
			       path);
	if (attach_is_dead(at.fd))
		return err_set(err, ENOTCONN, "%s: its daemon has ended", path);
	if (!mountinfo_has_option(at.options, "allow_other"))
		return err_set(err, EACCES,
			       "%s: mounted without -o allow_other, so that "
			       "no container could use it",
			       path);
	*out = take_fd(&at.fd);
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
