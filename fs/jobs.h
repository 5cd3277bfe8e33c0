/* SPDX-License-Identifier: MIT */
/*
 * A thread that does in the loop's place what takes its time: one job after
 * another, in the order in which they came. Started with the first one.
 */
#ifndef CONNFS_FS_JOBS_H
#define CONNFS_FS_JOBS_H

#include "fs/loop.h"

struct jobs;

struct job {
	struct loop_event event; /* posted when the work is done */
	struct job *next;
	void (*work)(struct job *job); /* on the thread */
};

/* Null when there is no memory. */
struct jobs *jobs_create(struct loop *loop);

/* Waits until all is done; events may still have to run. Null is allowed. */
void jobs_destroy(struct jobs *jobs);

/* job is the caller's again when its event runs. 0 or a negative errno. */
int jobs_add(struct jobs *jobs, struct job *job);

#endif
