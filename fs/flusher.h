/* SPDX-License-Identifier: MIT */
/*
 * Who sends a FLUSH. Every process that closes a descriptor of a file sends
 * one; only the process that opened it tells where its text ends. Thread of
 * the loop.
 */
#ifndef CONNFS_FS_FLUSHER_H
#define CONNFS_FS_FLUSHER_H

#include "fs/caller.h"

enum flusher {
	FLUSHER_OTHER,
	FLUSHER_OPENER, /* or the opener has gone */
	FLUSHER_DYING,  /* the same, killed in the middle of its text */
};

/* tid is the request's. Reads nothing that blocks under a FLUSH. */
enum flusher flusher_of(const struct process *opener, pid_t tid);

#endif
