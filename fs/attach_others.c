/* SPDX-License-Identifier: MIT */
#include "fs/attach_others.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/mountinfo.h"

/* The two lines that say it: of the mount, and of the one it is on. */
struct lines {
	int id, parent;
	bool found;
	char mountpoint[PATH_MAX];
	struct backing *out;
};

static bool visit_mount(void *arg, const struct mountinfo *m)
{
	struct lines *l = arg;

	if (m->id != l->id)
		return true;
	l->parent = m->parent;
	l->found = snprintf(l->mountpoint, sizeof(l->mountpoint), "%s",
			    m->mountpoint) < (int)sizeof(l->mountpoint);
	return false;
}

static bool visit_parent(void *arg, const struct mountinfo *m)
{
	struct lines *l = arg;
	size_t skip =
		strcmp(m->mountpoint, "/") != 0 ? strlen(m->mountpoint) : 0;

	if (m->id != l->parent)
		return true;
	if (strncmp(l->mountpoint, m->mountpoint, skip) != 0)
		return false;
	l->out->dev = m->dev;
	l->found = snprintf(l->out->path, sizeof(l->out->path), "%s%s",
			    strcmp(m->root, "/") != 0 ? m->root : "",
			    l->mountpoint + skip) < (int)sizeof(l->out->path);
	return false;
}

int backing_of(struct backing *out, const char *mountinfo, int mount_id)
{
	struct lines l = {.id = mount_id, .out = out};
	int rc = mountinfo_each(mountinfo, visit_mount, &l);

	if (rc == 0 && l.found) {
		l.found = false;
		rc = mountinfo_each(mountinfo, visit_parent, &l);
	}
	return rc == 0 && !l.found ? -ENOENT : rc;
}

static const char *last_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash != NULL ? slash + 1 : path;
}

struct use {
	const struct backing *b;
	const char *file;
	bool found;
};

/* Most are elsewhere, as their names say. */
static bool visit_use(void *arg, const struct mountinfo *m)
{
	struct use *use = arg;
	struct backing other;

	if (strcmp(last_name(m->mountpoint), last_name(use->b->path)) == 0 &&
	    backing_of(&other, use->file, m->id) == 0)
		use->found = other.dev == use->b->dev &&
			     strcmp(other.path, use->b->path) == 0;
	return !use->found;
}

bool backing_is_used(const struct backing *b)
{
	auto_closedir DIR *proc = opendir("/proc");
	const struct dirent *entry;

	if (proc == NULL)
		return true;
	while ((entry = readdir(proc)) != NULL) {
		char file[sizeof("/proc//mountinfo") + NAME_MAX];
		struct use use = {.b = b, .file = file};
		int rc;

		if (!isdigit((unsigned char)entry->d_name[0]))
			continue;
		(void)snprintf(file, sizeof(file), "/proc/%s/mountinfo",
			       entry->d_name);
		rc = mountinfo_each(file, visit_use, &use);
		/* Others have ended meanwhile, or have no namespace any more. */
		if (use.found || rc == -ENOMEM)
			return true;
	}
	return false;
}

struct peers {
	int id, group;
	bool found;
};

static bool visit_peers(void *arg, const struct mountinfo *m)
{
	struct peers *p = arg;

	if (m->id != p->id)
		return true;
	p->group = m->peers;
	return false;
}

static bool visit_group(void *arg, const struct mountinfo *m)
{
	struct peers *p = arg;

	p->found = m->peers == p->group;
	return !p->found;
}

bool attach_spreads_here(const char *mountinfo, int mount_id)
{
	struct peers p = {.id = mount_id};

	if (mountinfo_each(mountinfo, visit_peers, &p) < 0 || p.group == 0)
		return false;
	return mountinfo_each(MOUNTINFO_SELF, visit_group, &p) < 0 || p.found;
}
