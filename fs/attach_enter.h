/* SPDX-License-Identifier: MIT */
/*
 * What is done inside another mount namespace, by a child process that does
 * nothing else there: system calls on descriptors which the caller opened and
 * looked at. It looks up no path of that namespace, runs no program, loads no
 * library, allocates nothing, cannot be traced and has no core dump.
 */
#ifndef CONNFS_FS_ATTACH_ENTER_H
#define CONNFS_FS_ATTACH_ENTER_H

struct err;

/* Puts the detached mount tree_fd on the directory at_fd. */
int attach_enter_move(int ns_fd, int tree_fd, int at_fd, struct err *err);

/* Takes the mount that at_fd is the root of off, lazily. */
int attach_enter_unmount(int ns_fd, int at_fd, struct err *err);

#endif
