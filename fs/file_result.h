/* SPDX-License-Identifier: MIT */
/* result.csv and results/N.csv. Thread of the loop. */
#ifndef CONNFS_FS_FILE_RESULT_H
#define CONNFS_FS_FILE_RESULT_H

#include <stdint.h>

struct entry;
struct node;
struct view;

/* For connection_entries: the caller's last result set. */
int result_make_last(struct node **out, const struct view *v,
		     const struct entry *e);

/* For results/: number n, or -ENOENT. */
int result_make_number(struct node **out, const struct view *v, uint64_t n);

#endif
