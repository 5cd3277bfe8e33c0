/* SPDX-License-Identifier: MIT */
/*
 * A directory in a container, found without trusting what is in there: by
 * descriptors, below the container's root, over no symbolic or magic link. The
 * process is held by its pidfd, so that another one of its number is not taken
 * for it.
 *
 *     place_open -> place_find -> [ place_make ] -> [ place_remove ]
 */
#ifndef CONNFS_FS_ATTACH_PLACE_H
#define CONNFS_FS_ATTACH_PLACE_H

#include <limits.h>
#include <stdbool.h>
#include <sys/types.h>

struct attach_target;
struct err;

struct place {
	const struct attach_target *target; /* borrowed */
	int pid_fd;
	int proc_fd; /* /proc/<pid> */
	int ns_fd;   /* its mount namespace; not ours */
	/* O_PATH, as are the next two. */
	int root_fd;
	int dir_fd;              /* what the place is in */
	int at_fd;               /* the place */
	char name[NAME_MAX + 1]; /* of the place in dir_fd */
	char mountinfo[64];      /* the file of the process */
};

/* place_close() afterwards in any case. -ESRCH: there is no such process. */
int place_open(struct place *out, const struct attach_target *target,
	       struct err *err);
void place_close(struct place *p);

/* Opens what is there now; -ENOENT: nothing, err is not written. */
int place_find(struct place *p, struct err *err);

/*
 * Makes the missing directory, 0555, as the owner of the container's root, and
 * opens it. Only on the root's own file system: nowhere else is it known that
 * the container may.
 */
int place_make(struct place *p, struct err *err);

/* Removes the directory again, if it is as place_make() makes them: empty. */
void place_remove(struct place *p);

enum place_state {
	PLACE_BARE,   /* nothing is mounted there */
	PLACE_CONNFS, /* one that lives */
	PLACE_DEAD,   /* and one whose daemon has gone */
	PLACE_OTHER
};

/* What place_find() found: an enum place_state, or a negative errno. */
int place_state(const struct place *p, struct err *err);

#endif
