/* SPDX-License-Identifier: MIT */
/* The mount on this host that is attached, as a mount of its own. */
#ifndef CONNFS_FS_ATTACH_SOURCE_H
#define CONNFS_FS_ATTACH_SOURCE_H

#include <stdbool.h>

struct err;

/*
 * Is fd in a FUSE mount whose daemon has gone? One of another user namespace
 * is not asked, so that none of a container can keep us waiting.
 */
bool attach_is_dead(int fd);

/*
 * A detached and private copy of the connfs that is mounted at from (null: of
 * the only one), as a descriptor. -ENODEV: there is none.
 */
int attach_source(int *out, const char *from, struct err *err);

#endif
