/* SPDX-License-Identifier: MIT */
/*
 * queries/.run/NAME.csv: a saved query that runs at each open, in a
 * conversation of its own, which ends with the close. Its failure is the
 * open's, or, if it comes later, a READ's; the text is kept for `error` in the
 * conversation of who opened it. Thread of the loop.
 */
#ifndef CONNFS_FS_FILE_RUN_H
#define CONNFS_FS_FILE_RUN_H

#include <stdbool.h>
#include <stdint.h>

struct buf;
struct run_failure;

/* To be asked before the text: its statement is newer than that one. */
bool run_failure_is_newer(const struct run_failure *f, uint64_t statement_id);

/* What report_failure() says, and of which query. f may be null: nothing. */
void run_failure_text(const struct run_failure *f, struct buf *out);

/* When it was run, in ms; 0: there is none. */
int64_t run_failure_time(const struct run_failure *f);

void run_failure_destroy(struct run_failure *f); /* null is allowed */

#endif
