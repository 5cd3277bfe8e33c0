/* SPDX-License-Identifier: MIT */
/*
 * The bytes of one result set between the worker that produces them and the
 * readers: appended at one end, read at any place, any number of times.
 *
 * They stay in memory up to a limit per spool and one per pool; the oldest go
 * to an unlinked file up to a limit per pool; when that is full too, the
 * writer waits until a reader has taken the oldest bytes, which are then given
 * up: such a spool can be read once, front to back. Nothing is ever dropped
 * that a reader has not had.
 *
 * One writer thread; readers may be on any thread while it writes, as what
 * they share with it stands under the spool's lock or is atomic; but
 * spool_want() and spool_drop() are the loop's. Bytes are seen by readers once
 * they are committed, and never change then. What is throttled is only how
 * often a waiting reader is woken.
 */
#ifndef CONNFS_FS_SPOOL_H
#define CONNFS_FS_SPOOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

struct spool;
struct spool_pool;

struct spool_limits {
	const char *dir;       /* where the unlinked files are made */
	uint64_t memory;       /* bytes of one spool */
	uint64_t memory_total; /* bytes of all spools of the pool */
	uint64_t disk_total;   /* bytes of all spools of the pool */
};

/* limits->dir is copied. The pool outlives its spools. */
struct spool_pool *spool_pool_create(const struct spool_limits *limits);
void spool_pool_destroy(struct spool_pool *pool); /* null is allowed */

/*
 * notify(arg) is called by the writer's thread, without a lock held, when
 * there are more bytes or the end was reached and a reader asked for it with
 * spool_want(); and whenever the writer begins to wait for a reader. Null
 * when there is no memory.
 */
struct spool *spool_create(struct spool_pool *pool, void (*notify)(void *arg),
			   void *arg);
struct spool *spool_ref(struct spool *spool); /* any thread */
void spool_unref(struct spool *spool);        /* any thread; null allowed */

/* ---- the writer ---- */

/*
 * Room for at least min bytes in one piece, more if *room says so. min is at
 * most SPOOL_PIECE. Blocks while the spool is full; null with *rc -ECANCELED
 * after spool_close(), -ENOMEM, or the errno of the disk.
 */
enum { SPOOL_PIECE = 64 * 1024 };
char *spool_reserve(struct spool *spool, size_t min, size_t *room, int *rc);

/* len bytes of the reserved room were filled: readers see them. */
void spool_commit(struct spool *spool, size_t len);

/*
 * After every row: wakes a waiting reader when it is worth it (enough bytes,
 * or the last time was SPOOL_PACE_MS ago).
 */
enum { SPOOL_PACE_MS = 4 };
void spool_tick(struct spool *spool);

/*
 * Before waiting for more rows: wakes a waiting reader, or returns in how many
 * ms it is worth it; -1: nobody waits for what there is.
 */
int spool_idle(struct spool *spool);

/*
 * No more will come; code 0: the result is complete, else an errno. With an
 * errno the loop may call it, too, while the writer is still at work.
 */
void spool_finish(struct spool *spool, int code);

/* ---- the readers ---- */

struct spool_state {
	uint64_t start;        /* first byte that can still be read */
	uint64_t end;          /* bytes so far */
	bool finished;         /* no more will come */
	bool full;             /* the writer waits for a reader */
	bool in_bulk;          /* more bytes than fit the memory of one spool */
	int code;              /* errno of the end when finished */
	int64_t finished_wall; /* ms; when finished */
};

void spool_state(struct spool *spool, struct spool_state *out);

/*
 * Asks for notify() once. Returns false when there is more than `have` bytes,
 * or the end, already. After a true, look again in 2 * SPOOL_PACE_MS: a row
 * that came right after a wake is not worth one, and the next may be far off.
 */
bool spool_want(struct spool *spool, uint64_t have);

/*
 * Attaches a reader at offset 0: the spool keeps what it has not read. The
 * position is where its next read starts. Fails with -ESTALE when the start
 * is gone.
 */
struct spool_reader {
	uint64_t pos;
	struct spool_reader *next; /* spool's lock */
};
int spool_attach(struct spool *spool, struct spool_reader *reader);
void spool_detach(struct spool *spool, struct spool_reader *reader);

/*
 * Up to size bytes from off, in at most SPOOL_IOV pieces. Returns the bytes
 * (0: none published there yet, or the end), or a negative errno: -ESTALE when
 * they were given up, -EAGAIN when they have to be fetched from the disk
 * first (call spool_fetch() on a thread that may wait, then again). slice
 * holds the memory until spool_slice_release(); one slice at a time.
 */
enum { SPOOL_IOV = 8 };
struct spool_slice {
	struct iovec iov[SPOOL_IOV];
	int n;
	struct spool_chunk *held[SPOOL_IOV];
};
ssize_t spool_read(struct spool *spool, uint64_t off, size_t size,
		   struct spool_slice *slice);
void spool_slice_release(struct spool *spool, struct spool_slice *slice);

/*
 * Brings the bytes into the page cache. May block on the disk. 0 or a negative
 * errno.
 */
int spool_fetch(struct spool *spool, uint64_t off, size_t size);

/* The reader has had everything before pos. */
void spool_advance(struct spool *spool, struct spool_reader *reader,
		   uint64_t pos);

/*
 * No reader is to come: once those that are attached have left, the writer does
 * not wait any more, and what is over the limits is given up.
 */
void spool_forsake(struct spool *spool);

/*
 * Gives the bytes of a complete spool back, as nobody will read it any more;
 * of any other it does nothing.
 */
void spool_drop(struct spool *spool);

/* The writer's calls fail with -ECANCELED from here on. Any thread. */
void spool_close(struct spool *spool);

#endif
