/* SPDX-License-Identifier: MIT */
/*
 * What all spools share: memory and disk accounts, and chunks of memory that
 * are used again. Any thread. Included by spool.c and spool_pool.c only.
 */
#ifndef CONNFS_FS_SPOOL_POOL_H
#define CONNFS_FS_SPOOL_POOL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "fs/spool.h"

enum { SPOOL_CHUNK = 256 * 1024 };

/* Counted: a reader may hold it while the spool has moved it to disk. */
struct spool_chunk {
	atomic_uint refs;
	size_t cap;
	struct spool_chunk *next_free;
	char data[];
};

const struct spool_limits *spool_pool_limits(const struct spool_pool *pool);

/* The account. force: take it although it is over the limit. */
bool spool_pool_take_memory(struct spool_pool *pool, uint64_t bytes,
			    bool force);
bool spool_pool_over(struct spool_pool *pool); /* more memory than allowed */
bool spool_pool_take_disk(struct spool_pool *pool, uint64_t bytes);
void spool_pool_give(struct spool_pool *pool, uint64_t memory, uint64_t disk);

/* A new unlinked file, or a negative errno. */
int spool_pool_file(struct spool_pool *pool);

/* All of it, at off. 0 or a negative errno. */
int spool_pool_write(int fd, const char *data, size_t len, uint64_t off);

struct spool_chunk *spool_chunk_create(struct spool_pool *pool, size_t cap);
struct spool_chunk *spool_chunk_ref(struct spool_chunk *chunk);
void spool_chunk_unref(struct spool_pool *pool, struct spool_chunk *chunk);

#endif
