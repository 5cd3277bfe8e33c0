/* SPDX-License-Identifier: MIT */
/*
 * FUSE's requests, translated for the tree and the files, and their answers
 * translated back. The only place where a negative errno becomes a reply.
 */
#ifndef CONNFS_FS_OPS_H
#define CONNFS_FS_OPS_H

struct fuse_lowlevel_ops;
struct mount;

/* The session's userdata is the struct mount. */
extern const struct fuse_lowlevel_ops connfs_ops;

#endif
