/* SPDX-License-Identifier: MIT */
/*
 * The names of a result set's columns as the keys of JSON objects. Of columns
 * of one name the first keeps it, the others become a_2, a_3, but for what is
 * the name of some column already. Fixed once made.
 */
#ifndef CONNFS_FS_OBJECT_KEYS_H
#define CONNFS_FS_OBJECT_KEYS_H

#include <stddef.h>

#include "common/buf.h"

struct format_head;

struct object_keys {
	struct buf text;
	size_t *ends; /* in text, per column */
};

/* 0 or -ENOMEM. A zeroed one may be finished. */
int object_keys_init(struct object_keys *keys, const struct format_head *head);
void object_keys_finish(struct object_keys *keys);

/* What stands before a column's value: `"a":`, or `,"b":` behind others. */
const char *object_keys_get(const struct object_keys *keys, size_t col,
			    size_t *len);

#endif
