/* SPDX-License-Identifier: MIT */
#include "fs/cgroup.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/cleanup.h"
#include "fs/cgroup_tree.h"
#include "fs/proc_file.h"

enum { CGROUP_MAX = 128 * 1024 }; /* bytes of /proc/<pid>/cgroup */

/* A line "number:controllers:path" of it. */
struct place {
	const char *controllers; /* ends at the colon */
	const char *path;
	size_t len; /* of path */
	size_t rank;
};

/*
 * How much is to be said for a line: the unified hierarchy and systemd's own
 * name units and containers; of the others, which only count, the longest path
 * says most.
 */
static size_t rank_of(const struct place *p)
{
	bool unified = p->controllers[0] == ':';

	if (p->len <= 1)
		return unified ? 1 : 0; /* the root */
	if (unified)
		return SIZE_MAX;
	if (strncmp(p->controllers, "name=systemd:", 13) == 0)
		return SIZE_MAX - 1;
	return p->len;
}

static bool parse_line(struct place *out, const char *line, size_t len)
{
	const char *colon = memchr(line, ':', len);
	/* A controller has no slash; a path may have anything. */
	const char *path = memmem(line, len, ":/", 2);

	if (colon == NULL || path == NULL || path == colon)
		return false;
	out->controllers = colon + 1;
	out->path = path + 1;
	out->len = (size_t)(line + len - out->path);
	out->rank = rank_of(out);
	return true;
}

/* The first of the best ones. False: there is none at all. */
static bool pick(struct place *out, const char *text)
{
	bool found = false;
	const char *end;

	for (const char *line = text; (end = strchr(line, '\n')) != NULL;
	     line = end + 1) {
		struct place place;

		if (!parse_line(&place, line, (size_t)(end - line)))
			continue;
		if (!found || place.rank > out->rank)
			*out = place;
		found = true;
	}
	return found;
}

static int describe(struct cgroup *group, const char *text)
{
	auto_free char *hierarchy = NULL;
	struct place place;

	if (!pick(&place, text))
		return -ESRCH;
	hierarchy =
		strndup(place.controllers, strcspn(place.controllers, ",:"));
	group->path = strndup(place.path, place.len);
	if (hierarchy == NULL || group->path == NULL)
		return -ENOMEM;
	cgroup_names(&group->names, group->path);
	return cgroup_tree_walk(group, hierarchy);
}

struct cgroup *cgroup_read(pid_t tid)
{
	struct cgroup *group = calloc(1, sizeof(*group));
	const char *text = NULL;
	struct buf file;

	if (group == NULL)
		return NULL;
	group->refs = 1;
	buf_init(&file, CGROUP_MAX);
	if (proc_file_read(&file, tid, "cgroup") == 0)
		text = buf_cstr(&file);
	if (text == NULL || describe(group, text) < 0) {
		cgroup_unref(group);
		group = NULL;
	}
	buf_finish(&file);
	return group;
}

struct cgroup *cgroup_ref(struct cgroup *group)
{
	if (group != NULL)
		group->refs++;
	return group;
}

void cgroup_unref(struct cgroup *group)
{
	if (group == NULL || --group->refs > 0)
		return;
	free(group->path);
	free(group->attributes);
	free(group);
}

const struct cgroup_attribute *cgroup_attribute(const struct cgroup *group,
						const char *name)
{
	for (size_t i = 0; i < group->n_attributes; i++) {
		if (strcmp(group->attributes[i].name, name) == 0)
			return &group->attributes[i];
	}
	return NULL;
}
