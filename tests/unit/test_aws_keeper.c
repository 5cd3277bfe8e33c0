/* SPDX-License-Identifier: MIT */
/* auth/aws/keeper.h: when keys are renewed, by whom, and what fails. */
#include "auth/aws/keeper.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>

#include "tests/unit/check.h"

#define START INT64_C(1800000000)
#define HOUR  INT64_C(3600)

enum { N_THREADS = 50 };

static _Atomic int64_t now;

static int64_t get_now(void)
{
	return now;
}

/* A source that does as it is told. */
struct fake {
	struct aws_keeper keeper;
	atomic_uint n_fetched;
	_Atomic int64_t life; /* of the keys it gives; 0: they do not expire */
	atomic_bool fails;
	atomic_int code; /* of the failure; 0: EACCES */
	atomic_bool is_stable;
	atomic_bool is_same; /* unless it is due */
	/* Fetches wait at the door while it is closed. */
	pthread_mutex_t mutex;
	pthread_cond_t moved;
	bool closed;       /* mutex */
	unsigned n_inside; /* mutex */
};

static int fetch(void *arg, bool due, struct aws_fetched *out, struct err *err)
{
	struct fake *f = arg;
	char text[32];
	unsigned n;

	CHECK(pthread_mutex_lock(&f->mutex) == 0);
	f->n_inside++;
	CHECK(pthread_cond_broadcast(&f->moved) == 0);
	while (f->closed)
		CHECK(pthread_cond_wait(&f->moved, &f->mutex) == 0);
	f->n_inside--;
	CHECK(pthread_mutex_unlock(&f->mutex) == 0);
	(void)snprintf(out->name, sizeof(out->name), "fake");
	out->is_stable = f->is_stable;
	out->is_same = f->is_same && !due;
	if (out->is_same)
		return 0;
	n = ++f->n_fetched;
	if (f->fails)
		return err_set(err, f->code != 0 ? f->code : EACCES,
			       "fake: refused %u", n);
	(void)snprintf(text, sizeof(text), "AKIA%u", n);
	CHECK(secret_set(&out->keys.access_key, text, strlen(text)) == 0);
	CHECK(secret_set(&out->keys.secret_key, "s3cr3t", 6) == 0);
	if (f->life != 0)
		out->keys.expires_at = now + f->life;
	return 0;
}

static void start(struct fake *f, int64_t life)
{
	*f = (struct fake){.life = life};
	now = START;
	f->keeper.fetch = fetch;
	f->keeper.arg = f;
	f->keeper.now = get_now;
	CHECK(pthread_mutex_init(&f->mutex, NULL) == 0);
	CHECK(pthread_cond_init(&f->moved, NULL) == 0);
	aws_keeper_init(&f->keeper);
}

static void stop(struct fake *f)
{
	aws_keeper_finish(&f->keeper);
	CHECK(pthread_mutex_destroy(&f->mutex) == 0);
	CHECK(pthread_cond_destroy(&f->moved) == 0);
}

static void close_door(struct fake *f)
{
	CHECK(pthread_mutex_lock(&f->mutex) == 0);
	f->closed = true;
	CHECK(pthread_mutex_unlock(&f->mutex) == 0);
}

static void open_door(struct fake *f)
{
	CHECK(pthread_mutex_lock(&f->mutex) == 0);
	f->closed = false;
	CHECK(pthread_cond_broadcast(&f->moved) == 0);
	CHECK(pthread_mutex_unlock(&f->mutex) == 0);
}

static void wait_inside(struct fake *f)
{
	CHECK(pthread_mutex_lock(&f->mutex) == 0);
	while (f->n_inside == 0)
		CHECK(pthread_cond_wait(&f->moved, &f->mutex) == 0);
	CHECK(pthread_mutex_unlock(&f->mutex) == 0);
}

static void expect_need(struct fake *f, const struct aws_need *need,
			const char *access_key)
{
	auto_aws_keys struct aws_keys keys = {0};
	struct err err = {0};

	CHECK_TEXT(aws_keeper_get(&f->keeper, need, &keys, &err) == 0 ? ""
								      : err.msg,
		   "");
	CHECK_TEXT(keys.access_key.data, access_key);
}

static void expect(struct fake *f, const char *access_key)
{
	const struct aws_need need = {0};

	expect_need(f, &need, access_key);
}

static void expect_error(struct fake *f, int code, const char *text)
{
	const struct aws_need need = {0};
	auto_aws_keys struct aws_keys keys = {0};
	struct err err = {0};

	CHECK(aws_keeper_get(&f->keeper, &need, &keys, &err) == -code);
	CHECK(err.code == code);
	CHECK_TEXT(err.msg, text);
}

static void expect_status(struct fake *f, int64_t expires_at, const char *error)
{
	char name[AWS_SOURCE_NAME_SIZE];
	int64_t real;
	struct err err;

	aws_keeper_status(&f->keeper, name, &real, &err);
	CHECK_TEXT(name, "fake");
	CHECK(real == expires_at);
	CHECK_TEXT(err.msg, error);
}

static void expect_status_error(struct fake *f)
{
	char name[AWS_SOURCE_NAME_SIZE];
	int64_t expires_at;
	struct err err;

	aws_keeper_status(&f->keeper, name, &expires_at, &err);
	CHECK(err.code == EACCES);
}

static void test_keys_that_do_not_expire_are_fetched_once(void)
{
	const struct aws_need need = {.min_left = 900};
	struct fake f;

	start(&f, 0);
	expect(&f, "AKIA1");
	now += 9000 * HOUR;
	expect_need(&f, &need, "AKIA1");
	CHECK(aws_keeper_renewal(&f.keeper) == 0);
	stop(&f);
}

struct window {
	int64_t life;
	int64_t left;
	unsigned min_left;
	bool renews;
};

/* 15 min, or a third of a short life; min_left is scaled as well. */
static const struct window windows[] = {
	{HOUR, 901, 0, false},    {HOUR, 900, 0, false},  {HOUR, 899, 0, true},
	{HOUR, 900, 900, false},  {HOUR, 899, 900, true}, {900, 301, 0, false},
	{900, 301, 900, false},   {900, 299, 900, true},  {900, 299, 0, true},
	{HOUR, 1000, 1200, true}, {15, 6, 900, false},    {15, 4, 0, true},
};

static void test_windows_are_scaled_to_the_life_of_keys(void)
{
	for (size_t i = 0; i < COUNT(windows); i++) {
		const struct window *w = &windows[i];
		const struct aws_need need = {.min_left = w->min_left};
		struct fake f;

		start(&f, w->life);
		expect(&f, "AKIA1");
		now += w->life - w->left;
		expect_need(&f, &need, w->renews ? "AKIA2" : "AKIA1");
		CHECK(f.n_fetched == (w->renews ? 2 : 1));
		stop(&f);
	}
}

struct caller {
	pthread_t thread;
	struct fake *fake;
	char got[32];
	struct err err;
};

static void *call(void *arg)
{
	const struct aws_need need = {0};
	struct caller *c = arg;
	auto_aws_keys struct aws_keys keys = {0};

	if (aws_keeper_get(&c->fake->keeper, &need, &keys, &c->err) == 0)
		(void)snprintf(c->got, sizeof(c->got), "%s",
			       keys.access_key.data);
	return NULL;
}

static void start_caller(struct caller *c, struct fake *f)
{
	*c = (struct caller){.fake = f};
	CHECK(pthread_create(&c->thread, NULL, call, c) == 0);
}

static void end_caller(struct caller *c, const char *got, const char *error)
{
	CHECK(pthread_join(c->thread, NULL) == 0);
	CHECK_TEXT(c->got, got);
	CHECK_TEXT(c->err.msg, error);
}

static void test_one_fetch_serves_a_crowd(void)
{
	struct caller callers[N_THREADS];
	struct fake f;

	start(&f, HOUR);
	close_door(&f);
	for (size_t i = 0; i < N_THREADS; i++)
		start_caller(&callers[i], &f);
	wait_inside(&f);
	open_door(&f);
	for (size_t i = 0; i < N_THREADS; i++)
		end_caller(&callers[i], "AKIA1", "");
	CHECK(f.n_fetched == 1);
	stop(&f);
}

static void test_a_failure_is_the_answer_for_a_crowd(void)
{
	struct caller callers[N_THREADS];
	struct fake f;

	start(&f, HOUR);
	f.fails = true;
	close_door(&f);
	for (size_t i = 0; i < N_THREADS; i++)
		start_caller(&callers[i], &f);
	wait_inside(&f);
	open_door(&f);
	for (size_t i = 0; i < N_THREADS; i++)
		end_caller(&callers[i], "", "fake: refused 1");
	CHECK(f.n_fetched == 1);
	stop(&f);
}

/* While one renews them the others use what there is. */
static void test_soon_one_tries_and_others_go_on(void)
{
	static const struct {
		int64_t life;
		int64_t left;
	} cases[] = {{HOUR, 800}, {HOUR, 601}, {900, 181}};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct caller renewer;
		struct fake f;

		start(&f, cases[i].life);
		expect(&f, "AKIA1");
		now += cases[i].life - cases[i].left;
		close_door(&f);
		start_caller(&renewer, &f);
		wait_inside(&f);
		expect(&f, "AKIA1");
		open_door(&f);
		end_caller(&renewer, "AKIA2", "");
		expect(&f, "AKIA2");
		stop(&f);
	}
}

static void test_at_once_all_wait_for_the_attempt(void)
{
	struct caller callers[2];
	struct fake f;

	start(&f, HOUR);
	expect(&f, "AKIA1");
	now += HOUR - 500;
	close_door(&f);
	for (size_t i = 0; i < COUNT(callers); i++)
		start_caller(&callers[i], &f);
	wait_inside(&f);
	open_door(&f);
	for (size_t i = 0; i < COUNT(callers); i++)
		end_caller(&callers[i], "AKIA2", "");
	CHECK(f.n_fetched == 2);
	stop(&f);
}

static void test_keys_that_work_survive_a_failure(void)
{
	struct fake f;

	start(&f, HOUR);
	expect(&f, "AKIA1");
	f.fails = true;
	now += HOUR - 500;
	expect(&f, "AKIA1");
	expect_status(&f, START + HOUR, "fake: refused 2");
	now += 500;
	expect_error(&f, EKEYEXPIRED,
		     "the AWS keys expired at 2027-01-15T09:00:00Z, and there "
		     "are no new ones: fake: refused 3");
	f.fails = false;
	now += 60;
	expect(&f, "AKIA4");
	expect_status(&f, now + HOUR, "");
	stop(&f);
}

static void test_failures_are_not_repeated_at_once(void)
{
	static const int64_t waits[] = {1, 2, 4, 8, 16, 32, 60, 60};
	struct fake f;

	start(&f, HOUR);
	f.fails = true;
	for (unsigned i = 0; i < COUNT(waits); i++) {
		char error[32];

		(void)snprintf(error, sizeof(error), "fake: refused %u", i + 1);
		expect_error(&f, EACCES, error);
		now += waits[i] - 1;
		expect_error(&f, EACCES, error);
		now += 1;
	}
	CHECK(f.n_fetched == COUNT(waits));
	/* A clock that was set back is not waited for. */
	now -= 30 * HOUR;
	f.fails = false;
	expect(&f, "AKIA9");
	stop(&f);
}

/* Somebody logs in to SSO, or puts the file where it belongs. */
static void test_what_is_missing_here_is_looked_for_each_time(void)
{
	struct fake f;

	start(&f, HOUR);
	f.fails = true;
	f.code = ENOENT;
	expect_error(&f, ENOENT, "fake: refused 1");
	f.code = EKEYEXPIRED;
	expect_error(&f, EKEYEXPIRED, "fake: refused 2");
	f.code = EACCES;
	expect_error(&f, EACCES, "fake: refused 3");
	expect_error(&f, EACCES, "fake: refused 3");
	f.code = ENOENT;
	now += 60;
	expect_error(&f, ENOENT, "fake: refused 4");
	f.fails = false;
	expect(&f, "AKIA5");
	stop(&f);
}

/* Instances get their next keys minutes before the old ones expire. */
static void test_the_same_keys_again_are_no_reason_to_hurry(void)
{
	struct fake f;

	start(&f, HOUR);
	expect(&f, "AKIA1");
	now += HOUR - 400;
	f.life = 400;
	expect(&f, "AKIA2");
	for (int i = 0; i < 59; i++) {
		now++;
		expect(&f, "AKIA2");
	}
	f.life = HOUR;
	now++;
	expect(&f, "AKIA3");
	/* But not beyond the moment when they expire. */
	now += HOUR - 30;
	f.life = 30;
	expect(&f, "AKIA4");
	now += 29;
	expect(&f, "AKIA4");
	f.life = HOUR;
	now++;
	expect(&f, "AKIA5");
	stop(&f);
}

static void test_keys_that_come_expired_are_an_error(void)
{
	struct fake f;

	start(&f, -1);
	expect_error(&f, EKEYEXPIRED,
		     "fake: it gives keys that expired at "
		     "2027-01-15T07:59:59Z: renew them there, or set the "
		     "clock");
	stop(&f);
}

static void test_a_stable_source_may_give_expired_keys(void)
{
	struct fake f;

	start(&f, -1);
	f.is_stable = true;
	expect(&f, "AKIA1");
	now += 59;
	expect(&f, "AKIA1");
	/* Used for 5 to 10 minutes, and asked for again before. */
	now += 540;
	expect(&f, "AKIA2");
	f.life = HOUR;
	now += 540;
	expect(&f, "AKIA3");
	stop(&f);
}

/* How often it is asked meanwhile is left to chance: they last 5 to 10 min. */
static void test_keys_of_a_stable_source_outlive_it(void)
{
	char latest[32];
	struct fake f;

	start(&f, HOUR);
	f.is_stable = true;
	expect(&f, "AKIA1");
	f.fails = true;
	now += HOUR;
	for (int i = 0; i < 10; i++) {
		expect(&f, "AKIA1");
		now += 299;
	}
	expect_status_error(&f);
	f.fails = false;
	now += 600;
	(void)snprintf(latest, sizeof(latest), "AKIA%u", f.n_fetched + 1);
	expect(&f, latest);
	expect_status(&f, now + HOUR, "");
	stop(&f);
}

static void test_refused_keys_are_fetched_again(void)
{
	const struct aws_need fresh = {.fresh = true};
	struct fake f;

	start(&f, 0);
	expect(&f, "AKIA1");
	/* Many may be refused at once. */
	expect_need(&f, &fresh, "AKIA1");
	now++;
	expect_need(&f, &fresh, "AKIA2");
	expect_need(&f, &fresh, "AKIA2");
	f.fails = true;
	now++;
	expect_need(&f, &fresh, "AKIA2");
	now++;
	expect_need(&f, &fresh, "AKIA2");
	CHECK(f.n_fetched == 4);
	stop(&f);
}

static void test_a_source_that_changed_is_asked(void)
{
	const struct aws_need changed = {.changed = true};
	struct fake f;

	start(&f, HOUR);
	expect(&f, "AKIA1");
	expect_need(&f, &changed, "AKIA2");
	f.is_same = true;
	expect_need(&f, &changed, "AKIA2");
	/* It was due anyway. */
	now += HOUR - 100;
	expect_need(&f, &changed, "AKIA3");
	/* Failures before the change say nothing about what is there now. */
	f.fails = true;
	now += HOUR;
	expect_error(&f, EKEYEXPIRED,
		     "the AWS keys expired at 2027-01-15T09:58:20Z, and there "
		     "are no new ones: fake: refused 4");
	f.fails = false;
	expect_need(&f, &changed, "AKIA5");
	stop(&f);
}

static void test_renewal_in_the_background_comes_before_the_windows(void)
{
	struct fake f;
	int64_t at;

	start(&f, HOUR);
	CHECK(aws_keeper_renewal(&f.keeper) == 0);
	expect(&f, "AKIA1");
	at = aws_keeper_renewal(&f.keeper);
	CHECK(at <= START + HOUR - 900 && at >= START + HOUR - 960);
	now = at;
	aws_keeper_renew(&f.keeper);
	expect(&f, "AKIA2");
	f.fails = true;
	now = aws_keeper_renewal(&f.keeper);
	aws_keeper_renew(&f.keeper);
	CHECK(aws_keeper_renewal(&f.keeper) == now + 1);
	stop(&f);
}

int main(void)
{
	test_keys_that_do_not_expire_are_fetched_once();
	test_windows_are_scaled_to_the_life_of_keys();
	test_one_fetch_serves_a_crowd();
	test_a_failure_is_the_answer_for_a_crowd();
	test_soon_one_tries_and_others_go_on();
	test_at_once_all_wait_for_the_attempt();
	test_keys_that_work_survive_a_failure();
	test_failures_are_not_repeated_at_once();
	test_what_is_missing_here_is_looked_for_each_time();
	test_the_same_keys_again_are_no_reason_to_hurry();
	test_keys_that_come_expired_are_an_error();
	test_a_stable_source_may_give_expired_keys();
	test_keys_of_a_stable_source_outlive_it();
	test_refused_keys_are_fetched_again();
	test_a_source_that_changed_is_asked();
	test_renewal_in_the_background_comes_before_the_windows();
	return 0;
}
