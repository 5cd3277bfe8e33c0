/* SPDX-License-Identifier: MIT */
/*
 * The spool: what is written comes back, at any offset, from memory and from
 * disk, to any number of readers; limits hold, and nothing is lost at them.
 */
#include "fs/spool.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>

#include "tests/unit/check.h"

#define KIB ((size_t)1024)
#define MIB (1024 * KIB)

/* The byte at an offset: no two neighbourhoods are alike. */
static char byte_at(uint64_t off)
{
	uint64_t x = (off / 8 + 1) * 0x9e3779b97f4a7c15u;

	return (char)(x >> (8 * (off % 8)));
}

static uint64_t seed = 88172645463325252u;

static uint64_t random_below(uint64_t n)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed % n;
}

struct fixture {
	struct spool_pool *pool;
	struct spool *spool;
	atomic_uint notified;
	/* The writer's. */
	uint64_t to_write;
	uint64_t written;
	int rc;
	pthread_t thread;
};

static void on_notify(void *arg)
{
	struct fixture *f = arg;

	atomic_fetch_add(&f->notified, 1);
}

static void setup(struct fixture *f, uint64_t memory, uint64_t total,
		  uint64_t disk)
{
	const struct spool_limits limits = {
		.dir = check_dir,
		.memory = memory,
		.memory_total = total,
		.disk_total = disk,
	};

	*f = (struct fixture){.pool = spool_pool_create(&limits)};
	CHECK(f->pool != NULL);
	f->spool = spool_create(f->pool, on_notify, f);
	CHECK(f->spool != NULL);
}

static void teardown(struct fixture *f)
{
	spool_unref(f->spool);
	spool_pool_destroy(f->pool);
}

/* In pieces of up to max bytes; stops at the first failure. */
static int write_bytes(struct fixture *f, uint64_t len, size_t max)
{
	while (len > 0) {
		size_t n = 1 + random_below(max), room;
		char *out;
		int rc;

		if (n > len)
			n = len;
		out = spool_reserve(f->spool, n, &room, &rc);
		if (out == NULL)
			return rc;
		CHECK(room >= n);
		for (size_t i = 0; i < n; i++)
			out[i] = byte_at(f->written + i);
		spool_commit(f->spool, n);
		spool_tick(f->spool);
		f->written += n;
		len -= n;
	}
	return 0;
}

static void *writer(void *arg)
{
	struct fixture *f = arg;

	f->rc = write_bytes(f, f->to_write, 5000);
	spool_finish(f->spool, -f->rc);
	return NULL;
}

static void start_writer(struct fixture *f, uint64_t len)
{
	f->to_write = len;
	CHECK(pthread_create(&f->thread, NULL, writer, f) == 0);
}

static void join_writer(struct fixture *f)
{
	CHECK(pthread_join(f->thread, NULL) == 0);
}

/* Bytes read at off and compared, 0 when there are none, or a failure. */
static ssize_t read_at(struct spool *spool, uint64_t off, size_t size)
{
	struct spool_slice slice;
	ssize_t n = spool_read(spool, off, size, &slice);
	uint64_t at = off;

	if (n == -EAGAIN) {
		CHECK(spool_fetch(spool, off, size) == 0);
		return read_at(spool, off, size);
	}
	if (n <= 0)
		return n;
	for (int i = 0; i < slice.n; i++) {
		const char *data = slice.iov[i].iov_base;

		for (size_t j = 0; j < slice.iov[i].iov_len; j++)
			CHECK(data[j] == byte_at(at + j));
		at += slice.iov[i].iov_len;
	}
	CHECK(at == off + (uint64_t)n);
	spool_slice_release(spool, &slice);
	return n;
}

/* From the front to the end, as a reader of the mount does. */
static void read_through(struct spool *spool, struct spool_reader *reader,
			 size_t size, uint64_t expected)
{
	struct spool_state state;
	uint64_t off = 0;
	ssize_t n;

	for (;;) {
		spool_state(spool, &state);
		n = read_at(spool, off, size);
		CHECK(n >= 0);
		off += (uint64_t)n;
		spool_advance(spool, reader, off);
		if (n == 0 && state.finished)
			break;
		if (n == 0)
			(void)sched_yield();
	}
	CHECK(off == expected);
}

/* Whatever is asked for: those bytes, wherever they lie. */
static void test_any_offset(uint64_t memory, uint64_t disk)
{
	const uint64_t len = 3 * MIB + 17;
	struct fixture f;
	struct spool_state state;

	setup(&f, memory, memory, disk);
	CHECK(write_bytes(&f, len, 9000) == 0);
	spool_finish(f.spool, 0);
	spool_state(f.spool, &state);
	CHECK(state.start == 0 && state.end == len);
	CHECK(state.finished && !state.full && state.code == 0);
	CHECK(state.in_bulk == (len > memory));
	for (int i = 0; i < 600; i++) {
		uint64_t off = random_below(len + 100);
		size_t size = 1 + random_below(200000);
		ssize_t n = read_at(f.spool, off, size);

		CHECK(off < len ? n > 0 && (size_t)n <= size : n == 0);
	}
	teardown(&f);
}

/* Bytes can be read once they are committed, before the end. */
static void test_committed_bytes_are_seen_at_once(void)
{
	struct fixture f;
	struct spool_state state;
	size_t room;
	int rc;

	setup(&f, MIB, MIB, 0);
	CHECK(read_at(f.spool, 0, 10) == 0);
	CHECK(spool_reserve(f.spool, 100, &room, &rc) != NULL);
	CHECK(read_at(f.spool, 0, 10) == 0);
	CHECK(write_bytes(&f, 5, 5) == 0);
	CHECK(read_at(f.spool, 0, 10) == 5);
	CHECK(read_at(f.spool, 3, 10) == 2);
	CHECK(read_at(f.spool, 5, 10) == 0);
	spool_state(f.spool, &state);
	CHECK(!state.finished && state.end == 5);
	teardown(&f);
}

/* A waiting reader is told; one that has something to read need not wait. */
static void test_a_reader_that_wants_is_notified(void)
{
	struct fixture f;

	setup(&f, MIB, MIB, 0);
	CHECK(write_bytes(&f, 10, 10) == 0);
	CHECK(atomic_load(&f.notified) == 0);
	CHECK(!spool_want(f.spool, 9));
	CHECK(spool_want(f.spool, 10));
	CHECK(write_bytes(&f, 200000, 1000) == 0);
	CHECK(atomic_load(&f.notified) == 1);
	CHECK(write_bytes(&f, 200000, 1000) == 0);
	CHECK(atomic_load(&f.notified) == 1);
	CHECK(spool_want(f.spool, 400010));
	spool_finish(f.spool, 0);
	CHECK(atomic_load(&f.notified) == 2);
	CHECK(!spool_want(f.spool, 400010));
	teardown(&f);
}

/* Before the writer waits for rows, the last ones are told of in time. */
static void test_idle_tells_of_the_last_bytes(void)
{
	struct fixture f;
	int wait;

	setup(&f, MIB, MIB, 0);
	CHECK(spool_idle(f.spool) == -1);
	CHECK(write_bytes(&f, 10, 10) == 0);
	CHECK(spool_want(f.spool, 10));
	CHECK(write_bytes(&f, 10, 10) == 0);
	for (;;) {
		wait = spool_idle(f.spool);
		if (wait < 0)
			break;
		CHECK(wait > 0 && wait <= SPOOL_PACE_MS);
		(void)usleep((unsigned)wait * 1000);
	}
	CHECK(atomic_load(&f.notified) == 1);
	teardown(&f);
}

/* With no place left the writer waits for the reader, who gets all. */
static void test_back_pressure(uint64_t disk)
{
	const uint64_t len = 20 * MIB;
	struct fixture f;
	struct spool_reader reader, late;
	struct spool_state state;

	setup(&f, MIB, MIB, disk);
	CHECK(spool_attach(f.spool, &reader) == 0);
	start_writer(&f, len);
	do {
		spool_state(f.spool, &state);
	} while (!state.full || atomic_load(&f.notified) == 0);
	CHECK(state.end < 2 * MIB + disk && !state.finished);
	read_through(f.spool, &reader, 30000, len);
	join_writer(&f);
	CHECK(f.rc == 0);
	spool_state(f.spool, &state);
	CHECK(state.start > 0 && state.finished && !state.full);
	/* What was given up is gone. */
	CHECK(read_at(f.spool, 0, 10) == -ESTALE);
	CHECK(spool_attach(f.spool, &late) == -ESTALE);
	spool_detach(f.spool, &reader);
	teardown(&f);
}

struct slow {
	struct fixture *f;
	struct spool_reader reader;
	size_t size;
	pthread_t thread;
};

static void *slow_reader(void *arg)
{
	struct slow *s = arg;

	read_through(s->f->spool, &s->reader, s->size, s->f->to_write);
	return NULL;
}

/* Bytes go when the last of the readers has had them. */
static void test_readers_of_different_speed(void)
{
	struct fixture f;
	struct slow slow[3];
	const size_t sizes[] = {100, 4096, 131072};

	setup(&f, 512 * KIB, 512 * KIB, 0);
	for (size_t i = 0; i < COUNT(slow); i++) {
		slow[i] = (struct slow){.f = &f, .size = sizes[i]};
		CHECK(spool_attach(f.spool, &slow[i].reader) == 0);
	}
	start_writer(&f, 4 * MIB);
	for (size_t i = 0; i < COUNT(slow); i++)
		CHECK(pthread_create(&slow[i].thread, NULL, slow_reader,
				     &slow[i]) == 0);
	for (size_t i = 0; i < COUNT(slow); i++) {
		CHECK(pthread_join(slow[i].thread, NULL) == 0);
		spool_detach(f.spool, &slow[i].reader);
	}
	join_writer(&f);
	CHECK(f.rc == 0);
	teardown(&f);
}

/* A reader that has read nothing and leaves does not hold the others. */
static void test_a_reader_that_leaves_holds_nothing(void)
{
	struct fixture f;
	struct spool_reader stays, leaves;

	setup(&f, 512 * KIB, 512 * KIB, 0);
	CHECK(spool_attach(f.spool, &stays) == 0);
	CHECK(spool_attach(f.spool, &leaves) == 0);
	start_writer(&f, 4 * MIB);
	spool_detach(f.spool, &leaves);
	read_through(f.spool, &stays, 50000, 4 * MIB);
	join_writer(&f);
	spool_detach(f.spool, &stays);
	teardown(&f);
}

/* Without a reader nothing is given up; closing ends the wait. */
static void test_close_ends_a_waiting_writer(void)
{
	struct fixture f;
	struct spool_state state;

	setup(&f, MIB, MIB, 0);
	start_writer(&f, 10 * MIB);
	do {
		spool_state(f.spool, &state);
	} while (!state.full);
	CHECK(state.start == 0);
	spool_close(f.spool);
	join_writer(&f);
	CHECK(f.rc == -ECANCELED);
	spool_state(f.spool, &state);
	CHECK(state.finished && state.code == ECANCELED);
	/* What had come can still be read. */
	CHECK(read_at(f.spool, 0, 1000) == 1000);
	teardown(&f);
}

/* Nobody is to come: the writer goes on, and who reads gets all. */
static void test_a_forsaken_one_does_not_wait(bool read)
{
	struct fixture f;
	struct spool_reader reader;
	struct spool_state state;

	setup(&f, MIB, MIB, 0);
	if (read)
		CHECK(spool_attach(f.spool, &reader) == 0);
	start_writer(&f, 10 * MIB);
	do {
		spool_state(f.spool, &state);
	} while (!state.full);
	spool_forsake(f.spool);
	if (read) {
		read_through(f.spool, &reader, 50000, 10 * MIB);
		spool_detach(f.spool, &reader);
	}
	join_writer(&f);
	CHECK(f.rc == 0);
	spool_state(f.spool, &state);
	CHECK(state.finished && state.code == 0 && state.end == 10 * MIB);
	CHECK(state.start > 8 * MIB);
	teardown(&f);
}

/* A failure of the disk is the writer's failure, not a hole. */
static void test_a_directory_that_is_gone(void)
{
	const char *dir = check_path("gone");
	struct fixture f;
	struct spool_limits limits = {
		.dir = dir,
		.memory = MIB,
		.memory_total = MIB,
		.disk_total = 100 * MIB,
	};

	f = (struct fixture){.pool = spool_pool_create(&limits)};
	CHECK(f.pool != NULL);
	f.spool = spool_create(f.pool, on_notify, &f);
	CHECK(f.spool != NULL);
	CHECK(write_bytes(&f, 10 * MIB, 5000) == -ENOENT);
	CHECK(read_at(f.spool, 0, 1000) == 1000);
	teardown(&f);
}

/* Complete ones keep no more than the total, however many there are. */
static void test_the_total_counts_for_all(void)
{
	struct fixture f;
	enum { N_KEPT = 40 };
	struct spool *kept[N_KEPT];
	char name[64];
	unsigned n_files = 0;

	setup(&f, MIB, MIB, 100 * MIB);
	for (size_t i = 0; i < N_KEPT; i++) {
		kept[i] = f.spool;
		f.written = 0;
		CHECK(write_bytes(&f, 400 * KIB, 5000) == 0);
		spool_finish(f.spool, 0);
		f.spool = spool_create(f.pool, on_notify, &f);
		CHECK(f.spool != NULL);
	}
	/* Those that are not in memory have a file each. */
	for (int fd = 3; fd < 200; fd++) {
		char target[600];
		ssize_t len;

		(void)snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
		len = readlink(name, target, sizeof(target) - 1);
		if (len > 0) {
			target[len] = '\0';
			n_files += strstr(target, check_dir) != NULL;
		}
	}
	CHECK(n_files >= N_KEPT - 4);
	for (size_t i = 0; i < N_KEPT; i++) {
		uint64_t off = 0;
		ssize_t n;

		while ((n = read_at(kept[i], off, 100000)) > 0)
			off += (uint64_t)n;
		CHECK(off == 400 * KIB);
		spool_unref(kept[i]);
	}
	/* And what they held is free again. */
	f.written = 0;
	CHECK(write_bytes(&f, 50 * MIB, 5000) == 0);
	teardown(&f);
}

/* What nobody will read any more is free for others, if it is complete. */
static void test_a_dropped_one_holds_nothing(uint64_t memory)
{
	struct fixture f;
	struct spool *dropped;

	setup(&f, memory, memory, 10 * MIB);
	dropped = f.spool;
	CHECK(write_bytes(&f, 8 * MIB, 5000) == 0);
	spool_drop(dropped);
	CHECK(read_at(dropped, 0, 1000) == 1000);
	spool_finish(dropped, 0);
	spool_drop(dropped);
	CHECK(read_at(dropped, 0, 1000) == -ESTALE);
	CHECK(read_at(dropped, 8 * MIB, 1000) == 0);
	f.spool = spool_create(f.pool, on_notify, &f);
	CHECK(f.spool != NULL);
	f.written = 0;
	CHECK(write_bytes(&f, 8 * MIB, 5000) == 0);
	spool_unref(dropped);
	teardown(&f);
}

int main(int argc, char **argv)
{
	check_init(argc, argv);
	test_any_offset(8 * MIB, 0);
	test_any_offset(MIB, 100 * MIB);
	test_any_offset(4096, 100 * MIB);
	test_committed_bytes_are_seen_at_once();
	test_a_reader_that_wants_is_notified();
	test_idle_tells_of_the_last_bytes();
	test_back_pressure(0);
	test_back_pressure(2 * MIB);
	test_readers_of_different_speed();
	test_a_reader_that_leaves_holds_nothing();
	test_close_ends_a_waiting_writer();
	test_a_forsaken_one_does_not_wait(false);
	test_a_forsaken_one_does_not_wait(true);
	test_a_directory_that_is_gone();
	test_the_total_counts_for_all();
	test_a_dropped_one_holds_nothing(8 * MIB);
	test_a_dropped_one_holds_nothing(MIB);
	return 0;
}
