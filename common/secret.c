/* SPDX-License-Identifier: MIT */
#include "common/secret.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/log.h"

enum {
	BLOCK = 64, /* bytes */
	CHUNK_BLOCKS = 1024,
	CHUNK_SIZE = BLOCK * CHUNK_BLOCKS,
	SMALL_MAX = CHUNK_SIZE / 8, /* larger ones get pages of their own */
	MAP_UNIT = 4096,
	STACK_NEAR = 4 * MAP_UNIT,
	STACK_FAR = 512 * 1024,
};

/* The books are kept outside of the pages, which fork() may clear. */
struct chunk {
	struct chunk *next;
	char *base;
	size_t n_free; /* blocks */
	bool used[CHUNK_BLOCKS];
};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static struct chunk *chunks; /* mutex; never given back, used again */
static bool warned;          /* mutex */

/* Called with the mutex held. */
static char *map_locked(size_t size)
{
	char *base = mmap(NULL, size, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (base == MAP_FAILED)
		return NULL;
	if (madvise(base, size, MADV_DONTDUMP) < 0 ||
	    madvise(base, size, MADV_WIPEONFORK) < 0) {
		(void)munmap(base, size);
		return NULL;
	}
	if (mlock(base, size) < 0 && !warned) {
		log_warn("cannot lock memory for passwords, which may reach "
			 "swap: %m (see ulimit -l)");
		warned = true;
	}
	return base;
}

static struct chunk *chunk_create(void)
{
	struct chunk *c = calloc(1, sizeof(*c));

	if (c == NULL)
		return NULL;
	c->base = map_locked(CHUNK_SIZE);
	if (c->base == NULL) {
		free(c);
		return NULL;
	}
	c->n_free = CHUNK_BLOCKS;
	c->next = chunks;
	chunks = c;
	return c;
}

/* n free blocks in a row, or null. */
static char *chunk_take(struct chunk *c, size_t n)
{
	size_t run = 0;

	if (c->n_free < n)
		return NULL;
	for (size_t i = 0; i < CHUNK_BLOCKS; i++) {
		run = c->used[i] ? 0 : run + 1;
		if (run == n) {
			size_t first = i + 1 - n;

			memset(c->used + first, true, n);
			c->n_free -= n;
			return c->base + first * BLOCK;
		}
	}
	return NULL;
}

static char *take(size_t cap)
{
	char *data;

	auto_lock(&mutex);
	if (cap > SMALL_MAX)
		return map_locked(cap);
	for (struct chunk *c = chunks; c != NULL; c = c->next) {
		data = chunk_take(c, cap / BLOCK);
		if (data != NULL)
			return data;
	}
	return chunk_create() != NULL ? chunk_take(chunks, cap / BLOCK) : NULL;
}

/* The bytes are wiped already. */
static void give(char *data, size_t cap)
{
	if (cap > SMALL_MAX) {
		(void)munmap(data, cap);
		return;
	}
	auto_lock(&mutex);
	for (struct chunk *c = chunks; c != NULL; c = c->next) {
		if (data >= c->base && data < c->base + CHUNK_SIZE) {
			size_t first = (size_t)(data - c->base) / BLOCK;

			memset(c->used + first, false, cap / BLOCK);
			c->n_free += cap / BLOCK;
			return;
		}
	}
}

int secret_alloc(struct secret *s, size_t len)
{
	size_t cap, unit;

	secret_finish(s);
	if (len == 0)
		return 0;
	if (len > SIZE_MAX / 2)
		return -ENOMEM;
	unit = len < SMALL_MAX ? BLOCK : MAP_UNIT;
	cap = (len + unit) / unit * unit; /* with the terminator */
	s->data = take(cap);
	if (s->data == NULL)
		return -ENOMEM;
	s->len = len;
	s->cap = cap;
	return 0;
}

int secret_set(struct secret *s, const char *data, size_t len)
{
	struct secret fresh = {0};
	int rc = secret_alloc(&fresh, len);

	if (rc < 0)
		return rc;
	if (len > 0)
		memcpy(fresh.data, data, len);
	secret_finish(s);
	*s = fresh;
	return 0;
}

int secret_append(struct secret *s, const char *data, size_t len)
{
	struct secret fresh = {0};

	if (len == 0)
		return 0;
	if (s->cap - s->len <= len) {
		if (len > SIZE_MAX / 4 - s->len)
			return -ENOMEM;
		if (secret_alloc(&fresh, s->len + len + s->cap) < 0 ||
		    fresh.data == NULL)
			return -ENOMEM;
		fresh.len = s->len;
		if (s->len > 0)
			memcpy(fresh.data, s->data, s->len);
		secret_finish(s);
		*s = fresh;
	}
	memcpy(s->data + s->len, data, len);
	s->len += len;
	s->data[s->len] = '\0';
	return 0;
}

ssize_t secret_read(struct secret *s, int fd)
{
	size_t done = 0;

	while (done < s->len) {
		ssize_t n = read(fd, s->data + done, s->len - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		done += (size_t)n;
	}
	return (ssize_t)done;
}

void secret_finish(struct secret *s)
{
	int saved = errno;

	if (s->data != NULL) {
		secret_wipe(s->data, s->cap);
		give(s->data, s->cap);
	}
	*s = (struct secret){0};
	errno = saved;
}

void secret_wipe(void *p, size_t n)
{
	if (n > 0)
		explicit_bzero(p, n);
}

/*
 * What is nearer than wipe_far() may come. Sanitizers would put the array
 * somewhere else.
 */
__attribute__((noinline, no_sanitize_address)) static void wipe_near(void)
{
	char area[STACK_NEAR];

	secret_wipe(area, sizeof(area));
}

/*
 * Whole pages, which the kernel replaces by zeros when they are used again. Not
 * beyond the gap that it keeps below the stack of the first thread, which may
 * not have grown to where that ends.
 */
__attribute__((noinline)) static void wipe_far(void)
{
	char *here = __builtin_frame_address(0);
	char *end = here - (uintptr_t)here % MAP_UNIT - STACK_NEAR / 2;
	char *start = end - STACK_FAR;
	pthread_attr_t attr;
	void *low = end;
	size_t size;

	if (pthread_getattr_np(pthread_self(), &attr) != 0)
		return;
	(void)pthread_attr_getstack(&attr, &low, &size);
	(void)pthread_attr_destroy(&attr);
	if (start < (char *)low)
		start = low;
	if (start < end)
		(void)madvise(start, (size_t)(end - start), MADV_DONTNEED);
}

/*
 * The vector registers, through which memcpy() goes. Which ones depends on the
 * size, and on the processor.
 */
static void wipe_registers(void)
{
	static const char zeros[STACK_NEAR];
	void *(*volatile copy)(void *, const void *, size_t) = memcpy;
	char area[STACK_NEAR];

	for (size_t size = 16; size <= sizeof(area); size *= 2)
		(void)copy(area, zeros, size);
}

void secret_wipe_stack(void)
{
	wipe_registers();
	wipe_far();
	wipe_near();
}
