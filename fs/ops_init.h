/* SPDX-License-Identifier: MIT */
/*
 * The session with the kernel: what is agreed at INIT, and the flags libfuse
 * 3.14 cannot send.
 */
#ifndef CONNFS_FS_OPS_INIT_H
#define CONNFS_FS_OPS_INIT_H

struct err;
struct fuse_conn_info;
struct fuse_session;

/* fuse_lowlevel_ops.init */
void ops_init(void *userdata, struct fuse_conn_info *conn);

/*
 * Routes the session's device through us, so that the reply to INIT can be
 * completed. After fuse_session_mount(). 0 or a negative errno.
 */
int ops_patch_session(struct fuse_session *se, struct err *err);

/* on_init(arg) is called once the kernel has the reply to INIT. */
void ops_on_init(void (*on_init)(void *arg), void *arg);

#endif
