/* SPDX-License-Identifier: MIT */
/*
 * The one thread that renews what is about to expire, before somebody has to
 * wait for it. It starts with the first task and sleeps until one is due by
 * the wall clock, steps of that clock and suspended machines included.
 */
#ifndef CONNFS_AUTH_REFRESHER_H
#define CONNFS_AUTH_REFRESHER_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Embedded in what it renews, zeroed but for run, which is called by the
 * thread, without locks, may block, and may schedule the task again, or free
 * it.
 */
struct refresher_task {
	void (*run)(struct refresher_task *task);
	int64_t due; /* refresher only, like all below: wall clock, ms */
	bool queued;
	struct refresher_task *next;
};

/*
 * Any thread: to be run at that time, instead of an earlier order. False: it
 * will not be run (no thread can be started, or the process ends): who asks
 * for it renews it then.
 */
bool refresher_schedule(struct refresher_task *task, int64_t wall_ms);

/*
 * Takes back the order. True: there was one, and run will not be called for it.
 * False: there was none, or run is being called for it. Any thread; never
 * waits. Who wants to free the task lets an order hold a reference, which goes
 * with the order, or with run.
 */
bool refresher_withdraw(struct refresher_task *task);

/* The process ends: no task is begun any more. Does not wait. */
void refresher_stop(void);

#endif
