/* SPDX-License-Identifier: MIT */
/*
 * The session with the kernel: what is agreed at INIT, and the flags libfuse
 * 3.14 cannot send.
 */
#ifndef CONNFS_FS_OPS_INIT_H
#define CONNFS_FS_OPS_INIT_H

#include <stdbool.h>

struct err;
struct fuse_conn_info;
struct fuse_session;

/* fuse_lowlevel_ops.init */
void ops_init(void *userdata, struct fuse_conn_info *conn);

/*
 * Routes the session's device through us, so that the reply to INIT can be
 * completed, and that to OPEN. After fuse_session_mount(). 0 or a negative errno.
 */
int ops_patch_session(struct fuse_session *se, struct err *err);

/*
 * The reply to OPEN that is written until this is called with false opens a
 * stream. Thread of the loop.
 */
void ops_open_stream(bool stream);

/* on_init(arg) is called once the kernel has the reply to INIT. */
void ops_on_init(void (*on_init)(void *arg), void *arg);

#endif
