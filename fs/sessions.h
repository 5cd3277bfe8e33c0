/* SPDX-License-Identifier: MIT */
/*
 * sessions/: directories that callers make, each a conversation with a
 * database session of its own. Their names are one namespace. Thread of the
 * loop.
 */
#ifndef CONNFS_FS_SESSIONS_H
#define CONNFS_FS_SESSIONS_H

struct node;
struct view;

enum { SESSIONS_MAX = 1000 }; /* of one user and connection */

/*
 * 0, -EEXIST also when it is another's or one of sessions_entries, -EDQUOT,
 * -EINVAL for a name with control characters or slashes, -EACCES anywhere but
 * in sessions/.
 */
int sessions_make(struct node **out, const struct view *v, const char *name);

/*
 * The same, for one that may outlive its maker, which is held in a MKDIR:
 * whoever is in a later namespace of the same number is somebody else.
 */
int sessions_mkdir(struct node **out, const struct view *v, const char *name);

/* Cancels what runs in it, rolls back, and logs out. */
int sessions_rmdir(const struct view *v, const char *name);

#endif
