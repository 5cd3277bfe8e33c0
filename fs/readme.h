/* SPDX-License-Identifier: MIT */
/*
 * README of the mount, made for whoever reads it: the connections this caller
 * may use, and how, in lines that can be pasted into a shell. Thread of the
 * loop.
 */
#ifndef CONNFS_FS_README_H
#define CONNFS_FS_README_H

struct buf;
struct view;

void text_readme(struct buf *out, const struct view *v);

#endif
