/* SPDX-License-Identifier: MIT */
/*
 * Reading SOURCE again: on a thread of its own, one reading at a time, while
 * requests are served by the old specs. docs/reload.md shows the states. What
 * is asked for while one is under way is one more: that may have looked before
 * SOURCE changed. The thread borrows the mount's config, which only the end of
 * its reading replaces. Thread of the loop.
 */
#ifndef CONNFS_FS_RELOAD_H
#define CONNFS_FS_RELOAD_H

#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"
#include "fs/request.h"

struct mount;

enum reload_state {
	RELOAD_IDLE,
	RELOAD_READING,
	RELOAD_AGAIN, /* reading, and one more after it */
};

/* The mount's; zeroed at first. */
struct reload {
	enum reload_state state;
	uint64_t n_done;          /* readings that have ended */
	struct request_list now;  /* for the reading under way */
	struct request_list next; /* for the one after it */
};

/* SIGHUP: SOURCE is to be read by a reading that begins from here on. */
void reload_request(struct mount *m);

/*
 * The same; rq, a WRITE, is answered when that has ended: written, -EINVAL
 * when anything in SOURCE is wrong, or why there was no reading. 0, or
 * -ENOMEM and rq is the caller's still.
 */
int reload_wait(struct mount *m, const struct request *rq);

/* The last reading was taken, and nothing in SOURCE was wrong. */
bool reload_is_ok(const struct mount *m);

#endif
