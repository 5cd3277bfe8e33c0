/* SPDX-License-Identifier: MIT */
#include "fs/cgroup_tree.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/mountinfo.h"
#include "fs/caller_text.h"
#include "fs/cgroup.h"

enum {
	HIERARCHIES_MAX = 32,
	PLACES_MAX = 8,           /* where one of them is mounted */
	HIERARCHY_NAME_SIZE = 80, /* "name=" and the kernel's 63 */
	LOOK_AGAIN_MS = 1000,
	DEPTH_MAX = 64,  /* directories */
	KEYS_MAX = 8192, /* bytes of the names of one's attributes */
};

static const char prefix[] = "user.connfs.";

/* Once found it is kept: what it is does not change under its descriptor. */
struct hierarchy {
	char name[HIERARCHY_NAME_SIZE];
	int fd; /* of its root; -1: it was not there at looked_at */
	dev_t dev;
	uint64_t looked_at;
};

static struct hierarchy hierarchies[HIERARCHIES_MAX];
static size_t n_hierarchies;

static bool is_unified(const struct hierarchy *h)
{
	return h->name[0] == '\0';
}

static bool is_mount_of(const struct mountinfo *m, const struct hierarchy *h)
{
	if (strcmp(m->root, "/") != 0)
		return false;
	if (is_unified(h))
		return strcmp(m->type, "cgroup2") == 0;
	return strcmp(m->type, "cgroup") == 0 &&
	       mountinfo_has_option(m->options, h->name);
}

struct place {
	char *path;
	int mount; /* its id */
	dev_t dev;
};

struct search {
	const struct hierarchy *hierarchy;
	struct place places[PLACES_MAX];
	size_t n;
};

/* Nothing may be asked for what is behind a mount of ours: we would answer. */
static void drop_hidden(struct search *s, const char *mountpoint)
{
	size_t len = strlen(mountpoint);
	size_t n = 0;

	for (size_t i = 0; i < s->n; i++) {
		struct place place = s->places[i];

		if (strncmp(place.path, mountpoint, len) == 0 &&
		    (place.path[len] == '/' || place.path[len] == '\0'))
			free(place.path);
		else
			s->places[n++] = place;
	}
	s->n = n;
}

static bool on_mount(void *arg, const struct mountinfo *m)
{
	struct search *s = arg;
	struct place place = {.mount = m->id, .dev = m->dev};

	if (mountinfo_is_connfs(m))
		drop_hidden(s, m->mountpoint);
	if (!is_mount_of(m, s->hierarchy) || s->n == PLACES_MAX)
		return true;
	place.path = strdup(m->mountpoint);
	if (place.path != NULL)
		s->places[s->n++] = place;
	return true;
}

/* The descriptor, or -1: it is hidden by something else that is mounted. */
static int open_place(const struct place *place)
{
	auto_close int fd =
		open(place->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct statx st;

	if (fd < 0 || statx(fd, "", AT_EMPTY_PATH, STATX_MNT_ID, &st) < 0 ||
	    (st.stx_mask & STATX_MNT_ID) == 0 ||
	    st.stx_mnt_id != (uint64_t)place->mount)
		return -1;
	return take_fd(&fd);
}

static void look_for(struct hierarchy *h)
{
	struct search s = {.hierarchy = h};

	h->looked_at = clock_coarse_ms();
	(void)mountinfo_each(MOUNTINFO_SELF, on_mount, &s);
	for (size_t i = 0; i < s.n; i++) {
		if (h->fd < 0) {
			h->fd = open_place(&s.places[i]);
			h->dev = s.places[i].dev;
		}
		free(s.places[i].path);
	}
}

/* Null: it is not mounted here as a whole. */
static const struct hierarchy *find_hierarchy(const char *name)
{
	struct hierarchy *h = hierarchies;
	const struct hierarchy *end = hierarchies + n_hierarchies;

	while (h < end && strcmp(h->name, name) != 0)
		h++;
	if (h == end) {
		if (n_hierarchies == HIERARCHIES_MAX ||
		    strlen(name) >= sizeof(h->name))
			return NULL;
		n_hierarchies++;
		*h = (struct hierarchy){.fd = -1};
		(void)snprintf(h->name, sizeof(h->name), "%s", name);
		look_for(h);
	} else if (h->fd < 0 &&
		   clock_coarse_ms() - h->looked_at >= LOOK_AGAIN_MS) {
		look_for(h);
	}
	return h->fd >= 0 ? h : NULL;
}

static bool is_roots(const struct stat *st)
{
	return st->st_uid == 0 && (st->st_mode & (S_IWGRP | S_IWOTH)) == 0;
}

static bool file_is_roots(int dir, const char *name, bool may_be_missing)
{
	struct stat st;

	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return may_be_missing && errno == ENOENT;
	return is_roots(&st);
}

/*
 * Nobody but root can put anything into the group: neither a group below it
 * nor a process or thread. cgroup.threads came with Linux 4.14.
 */
static bool group_is_roots(int dir, const struct hierarchy *h)
{
	struct stat st;

	if (fstat(dir, &st) < 0 || st.st_dev != h->dev || !is_roots(&st) ||
	    !file_is_roots(dir, "cgroup.procs", false))
		return false;
	return is_unified(h) ? file_is_roots(dir, "cgroup.threads", true)
			     : file_is_roots(dir, "tasks", false);
}

struct walk {
	struct cgroup *group;
	bool too_many; /* attributes */
};

/* The one of that name, made if need be. */
static int get_attribute(struct cgroup_attribute **out, struct walk *w,
			 const char *name)
{
	struct cgroup *g = w->group;
	struct cgroup_attribute *all;

	*out = NULL;
	for (size_t i = 0; i < g->n_attributes; i++) {
		if (strcmp(g->attributes[i].name, name) == 0)
			*out = &g->attributes[i];
	}
	if (*out != NULL)
		return 0;
	if (g->n_attributes == CGROUP_ATTRIBUTES_MAX) {
		w->too_many = true;
		return 0;
	}
	all = reallocarray(g->attributes, g->n_attributes + 1, sizeof(*all));
	if (all == NULL)
		return -ENOMEM;
	g->attributes = all;
	*out = &all[g->n_attributes++];
	**out = (struct cgroup_attribute){0};
	(void)snprintf((*out)->name, sizeof((*out)->name), "%s", name);
	return 0;
}

/* All of it is text without control characters, and fits. */
static bool copy_text(char *out, size_t size, const char *text, size_t len)
{
	out[0] = '\0';
	return caller_text(out, size, text, len, "") == len;
}

/* key is one of dir's. What is no text takes a parent's place as well. */
static int read_attribute(struct walk *w, int dir, const char *key)
{
	char name[CGROUP_ATTRIBUTE_NAME_MAX + 1];
	char value[CGROUP_ATTRIBUTE_VALUE_MAX];
	struct cgroup_attribute *a;
	const char *rest;
	ssize_t n;
	int rc;

	if (strncmp(key, prefix, strlen(prefix)) != 0)
		return 0;
	rest = key + strlen(prefix);
	if (!copy_text(name, sizeof(name), rest, strlen(rest)))
		return 0;
	rc = get_attribute(&a, w, name);
	if (a == NULL)
		return rc;
	n = fgetxattr(dir, key, value, sizeof(value));
	a->is_text = n >= 0 &&
		     copy_text(a->value, sizeof(a->value), value, (size_t)n);
	return 0;
}

/* Nearer ones, which come later, take the places of those of parents. */
static int read_attributes(struct walk *w, int dir)
{
	char keys[KEYS_MAX];
	ssize_t len = flistxattr(dir, keys, sizeof(keys));
	int rc = 0;

	/* Before Linux 5.7 there are none. */
	if (len < 0 && errno != EOPNOTSUPP)
		w->too_many = true;
	for (ssize_t at = 0; rc == 0 && at < len;
	     at += (ssize_t)strlen(keys + at) + 1)
		rc = read_attribute(w, dir, keys + at);
	return rc;
}

/* The next component of *path: 1, 0 at its end, -1 when it leads nowhere. */
static int next_name(char out[NAME_MAX + 1], const char **path)
{
	size_t len;

	*path += strspn(*path, "/");
	len = strcspn(*path, "/");
	if (len == 0)
		return 0;
	if (len > NAME_MAX)
		return -1;
	(void)snprintf(out, NAME_MAX + 1, "%.*s", (int)len, *path);
	*path += len;
	/* What is above the root of our cgroup namespace. */
	return strcmp(out, "..") == 0 ? -1 : 1;
}

enum outcome {
	ALL_OF_ROOT,
	PART_OF_ROOT, /* down from a directory that somebody else can write */
	NOT_THERE,
};

static int descend(struct walk *w, const struct hierarchy *h,
		   enum outcome *outcome)
{
	const char *path = w->group->path;
	auto_close int dir = -1;
	int at = h->fd;

	*outcome = PART_OF_ROOT;
	for (unsigned depth = 0; group_is_roots(at, h); depth++) {
		char name[NAME_MAX + 1];
		int rc = read_attributes(w, at);
		int more = next_name(name, &path);
		int next = -1;

		if (rc < 0)
			return rc;
		if (more > 0 && depth < DEPTH_MAX)
			next = openat(at, name,
				      O_RDONLY | O_DIRECTORY | O_NOFOLLOW |
					      O_CLOEXEC);
		if (next < 0) {
			*outcome = more == 0 ? ALL_OF_ROOT : NOT_THERE;
			return 0;
		}
		if (dir >= 0)
			(void)close(dir);
		dir = at = next;
	}
	return 0;
}

int cgroup_tree_walk(struct cgroup *group, const char *hierarchy)
{
	const struct hierarchy *h = find_hierarchy(hierarchy);
	struct walk w = {.group = group};
	enum outcome outcome;
	int rc;

	if (h == NULL)
		return 0;
	rc = descend(&w, h, &outcome);
	group->trusted = rc == 0 && outcome == ALL_OF_ROOT;
	/*
	 * On cgroup2 the owner of a group can take in only what is below a
	 * group of its own already: what is above that is above all of it. On
	 * version 1 it can take in any process of its own, from anywhere.
	 */
	if (rc < 0 || w.too_many || outcome == NOT_THERE ||
	    (outcome == PART_OF_ROOT && !is_unified(h)))
		group->n_attributes = 0;
	return rc;
}
