/* SPDX-License-Identifier: MIT */
/*
 * When what stands in the tree was last changed: its mtime, in milliseconds of
 * wall time. It is the content's time, not that of the look at it: what has
 * not changed keeps it, so that make, rsync and editors can go by it. What
 * counts by itself (creds/ttl, elapsed_ms) is no change. Thread of the loop.
 */
#ifndef CONNFS_FS_TREE_TIMES_H
#define CONNFS_FS_TREE_TIMES_H

#include <stdbool.h>
#include <stdint.h>

struct caller;
struct node;
struct view;

/* The start or the end of the statement that the caller is shown. */
int64_t time_of_status(const struct view *v);

/* The same, or when parameters were refused or a saved query failed. */
int64_t time_of_error(const struct view *v);

/* The start: the end does not change the text. */
int64_t time_of_query(const struct view *v);

/* Of the newest statement that the caller may know of. */
int64_t time_of_statements(const struct view *v);

/* SOURCE was read; or, of the complaints, could not be. */
int64_t time_of_specs(const struct view *v);
int64_t time_of_complaints(const struct view *v);

/* The newest of all these. */
int64_t time_of_mount(const struct view *v);

/* What creds/ tells of was obtained, refused, or has come to its end. */
int64_t time_of_creds(const struct view *v);

/*
 * results/ and queries/ are one directory for all, in which each caller finds
 * what is its own: for this one its newest statement, or a file of its own that
 * came or went.
 */
bool time_is_callers(const struct node *dir);
int64_t time_of_shared(const struct node *dir, const struct caller *caller);

#endif
