/* SPDX-License-Identifier: MIT */
#include "fs/spool_pool.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/cleanup.h"

enum { MAX_FREE = 8 };

struct spool_pool {
	struct spool_limits limits;
	char *dir;
	pthread_mutex_t lock;
	uint64_t memory;                /* lock */
	uint64_t disk;                  /* lock */
	struct spool_chunk *free_chunk; /* lock; of SPOOL_CHUNK bytes */
	unsigned n_free;                /* lock */
};

struct spool_pool *spool_pool_create(const struct spool_limits *limits)
{
	struct spool_pool *pool = calloc(1, sizeof(*pool));

	if (pool == NULL)
		return NULL;
	pool->limits = *limits;
	pool->dir = strdup(limits->dir);
	pool->limits.dir = pool->dir;
	(void)pthread_mutex_init(&pool->lock, NULL);
	if (pool->dir == NULL) {
		spool_pool_destroy(pool);
		return NULL;
	}
	return pool;
}

void spool_pool_destroy(struct spool_pool *pool)
{
	if (pool == NULL)
		return;
	while (pool->free_chunk != NULL) {
		struct spool_chunk *chunk = pool->free_chunk;

		pool->free_chunk = chunk->next_free;
		free(chunk);
	}
	(void)pthread_mutex_destroy(&pool->lock);
	free(pool->dir);
	free(pool);
}

const struct spool_limits *spool_pool_limits(const struct spool_pool *pool)
{
	return &pool->limits;
}

bool spool_pool_take_memory(struct spool_pool *pool, uint64_t bytes, bool force)
{
	auto_lock(&pool->lock);
	if (!force && pool->memory + bytes > pool->limits.memory_total)
		return false;
	pool->memory += bytes;
	return true;
}

bool spool_pool_over(struct spool_pool *pool)
{
	auto_lock(&pool->lock);
	return pool->memory > pool->limits.memory_total;
}

bool spool_pool_take_disk(struct spool_pool *pool, uint64_t bytes)
{
	auto_lock(&pool->lock);
	if (pool->disk + bytes > pool->limits.disk_total)
		return false;
	pool->disk += bytes;
	return true;
}

void spool_pool_give(struct spool_pool *pool, uint64_t memory, uint64_t disk)
{
	auto_lock(&pool->lock);
	pool->memory -= memory;
	pool->disk -= disk;
}

int spool_pool_file(struct spool_pool *pool)
{
	int fd = open(pool->dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	auto_free char *path = NULL;

	if (fd >= 0)
		return fd;
	/* A file system without O_TMPFILE. */
	if (asprintf(&path, "%s/connfs-spool-XXXXXX", pool->dir) < 0) {
		path = NULL;
		return -ENOMEM;
	}
	fd = mkostemp(path, O_CLOEXEC);
	if (fd < 0)
		return -errno;
	(void)unlink(path);
	return fd;
}

int spool_pool_write(int fd, const char *data, size_t len, uint64_t off)
{
	while (len > 0) {
		ssize_t n = pwrite(fd, data, len, (off_t)off);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		data += n;
		len -= (size_t)n;
		off += (uint64_t)n;
	}
	return 0;
}

struct spool_chunk *spool_chunk_create(struct spool_pool *pool, size_t cap)
{
	struct spool_chunk *chunk = NULL;

	if (cap == SPOOL_CHUNK) {
		auto_lock(&pool->lock);
		chunk = pool->free_chunk;
		if (chunk != NULL) {
			pool->free_chunk = chunk->next_free;
			pool->n_free--;
		}
	}
	if (chunk == NULL)
		chunk = malloc(sizeof(*chunk) + cap);
	if (chunk == NULL)
		return NULL;
	atomic_init(&chunk->refs, 1);
	chunk->cap = cap;
	return chunk;
}

struct spool_chunk *spool_chunk_ref(struct spool_chunk *chunk)
{
	atomic_fetch_add(&chunk->refs, 1);
	return chunk;
}

void spool_chunk_unref(struct spool_pool *pool, struct spool_chunk *chunk)
{
	if (chunk == NULL || atomic_fetch_sub(&chunk->refs, 1) != 1)
		return;
	if (chunk->cap == SPOOL_CHUNK) {
		auto_lock(&pool->lock);
		if (pool->n_free < MAX_FREE) {
			chunk->next_free = pool->free_chunk;
			pool->free_chunk = chunk;
			pool->n_free++;
			return;
		}
	}
	free(chunk);
}
