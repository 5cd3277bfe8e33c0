/* SPDX-License-Identifier: MIT */
#include "fs/mount_at.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/err.h"
#include "common/mountinfo.h"

struct search {
	struct mount_at *at;
	int id;
	int rc; /* -ENOENT until it is found */
};

static char *path_of(int fd)
{
	char name[40], path[PATH_MAX];
	ssize_t len;

	(void)snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
	len = readlink(name, path, sizeof(path) - 1);
	return len < 0 ? NULL : strndup(path, (size_t)len);
}

static bool visit(void *arg, const struct mountinfo *m)
{
	struct search *s = arg;
	struct mount_at *at = s->at;

	if (m->id != s->id)
		return true;
	at->dev = m->dev;
	at->is_connfs = mountinfo_is_connfs(m);
	at->is_root = strcmp(m->mountpoint, at->path) == 0;
	at->type = strdup(m->type);
	at->source = strdup(m->source);
	at->mountpoint = strdup(m->mountpoint);
	at->options = strdup(m->options);
	s->rc = at->type == NULL || at->source == NULL ||
				at->mountpoint == NULL || at->options == NULL
			? -ENOMEM
			: 0;
	return false;
}

int mount_at_open(struct mount_at *out, const char *path, int flags,
		  struct err *err)
{
	struct search s = {.at = out, .rc = -ENOENT};
	int rc;

	*out = (struct mount_at){.fd = open(path, O_PATH | O_CLOEXEC | flags)};
	if (out->fd < 0)
		return err_sys(err, errno, "%s", path);
	s.id = mountinfo_id_of(out->fd);
	if (s.id < 0)
		return err_sys(err, -s.id, "/proc/self/fdinfo");
	out->path = path_of(out->fd);
	if (out->path == NULL)
		return err_sys(err, errno, "/proc/self/fd");
	rc = mountinfo_each(MOUNTINFO_SELF, visit, &s);
	if (rc == 0)
		rc = s.rc;
	return rc < 0 ? err_sys(err, -rc, MOUNTINFO_SELF) : 0;
}

void mount_at_close(struct mount_at *at)
{
	cleanup_close(&at->fd);
	free(at->path);
	free(at->type);
	free(at->source);
	free(at->mountpoint);
	free(at->options);
	*at = (struct mount_at){.fd = -1};
}
