/* SPDX-License-Identifier: MIT */
/*
 * The directories of control groups, as this process sees them mounted. The
 * loop's thread.
 */
#ifndef CONNFS_FS_CGROUP_TREE_H
#define CONNFS_FS_CGROUP_TREE_H

struct cgroup;

/*
 * Goes from the root of a hierarchy down to group->path, and sets trusted and
 * the attributes of group, which has none. hierarchy is the first controller or
 * "name=.." that /proc/<pid>/cgroup has for it, "" for cgroup2. 0 or -ENOMEM.
 */
int cgroup_tree_walk(struct cgroup *group, const char *hierarchy);

#endif
