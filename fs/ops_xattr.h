/* SPDX-License-Identifier: MIT */
/*
 * Extended attributes: user.connfs.error of an open exchange, and no others.
 */
#ifndef CONNFS_FS_OPS_XATTR_H
#define CONNFS_FS_OPS_XATTR_H

#include <stddef.h>
#include <stdint.h>

struct fuse_req;

/* fuse_lowlevel_ops */
void ops_getxattr(struct fuse_req *req, uint64_t ino, const char *name,
		  size_t size);
void ops_listxattr(struct fuse_req *req, uint64_t ino, size_t size);

#endif
