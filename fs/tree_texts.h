/* SPDX-License-Identifier: MIT */
/*
 * The texts of the tree that do not speak of statements, made at LOOKUP for
 * one caller. Thread of the loop.
 */
#ifndef CONNFS_FS_TREE_TEXTS_H
#define CONNFS_FS_TREE_TEXTS_H

struct buf;
struct view;

void text_version(struct buf *out, const struct view *v);
void text_ready(struct buf *out, const struct view *v);
void text_mount_status(struct buf *out, const struct view *v);
void text_errors(struct buf *out, const struct view *v);
void text_connection(struct buf *out, const struct view *v);
void text_client(struct buf *out, const struct view *v);
void text_creds_state(struct buf *out, const struct view *v);
void text_creds_source(struct buf *out, const struct view *v);
void text_creds_user(struct buf *out, const struct view *v);
void text_creds_issued(struct buf *out, const struct view *v);
void text_creds_expires(struct buf *out, const struct view *v);
void text_creds_ttl(struct buf *out, const struct view *v);
void text_creds_error(struct buf *out, const struct view *v);
void text_creds_status(struct buf *out, const struct view *v);

#endif
