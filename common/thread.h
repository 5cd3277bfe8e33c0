/* SPDX-License-Identifier: MIT */
/* Threads beside the one of the loop, which alone handles signals. */
#ifndef CONNFS_COMMON_THREAD_H
#define CONNFS_COMMON_THREAD_H

#include <pthread.h>
#include <stddef.h>

/*
 * Starts one with all signals blocked. stack: bytes, 0: the default. Null for
 * out: it is detached. 0 or a negative errno.
 */
int thread_start(pthread_t *out, size_t stack, void *(*run)(void *arg),
		 void *arg);

#endif
