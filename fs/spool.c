/* SPDX-License-Identifier: MIT */
#include "fs/spool.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "fs/spool_pool.h"

enum {
	FIRST_CHUNK = 4 * 1024,
	WAKE_BYTES = 128 * 1024,
	MIN_RESIDENT = 2,
	RECHECK_MS = 100, /* other spools give memory and disk back unseen */
};

/* A run of bytes: in memory, on disk, or both. */
struct extent {
	uint64_t off;
	size_t len;                /* the last one's grows with committed */
	struct spool_chunk *chunk; /* null: on disk only */
	bool on_disk;
};

struct spool {
	atomic_uint refs;
	struct spool_pool *pool;
	void (*notify)(void *arg);
	void *arg;

	/* Written by the writer, read by readers without the lock. */
	atomic_uint_least64_t committed;
	atomic_bool wanted;
	/* The writer's own. */
	struct spool_chunk *tail;
	uint64_t tail_off;
	uint64_t noted; /* committed at the last notify */
	uint64_t noted_ms;

	pthread_mutex_t lock;
	pthread_cond_t moved;         /* a reader advanced, or closed */
	struct extent *extents;       /* lock; by offset, without gaps */
	size_t n_extents;             /* lock */
	size_t cap_extents;           /* lock */
	size_t first;                 /* lock; extents before it are given up */
	size_t n_resident;            /* lock; extents with a chunk */
	uint64_t resident;            /* lock; bytes of their chunks */
	uint64_t on_disk;             /* lock; bytes */
	int fd;                       /* lock to set; -1: none yet */
	struct spool_reader *readers; /* lock */
	bool full;                    /* lock */
	bool forsaken;                /* lock */
	bool closed;                  /* lock */
	bool finished;                /* lock */
	int code;                     /* lock */
	int64_t finished_wall;        /* lock; ms */
};

struct spool *spool_create(struct spool_pool *pool, void (*notify)(void *arg),
			   void *arg)
{
	struct spool *spool = calloc(1, sizeof(*spool));
	pthread_condattr_t attr;

	if (spool == NULL)
		return NULL;
	atomic_init(&spool->refs, 1);
	spool->pool = pool;
	spool->notify = notify;
	spool->arg = arg;
	spool->fd = -1;
	(void)pthread_mutex_init(&spool->lock, NULL);
	(void)pthread_condattr_init(&attr);
	(void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	(void)pthread_cond_init(&spool->moved, &attr);
	(void)pthread_condattr_destroy(&attr);
	return spool;
}

struct spool *spool_ref(struct spool *spool)
{
	atomic_fetch_add(&spool->refs, 1);
	return spool;
}

static void give_back(struct spool *spool)
{
	for (size_t i = spool->first; i < spool->n_extents; i++)
		spool_chunk_unref(spool->pool, spool->extents[i].chunk);
	spool_pool_give(spool->pool, spool->resident, spool->on_disk);
	free(spool->extents);
	spool->extents = NULL;
	spool->n_extents = 0;
	spool->first = 0;
	spool->resident = 0;
	spool->on_disk = 0;
}

void spool_unref(struct spool *spool)
{
	if (spool == NULL || atomic_fetch_sub(&spool->refs, 1) != 1)
		return;
	give_back(spool);
	cleanup_close(&spool->fd);
	(void)pthread_cond_destroy(&spool->moved);
	(void)pthread_mutex_destroy(&spool->lock);
	free(spool);
}

static uint64_t end_of(struct spool *spool)
{
	return atomic_load_explicit(&spool->committed, memory_order_acquire);
}

/* Whoever asked looks again. Any thread. */
static void wake(struct spool *spool)
{
	atomic_store(&spool->wanted, false);
	spool->notify(spool->arg);
}

/* The writer shows what it has. */
static void notify(struct spool *spool)
{
	spool->noted = end_of(spool);
	spool->noted_ms = clock_coarse_ms();
	wake(spool);
}

/*
 * Gives up extents from the front that every reader has had, or that nobody
 * will read. Lock held.
 */
static bool give_up_read(struct spool *spool)
{
	struct extent *e = &spool->extents[spool->first];
	uint64_t resident = 0, on_disk = 0;

	if (spool->first + 1 >= spool->n_extents ||
	    (spool->readers == NULL && !spool->forsaken))
		return false;
	for (struct spool_reader *r = spool->readers; r != NULL; r = r->next) {
		if (r->pos < e->off + e->len)
			return false;
	}
	if (e->chunk != NULL) {
		resident = e->chunk->cap;
		spool_chunk_unref(spool->pool, take_ptr(e->chunk));
		spool->n_resident--;
		spool->resident -= resident;
	}
	if (e->on_disk) {
		on_disk = e->len;
		spool->on_disk -= on_disk;
		(void)fallocate(spool->fd,
				FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				(off_t)e->off, (off_t)e->len);
	}
	spool->first++;
	spool_pool_give(spool->pool, resident, on_disk);
	return true;
}

/*
 * Moves the oldest bytes in memory to the disk. Called with the lock held,
 * which is released while writing: only the writer moves extents. The one that
 * is written to stays, unless the result has its end. Returns 1, 0 when the
 * disk is full or nothing is left to move, or a negative errno.
 */
static int move_to_disk(struct spool *spool, bool ended)
{
	size_t n = ended ? spool->n_extents : spool->n_extents - 1;
	size_t i = spool->first;
	struct extent e;
	int rc;

	while (i < n && spool->extents[i].chunk == NULL)
		i++;
	if (i >= n)
		return 0;
	e = spool->extents[i];
	if (!spool_pool_take_disk(spool->pool, e.len))
		return 0;
	if (spool->fd < 0)
		spool->fd = spool_pool_file(spool->pool);
	if (spool->fd < 0) {
		rc = spool->fd;
		spool->fd = -1;
	} else {
		(void)pthread_mutex_unlock(&spool->lock);
		rc = spool_pool_write(spool->fd, e.chunk->data, e.len, e.off);
		(void)pthread_mutex_lock(&spool->lock);
	}
	if (rc < 0) {
		spool_pool_give(spool->pool, 0, e.len);
		return rc == -ENOSPC ? 0 : rc;
	}
	/* give_up_read() runs on this thread only: i still names e. */
	spool->extents[i].on_disk = true;
	spool->extents[i].chunk = NULL;
	spool->on_disk += e.len;
	spool->resident -= e.chunk->cap;
	spool->n_resident--;
	spool_pool_give(spool->pool, e.chunk->cap, 0);
	spool_chunk_unref(spool->pool, e.chunk);
	return 1;
}

/* Waits until a reader moves. Lock held. */
static void wait_for_reader(struct spool *spool)
{
	struct timespec until;
	bool first = !spool->full;

	spool->full = true;
	if (first) {
		(void)pthread_mutex_unlock(&spool->lock);
		notify(spool);
		(void)pthread_mutex_lock(&spool->lock);
		return; /* look again before the first sleep */
	}
	(void)clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += (long)RECHECK_MS * 1000000;
	if (until.tv_nsec >= 1000000000) {
		until.tv_nsec -= 1000000000;
		until.tv_sec++;
	}
	(void)pthread_cond_timedwait(&spool->moved, &spool->lock, &until);
}

/* Makes room for a chunk of cap bytes. Lock held. */
static int make_room(struct spool *spool, size_t cap)
{
	const struct spool_limits *limits = spool_pool_limits(spool->pool);
	int rc;

	for (;;) {
		if (spool->closed)
			return -ECANCELED;
		if (spool->resident + cap <= limits->memory &&
		    spool_pool_take_memory(spool->pool, cap, false))
			break;
		if (spool->n_resident < MIN_RESIDENT) {
			(void)spool_pool_take_memory(spool->pool, cap, true);
			break;
		}
		if (spool->forsaken && give_up_read(spool))
			continue;
		rc = move_to_disk(spool, false);
		if (rc < 0)
			return rc;
		if (rc == 0 && !give_up_read(spool))
			wait_for_reader(spool);
	}
	spool->full = false;
	return 0;
}

static int add_extent(struct spool *spool, struct spool_chunk *chunk)
{
	if (spool->n_extents == spool->cap_extents) {
		size_t cap = spool->cap_extents * 2 + 8;
		struct extent *grown;

		grown = reallocarray(spool->extents, cap, sizeof(*grown));
		if (grown == NULL)
			return -ENOMEM;
		spool->extents = grown;
		spool->cap_extents = cap;
	}
	spool->tail = chunk;
	spool->tail_off = end_of(spool);
	spool->extents[spool->n_extents++] =
		(struct extent){.off = spool->tail_off, .chunk = chunk};
	spool->n_resident++;
	spool->resident += chunk->cap;
	return 0;
}

/* Closes the last chunk and begins one that holds min bytes or more. */
static int next_chunk(struct spool *spool, size_t min)
{
	uint64_t end = end_of(spool);
	size_t cap = FIRST_CHUNK;
	struct spool_chunk *chunk;
	int rc;

	while (cap < SPOOL_CHUNK && (cap < min || cap < end))
		cap *= 2;
	auto_lock(&spool->lock);
	if (spool->n_extents > 0)
		spool->extents[spool->n_extents - 1].len =
			(size_t)(end - spool->tail_off);
	rc = make_room(spool, cap);
	if (rc < 0)
		return rc;
	chunk = spool_chunk_create(spool->pool, cap);
	if (chunk == NULL) {
		spool_pool_give(spool->pool, cap, 0);
		return -ENOMEM;
	}
	rc = add_extent(spool, chunk);
	if (rc < 0) {
		spool_pool_give(spool->pool, cap, 0);
		spool_chunk_unref(spool->pool, chunk);
	}
	return rc;
}

char *spool_reserve(struct spool *spool, size_t min, size_t *room, int *rc)
{
	uint64_t end =
		atomic_load_explicit(&spool->committed, memory_order_relaxed);
	size_t used = (size_t)(end - spool->tail_off);

	if (spool->tail == NULL || spool->tail->cap - used < min) {
		*rc = next_chunk(spool, min);
		if (*rc < 0)
			return NULL;
		used = 0;
	}
	*rc = 0;
	*room = spool->tail->cap - used;
	return spool->tail->data + used;
}

void spool_commit(struct spool *spool, size_t len)
{
	uint64_t end =
		atomic_load_explicit(&spool->committed, memory_order_relaxed);

	atomic_store_explicit(&spool->committed, end + len,
			      memory_order_release);
}

void spool_tick(struct spool *spool)
{
	if (!atomic_load_explicit(&spool->wanted, memory_order_relaxed))
		return;
	if (end_of(spool) - spool->noted >= WAKE_BYTES ||
	    clock_coarse_ms() - spool->noted_ms >= SPOOL_PACE_MS)
		notify(spool);
}

int spool_idle(struct spool *spool)
{
	uint64_t since;

	if (!atomic_load(&spool->wanted) || end_of(spool) == spool->noted)
		return -1;
	since = clock_coarse_ms() - spool->noted_ms;
	if (since < SPOOL_PACE_MS)
		return (int)(SPOOL_PACE_MS - since);
	notify(spool);
	return -1;
}

/*
 * A result that was allowed its few chunks although the pool was full does not
 * keep them once it is complete: many may be kept. Lock held.
 */
static void leave_memory(struct spool *spool)
{
	spool->tail = NULL;
	while (spool_pool_over(spool->pool) && move_to_disk(spool, true) > 0) {
	}
}

void spool_finish(struct spool *spool, int code)
{
	{
		auto_lock(&spool->lock);
		if (spool->n_extents > 0)
			spool->extents[spool->n_extents - 1].len =
				(size_t)(end_of(spool) - spool->tail_off);
		/* Only the worker ends it well, and may wait for the disk. */
		if (code == 0)
			leave_memory(spool);
		spool->finished = true;
		spool->finished_wall = clock_wall_ms();
		spool->code = code;
	}
	/* By the loop it may be ended while the writer is at it. */
	if (atomic_load(&spool->wanted))
		wake(spool);
}

void spool_state(struct spool *spool, struct spool_state *out)
{
	auto_lock(&spool->lock);
	*out = (struct spool_state){
		.end = end_of(spool),
		.finished = spool->finished,
		.full = spool->full,
		.code = spool->code,
		.finished_wall = spool->finished_wall,
	};
	out->in_bulk = out->end > spool_pool_limits(spool->pool)->memory;
	if (spool->n_extents > spool->first)
		out->start = spool->extents[spool->first].off;
}

bool spool_want(struct spool *spool, uint64_t have)
{
	atomic_store(&spool->wanted, true);
	auto_lock(&spool->lock);
	return end_of(spool) <= have && !spool->finished;
}

int spool_attach(struct spool *spool, struct spool_reader *reader)
{
	auto_lock(&spool->lock);
	if (spool->first > 0)
		return -ESTALE;
	reader->pos = 0;
	reader->next = spool->readers;
	spool->readers = reader;
	return 0;
}

void spool_detach(struct spool *spool, struct spool_reader *reader)
{
	auto_lock(&spool->lock);
	for (struct spool_reader **r = &spool->readers; *r != NULL;
	     r = &(*r)->next) {
		if (*r == reader) {
			*r = reader->next;
			break;
		}
	}
	(void)pthread_cond_signal(&spool->moved);
}

/* The extent that holds byte off, which is before the end. Lock held. */
static size_t find_extent(const struct spool *spool, uint64_t off)
{
	size_t lo = spool->first, hi = spool->n_extents;

	while (hi - lo > 1) {
		size_t mid = lo + (hi - lo) / 2;

		if (spool->extents[mid].off <= off)
			lo = mid;
		else
			hi = mid;
	}
	return lo;
}

/* Reads from the disk without waiting for it. Lock held. */
static int load(struct spool *spool, uint64_t off, size_t len,
		struct spool_chunk **out)
{
	struct spool_chunk *chunk = spool_chunk_create(spool->pool, len);
	struct iovec iov;
	ssize_t n;

	if (chunk == NULL)
		return -ENOMEM;
	iov = (struct iovec){chunk->data, len};
	n = preadv2(spool->fd, &iov, 1, (off_t)off, RWF_NOWAIT);
	if (n < 0 && errno == EOPNOTSUPP)
		n = preadv(spool->fd, &iov, 1, (off_t)off);
	if (n != (ssize_t)len) {
		/* A part is in the page cache: the rest has to be fetched. */
		int rc = n < 0 && errno != EAGAIN ? -errno : -EAGAIN;

		spool_chunk_unref(spool->pool, chunk);
		return rc;
	}
	*out = chunk;
	return 0;
}

ssize_t spool_read(struct spool *spool, uint64_t off, size_t size,
		   struct spool_slice *slice)
{
	uint64_t end = end_of(spool);
	size_t total = 0;
	int rc = 0;

	slice->n = 0;
	if (off >= end)
		return 0;
	if (size > end - off)
		size = (size_t)(end - off);
	auto_lock(&spool->lock);
	if (spool->n_extents == 0 || off < spool->extents[spool->first].off)
		return -ESTALE;
	for (size_t i = find_extent(spool, off);
	     i < spool->n_extents && total < size && slice->n < SPOOL_IOV;
	     i++) {
		const struct extent *e = &spool->extents[i];
		bool last = i + 1 == spool->n_extents;
		size_t skip = (size_t)(off + total - e->off);
		size_t here = (last ? (size_t)(end - e->off) : e->len) - skip;
		struct spool_chunk *chunk = e->chunk;

		if (here > size - total)
			here = size - total;
		if (chunk != NULL) {
			(void)spool_chunk_ref(chunk);
		} else {
			rc = load(spool, e->off + skip, here, &chunk);
			if (rc < 0)
				break;
			skip = 0;
		}
		slice->held[slice->n] = chunk;
		slice->iov[slice->n++] =
			(struct iovec){chunk->data + skip, here};
		total += here;
	}
	return total > 0 ? (ssize_t)total : rc;
}

void spool_slice_release(struct spool *spool, struct spool_slice *slice)
{
	for (int i = 0; i < slice->n; i++)
		spool_chunk_unref(spool->pool, slice->held[i]);
	slice->n = 0;
}

int spool_fetch(struct spool *spool, uint64_t off, size_t size)
{
	char page[16 * 1024];
	uint64_t end = end_of(spool);
	size_t done = 0;
	int fd;

	{
		auto_lock(&spool->lock);
		fd = spool->fd;
	}
	if (size > end - off)
		size = (size_t)(end - off);
	/* The descriptor lives as long as the spool, which the caller holds. */
	while (done < size) {
		size_t want =
			size - done < sizeof(page) ? size - done : sizeof(page);
		ssize_t n = pread(fd, page, want, (off_t)(off + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break; /* the rest has not left the memory */
		done += (size_t)n;
	}
	return 0;
}

void spool_advance(struct spool *spool, struct spool_reader *reader,
		   uint64_t pos)
{
	auto_lock(&spool->lock);
	if (pos > reader->pos)
		reader->pos = pos;
	if (spool->full)
		(void)pthread_cond_signal(&spool->moved);
}

void spool_drop(struct spool *spool)
{
	auto_lock(&spool->lock);
	/* A writer that was given up may still be at work on it. */
	if (!spool->finished || spool->code != 0)
		return;
	give_back(spool);
	/* Who fetches from it may have the descriptor: it stays open. */
	if (spool->fd >= 0)
		(void)ftruncate(spool->fd, 0);
}

void spool_forsake(struct spool *spool)
{
	auto_lock(&spool->lock);
	spool->forsaken = true;
	(void)pthread_cond_signal(&spool->moved);
}

void spool_close(struct spool *spool)
{
	auto_lock(&spool->lock);
	spool->closed = true;
	(void)pthread_cond_signal(&spool->moved);
}
