/* SPDX-License-Identifier: MIT */
/*
 * Bytes that must not leak: locked in memory, left out of core dumps, wiped
 * when they go. Passwords and tokens live here and nowhere else.
 *
 * Small secrets share locked pages, so that thousands of them fit into the
 * usual limit on locked memory; where that limit is too low they are kept all
 * the same, and a warning is logged once. A child of fork() finds zeros: what
 * is to be used after daemonizing is read after it. posix_spawn() is no such
 * fork.
 *
 * A secret belongs to one thread at a time; different ones to any thread.
 */
#ifndef CONNFS_COMMON_SECRET_H
#define CONNFS_COMMON_SECRET_H

#include <stddef.h>
#include <sys/types.h>

struct secret {
	char *data; /* null-terminated; null: empty */
	size_t len; /* bytes without the terminator */
	size_t cap; /* bytes taken from the locked pages */
};

/* Copies; replaces what s held, which data may be part of. 0 or -ENOMEM. */
int secret_set(struct secret *s, const char *data, size_t len);

/* Replaces what s held by len zeros, for reading into. 0 or -ENOMEM. */
int secret_alloc(struct secret *s, size_t len);

/*
 * Adds data, which is no part of s, to what s holds. 0, or -ENOMEM and s is as
 * it was.
 */
int secret_append(struct secret *s, const char *data, size_t len);

/*
 * Reads into the bytes of s, as much as there is and fits. How many, or a
 * negative errno.
 */
ssize_t secret_read(struct secret *s, int fd);

/* Wipes and frees; s is empty afterwards. */
void secret_finish(struct secret *s);

/* Overwrites n bytes in a way the compiler keeps. */
void secret_wipe(void *p, size_t n);

/*
 * Empties the stack of this thread below the caller, and its registers: who was
 * handed a secret has left pieces of it there. At the end of a login, and before
 * threads are started, which begin with the registers of who starts them.
 */
void secret_wipe_stack(void);

/* Wipes at the end of the scope; start it as {0}. */
#define auto_secret __attribute__((cleanup(secret_finish)))

#endif
