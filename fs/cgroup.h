/* SPDX-License-Identifier: MIT */
/*
 * The control group of a caller: where it is, which container its path says,
 * and the labels that whoever launched it has put there. docs/identity.md says
 * what of it counts, and why.
 *
 * Belongs to the loop's thread.
 */
#ifndef CONNFS_FS_CGROUP_H
#define CONNFS_FS_CGROUP_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "fs/cgroup_names.h"

enum {
	CGROUP_ATTRIBUTES_MAX = 64,      /* names; with more of them none */
	CGROUP_ATTRIBUTE_NAME_MAX = 64,  /* bytes */
	CGROUP_ATTRIBUTE_VALUE_MAX = 255 /* bytes */
};

/* user.connfs.NAME of the nearest directory that has one. */
struct cgroup_attribute {
	char name[CGROUP_ATTRIBUTE_NAME_MAX + 1];
	char value[CGROUP_ATTRIBUTE_VALUE_MAX + 1];
	bool is_text; /* else the value is none and equals nothing */
};

/* Not changed once it has been read; counted. */
struct cgroup {
	unsigned refs; /* cgroup_ref() and cgroup_unref() only */
	char *path;    /* the kernel's bytes; any but NUL, newline */
	/*
	 * Whoever is in there was put there by root: neither the group nor one
	 * above can be written by anybody else.
	 */
	bool trusted;
	struct cgroup_names names; /* said by the path, trusted or not */
	/* All of them are trusted, whatever the path is. */
	struct cgroup_attribute *attributes;
	size_t n_attributes;
};

/*
 * Of the thread, which is held in any request but RELEASE. Null: it is gone,
 * or there is no memory. The hierarchies are looked for when they are asked
 * for first, and once a second while one is missing.
 */
struct cgroup *cgroup_read(pid_t tid);

struct cgroup *cgroup_ref(struct cgroup *group); /* null is allowed */
void cgroup_unref(struct cgroup *group);         /* the same */

/* Null: it has none of that name. */
const struct cgroup_attribute *cgroup_attribute(const struct cgroup *group,
						const char *name);

#endif
