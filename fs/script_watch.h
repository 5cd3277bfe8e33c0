/* SPDX-License-Identifier: MIT */
/*
 * Those who wait for the end of a script and ask for nothing else of it: it
 * goes on as if they were not there. Thread of the loop.
 */
#ifndef CONNFS_FS_SCRIPT_WATCH_H
#define CONNFS_FS_SCRIPT_WATCH_H

#include <stdbool.h>

struct script;

/* Belongs to whoever watches. Starts as {.on_over = ..}. */
struct script_watcher {
	/* Nothing runs or waits any more; it watches no more, and may go. */
	void (*on_over)(struct script_watcher *watcher);
	bool watching;
	struct script_watcher *next; /* of the same script */
};

/* Nothing of it runs or waits to be run. More text may change that. */
bool script_over(const struct script *script);

/* Watches a script that is not over. It may watch it already. */
void script_watch(struct script *script, struct script_watcher *watcher);
void script_unwatch(struct script *script, struct script_watcher *watcher);

/* Tells them when it is over. For script.c only. */
void script_tell_watchers(struct script *script);

#endif
