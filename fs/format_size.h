/* SPDX-License-Identifier: MIT */
/*
 * How long a complete result set is in a format other than CSV. Thread of the
 * loop.
 */
#ifndef CONNFS_FS_FORMAT_SIZE_H
#define CONNFS_FS_FORMAT_SIZE_H

#include <stdbool.h>
#include <stdint.h>

#include "fs/format.h"

struct mount;
struct result;

/*
 * Whether it is known: somebody has read it to its end, or it is short and in
 * memory, then it is made at once for that.
 */
bool format_size_known(struct result *result, enum format format,
		       uint64_t *size);

/* Has it made on the encoding thread, only to learn its size. */
void format_size_learn(struct mount *m, struct result *result,
		       enum format format);

#endif
