/* SPDX-License-Identifier: MIT */
/*
 * Files that say what the daemon does: only when nobody but root and the
 * effective user can have written them. Any thread.
 */
#ifndef CONNFS_COMMON_TRUST_H
#define CONNFS_COMMON_TRUST_H

struct err;

/*
 * Opens path (close-on-exec, never waiting) when it, every directory on the
 * way to it and every symbolic link that is followed belong to root or to the
 * effective user, and none can be written by anybody else: by its mode, unless
 * it is a sticky directory or on a read-only mount. flags are O_RDONLY or
 * O_PATH. Returns the descriptor, or a negative errno with the offending path
 * in err: -EPERM when it is unsafe, else what the system said.
 */
int trust_open(const char *path, int flags, struct err *err);

#endif
