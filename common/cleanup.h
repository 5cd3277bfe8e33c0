/* SPDX-License-Identifier: MIT */
/* Releasing at the end of a scope, and visible transfers of ownership. */
#ifndef CONNFS_COMMON_CLEANUP_H
#define CONNFS_COMMON_CLEANUP_H

#include <dirent.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static inline void cleanup_free(void *p)
{
	free(*(void **)p);
}

static inline void cleanup_close(const int *fd)
{
	if (*fd >= 0)
		(void)close(*fd);
}

static inline void cleanup_fclose(FILE **f)
{
	if (*f != NULL)
		(void)fclose(*f);
}

static inline void cleanup_closedir(DIR **d)
{
	if (*d != NULL)
		(void)closedir(*d);
}

static inline pthread_mutex_t *cleanup_lock(pthread_mutex_t *m)
{
	(void)pthread_mutex_lock(m);
	return m;
}

static inline void cleanup_unlock(pthread_mutex_t **m)
{
	if (*m != NULL)
		(void)pthread_mutex_unlock(*m);
}

#define auto_free     __attribute__((cleanup(cleanup_free)))
#define auto_close    __attribute__((cleanup(cleanup_close)))
#define auto_fclose   __attribute__((cleanup(cleanup_fclose)))
#define auto_closedir __attribute__((cleanup(cleanup_closedir)))

/*
 * Holds the mutex until the end of the scope. It is a declaration, which
 * cannot stand in parentheses.
 * NOLINTBEGIN(bugprone-macro-parentheses)
 */
#define auto_lock(mutex)                                 \
	__attribute__((cleanup(cleanup_unlock), unused)) \
	pthread_mutex_t *auto_lock_held = cleanup_lock(mutex)

/* NOLINTEND(bugprone-macro-parentheses) */

/* Hands a pointer on: what the variable held; the variable becomes null. */
#define take_ptr(p)                                 \
	({                                          \
		__typeof__(p) take_ptr_value = (p); \
		(p) = NULL;                         \
		take_ptr_value;                     \
	})

static inline int take_fd(int *fd)
{
	int value = *fd;

	*fd = -1;
	return value;
}

#endif
