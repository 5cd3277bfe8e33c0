/* SPDX-License-Identifier: MIT */
/*
 * What a session does unseen: a statement that met another transaction is sent
 * again, and a connection that has lasted long enough is replaced. With the
 * back end that needs no server, and a clock that can be put forward.
 */
#include "fs/session.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <time.h>

#include "auth/auth.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "common/err.h"
#include "fs/config.h"
#include "fs/loop.h"
#include "fs/result.h"
#include "fs/spool.h"
#include "fs/statement.h"
#include "tests/unit/check.h"

enum { PATIENCE_MS = 20000, MAX_WAITS = 16 };

static const uint64_t MINUTE_MS = 60000;

uint64_t __real_clock_mono_ms(void);
uint64_t __wrap_clock_mono_ms(void);
int __real_clock_gettime(clockid_t, struct timespec *);
int __wrap_clock_gettime(clockid_t, struct timespec *);
int __real_pthread_cond_timedwait(pthread_cond_t *, pthread_mutex_t *,
				  const struct timespec *);
int __wrap_pthread_cond_timedwait(pthread_cond_t *, pthread_mutex_t *,
				  const struct timespec *);

static atomic_uint_least64_t put_forward; /* ms */

uint64_t __wrap_clock_mono_ms(void)
{
	return __real_clock_mono_ms() + atomic_load(&put_forward);
}

/* What the thread was told last: what it adds to that is exact. */
static _Thread_local struct timespec last;

int __wrap_clock_gettime(clockid_t id, struct timespec *ts)
{
	int rc = __real_clock_gettime(id, ts);

	if (id == CLOCK_MONOTONIC)
		last = *ts;
	return rc;
}

/* How long workers wait before they send a statement again. */
static sem_t waits;
static atomic_uint n_waits;
static unsigned waited_ms[MAX_WAITS];

int __wrap_pthread_cond_timedwait(pthread_cond_t *cond, pthread_mutex_t *lock,
				  const struct timespec *until)
{
	unsigned n = atomic_fetch_add(&n_waits, 1);
	long ms = (until->tv_sec - last.tv_sec) * 1000 +
		  (until->tv_nsec - last.tv_nsec) / 1000000;

	if (n < MAX_WAITS)
		waited_ms[n] = (unsigned)ms;
	CHECK(sem_post(&waits) == 0);
	return __real_pthread_cond_timedwait(cond, lock, until);
}

struct fixture {
	struct loop *loop;
	struct spool_pool *pool;
	struct engine engine;
	struct spec spec;
	struct session *session;
	bool closed;
};

static void on_closed(void *arg)
{
	((struct fixture *)arg)->closed = true;
}

static bool is_closed(void *arg)
{
	return ((struct fixture *)arg)->closed;
}

static bool is_over(void *arg)
{
	return statement_over(arg);
}

/* life_min: of a connection, 0: for ever. */
static void setup(struct fixture *f, bool retries, unsigned life_min)
{
	static char conn_id[] = "dsql";
	const struct auth_config none = {.conn_id = conn_id};
	const struct spool_limits limits = {
		.dir = check_dir,
		.memory = 65536,
		.memory_total = 1 << 20,
	};
	struct session_config config = {
		.spec = &f->spec,
		.app_name = "first",
		.max_row = 65536,
		.on_closed = on_closed,
		.closed_arg = f,
	};
	struct err err;

	*f = (struct fixture){
		.engine = {.type = "fake",
			   .backend = "fake",
			   .retries_conflicts = retries,
			   .session_life_ms = (unsigned)(life_min * MINUTE_MS)},
		.spec = {.refs = 1, .conn_id = conn_id, .engine = &f->engine},
	};
	atomic_store(&n_waits, 0);
	while (sem_trywait(&waits) == 0)
		;
	CHECK(loop_create(&f->loop, &err) == 0);
	CHECK(auth_create(&f->spec.auth, &none, &err) == 0);
	f->pool = spool_pool_create(&limits);
	config.loop = f->loop;
	f->session = session_create(&config);
	CHECK(f->pool != NULL && f->session != NULL);
}

static void teardown(struct fixture *f)
{
	session_close(f->session);
	loop_drain(f->loop, PATIENCE_MS, is_closed, f);
	CHECK(f->closed);
	spool_pool_destroy(f->pool);
	loop_destroy(f->loop);
	auth_destroy(f->spec.auth);
}

static struct statement *start(struct fixture *f, const char *text)
{
	struct statement *s =
		statement_create(f->loop, f->pool, text, strlen(text));

	CHECK(s != NULL);
	session_run(f->session, s);
	return s;
}

static void await(struct fixture *f, struct statement *s)
{
	loop_drain(f->loop, PATIENCE_MS, is_over, s);
	CHECK(statement_over(s));
}

static struct statement *run(struct fixture *f, const char *text)
{
	struct statement *s = start(f, text);

	await(f, s);
	return s;
}

/* The first cell of what text finds, a number. */
static long ask(struct fixture *f, const char *text)
{
	struct statement *s = run(f, text);
	struct spool_slice slice;
	char data[64] = "";
	ssize_t len;

	CHECK(statement_code(s) == 0 && s->n_results == 1);
	len = spool_read(s->results[0]->spool, 0, sizeof(data) - 1, &slice);
	CHECK(len > 0 && slice.n == 1);
	memcpy(data, slice.iov[0].iov_base, slice.iov[0].iov_len);
	spool_slice_release(s->results[0]->spool, &slice);
	statement_unref(s);
	CHECK(strchr(data, '\n') != NULL);
	return strtol(strchr(data, '\n') + 1, NULL, 10);
}

/* Runs text, which ends with code. */
static void check_code(struct fixture *f, const char *text, int code)
{
	struct statement *s = run(f, text);

	CHECK(statement_code(s) == -code);
	statement_unref(s);
}

static void check_waited(unsigned n, unsigned from, unsigned to)
{
	CHECK(waited_ms[n] >= from && waited_ms[n] <= to);
}

static void test_conflict_that_goes_away(void)
{
	struct fixture f;
	struct statement *s;

	setup(&f, true, 0);
	s = run(&f, "conflict OC000 3");
	CHECK(statement_code(s) == 0);
	CHECK(s->n_results == 1 && atomic_load(&s->rows) == 1);
	CHECK(s->diagnosis.message == NULL && s->diagnosis.code == NULL);
	CHECK(s->notices.len == 0);
	CHECK(atomic_load(&n_waits) == 3);
	check_waited(0, 50, 62);
	check_waited(1, 100, 125);
	check_waited(2, 200, 250);
	statement_unref(s);
	teardown(&f);
}

static void test_conflict_that_stays(void)
{
	struct fixture f;
	struct statement *s;

	setup(&f, true, 0);
	s = run(&f, "conflict OC001 1000");
	CHECK(statement_code(s) == -EAGAIN);
	CHECK_TEXT(s->err.sqlstate, "OC001");
	CHECK_TEXT(s->diagnosis.code, "OC001");
	CHECK_TEXT(s->diagnosis.message, "in conflict on request");
	CHECK_TEXT(buf_cstr(&s->notices), "in conflict\n");
	statement_unref(s);
	/* It was sent so many times, and no more. */
	CHECK(ask(&f, "conflict 40001 4") == 4);
	CHECK(atomic_load(&n_waits) == 3);
	teardown(&f);
}

/* A part of a transaction, rows that were seen, and what is no conflict. */
static void test_what_is_not_sent_again(void)
{
	struct fixture f;

	setup(&f, true, 0);
	check_code(&f, "begin", 0);
	check_code(&f, "conflict 40001 1", EAGAIN);
	CHECK(ask(&f, "conflict 40001 1") == 1);
	check_code(&f, "commit", 0);
	check_code(&f, "fail 40001 after 1", EAGAIN);
	check_code(&f, "fail 40001 after 0", EAGAIN); /* columns were seen */
	check_code(&f, "conflict 40P01 1", EAGAIN);
	CHECK(ask(&f, "conflict 40001 1") == 1);
	check_code(&f, "conflict 23505 1", EEXIST);
	CHECK(atomic_load(&n_waits) == 0);
	teardown(&f);

	setup(&f, false, 0);
	check_code(&f, "conflict 40001 1", EAGAIN);
	CHECK(atomic_load(&n_waits) == 0);
	teardown(&f);
}

/* It waits to be sent again when it is stopped: at once, and never sent. */
static void test_stopped_while_it_waits(enum statement_stop reason, int code)
{
	struct fixture f;
	struct statement *s;

	setup(&f, true, 0);
	s = start(&f, "conflict OC000 1000");
	while (sem_wait(&waits) != 0)
		;
	CHECK(statement_stop(s, reason));
	session_cancel(f.session, s);
	await(&f, s);
	CHECK(statement_code(s) == -code);
	CHECK(s->diagnosis.message == NULL);
	statement_unref(s);
	CHECK(ask(&f, "conflict 40001 1") == 1);
	teardown(&f);
}

static void put_clock_forward(unsigned minutes)
{
	(void)atomic_fetch_add(&put_forward, minutes * MINUTE_MS);
}

static void test_connection_that_is_aged(void)
{
	struct fixture f;
	long login;

	setup(&f, false, 55);
	login = ask(&f, "login");
	put_clock_forward(49);
	CHECK(ask(&f, "login") == login);
	put_clock_forward(6);
	CHECK(ask(&f, "login") == login + 1);
	CHECK(ask(&f, "login") == login + 1);
	put_clock_forward(56);
	CHECK(ask(&f, "login") == login + 2);
	teardown(&f);

	setup(&f, false, 0);
	login = ask(&f, "login");
	put_clock_forward(100000);
	CHECK(ask(&f, "login") == login);
	teardown(&f);
}

/* What would be lost with it keeps a connection for as long as there is. */
static void test_aged_connection_with_state(void)
{
	struct fixture f;
	struct statement *s;
	long login;

	setup(&f, false, 55);
	login = ask(&f, "login");
	check_code(&f, "begin", 0);
	put_clock_forward(56);
	CHECK(ask(&f, "login") == login);
	check_code(&f, "commit", 0);
	CHECK(ask(&f, "login") == login + 1);

	s = statement_create(f.loop, f.pool, "one", 3);
	CHECK(s != NULL);
	s->traits.keeps_state = true;
	session_run(f.session, s);
	await(&f, s);
	statement_unref(s);
	put_clock_forward(56);
	CHECK(ask(&f, "login") == login + 1);
	teardown(&f);
}

static void test_aged_connection_is_not_lent(void)
{
	struct fixture f;
	long login;

	setup(&f, false, 55);
	login = ask(&f, "login");
	CHECK(session_hand_over(f.session, NULL, "second") == 0);
	CHECK(ask(&f, "login") == login);
	CHECK(ask(&f, "state") == 1); /* it was reset */
	put_clock_forward(56);
	CHECK(session_hand_over(f.session, NULL, "third") == 0);
	CHECK(ask(&f, "login") == login + 1);
	CHECK(ask(&f, "state") == 0);
	teardown(&f);
}

int main(int argc, char **argv)
{
	check_init(argc, argv);
	CHECK(sem_init(&waits, 0, 0) == 0);
	test_conflict_that_goes_away();
	test_conflict_that_stays();
	test_what_is_not_sent_again();
	test_stopped_while_it_waits(STOP_CANCEL, ECANCELED);
	test_stopped_while_it_waits(STOP_TIMEOUT, ETIMEDOUT);
	test_connection_that_is_aged();
	test_aged_connection_with_state();
	test_aged_connection_is_not_lent();
	return 0;
}
