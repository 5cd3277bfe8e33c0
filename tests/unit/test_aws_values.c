/* SPDX-License-Identifier: MIT */
/*
 * The cache of values, with a hand in the place of AWS.
 *
 *     test_aws_values DIRECTORY
 */
#include "auth/aws/values.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdatomic.h>

#include "auth/aws/values_fetch.h"
#include "tests/unit/check.h"
#include "tests/unit/fake_clock.h"

enum {
	N_THREADS = 200,
	TTL_MS = 120 * 1000,
	HOUR_MS = 3600 * 1000,
};

/* What AWS says; null: it fails with that code. */
static const char *answer;
static int failure;
static bool is_transient;
static atomic_int n_fetches;
static atomic_bool holds; /* a fetch waits for `go` */
static sem_t begun, go;

int __wrap_values_fetch(struct secret *out, const struct aws_value *value,
			bool *transient, struct err *err);
int __wrap_values_fetch(struct secret *out, const struct aws_value *value,
			bool *transient, struct err *err)
{
	n_fetches++;
	if (holds) {
		CHECK(sem_post(&begun) == 0);
		CHECK(sem_wait(&go) == 0);
	}
	*transient = is_transient;
	if (answer == NULL)
		return err_set(err, failure, "parameter %s: no", value->name);
	return secret_set(out, answer, strlen(answer));
}

static atomic_int n_waiting;

int __real_pthread_cond_wait(pthread_cond_t *cond, pthread_mutex_t *mutex);
int __wrap_pthread_cond_wait(pthread_cond_t *cond, pthread_mutex_t *mutex);
int __wrap_pthread_cond_wait(pthread_cond_t *cond, pthread_mutex_t *mutex)
{
	n_waiting++;
	return __real_pthread_cond_wait(cond, mutex);
}

/* Nobody looks into one here. */
static char identities[2];
static atomic_int n_refs;

struct aws_identity *__wrap_aws_identity_ref(struct aws_identity *identity);
struct aws_identity *__wrap_aws_identity_ref(struct aws_identity *identity)
{
	n_refs++;
	return identity;
}

void __wrap_aws_identity_unref(struct aws_identity *identity);
void __wrap_aws_identity_unref(struct aws_identity *identity)
{
	n_refs--;
}

static void says(const char *text, int code, bool transient)
{
	answer = text;
	failure = code;
	is_transient = transient;
}

static struct aws_value value_of(const char *name)
{
	return (struct aws_value){
		.kind = AWS_PARAMETER,
		.name = name,
		.identity = (struct aws_identity *)&identities[0],
		.ttl_ms = TTL_MS,
	};
}

static void check_get(const struct aws_value *value, const char *expected,
		      bool expect_cached)
{
	auto_secret struct secret got = {0};
	struct err err = {0};
	bool cached;

	CHECK(aws_value_get(&got, value, "password", &cached, &err) == 0);
	CHECK_TEXT(got.data, expected);
	CHECK(cached == expect_cached);
	CHECK(err.code == 0);
}

/* An old one, because AWS could not be asked. */
static void check_old(const struct aws_value *value, const char *expected,
		      const char *why)
{
	auto_secret struct secret got = {0};
	struct err err = {0};
	bool cached;

	CHECK(aws_value_get(&got, value, "password", &cached, &err) == 0);
	CHECK_TEXT(got.data, expected);
	CHECK(cached && err.code > 0);
	CHECK_TEXT(err.msg, why);
}

static void check_fails(const struct aws_value *value, int code,
			const char *expected)
{
	auto_secret struct secret got = {0};
	struct err err = {0};
	bool cached;

	CHECK(aws_value_get(&got, value, "password", &cached, &err) == -code);
	CHECK(got.data == NULL && err.code == code);
	CHECK_TEXT(err.msg, expected);
}

static void check_fetches(int n)
{
	CHECK(n_fetches == n);
	n_fetches = 0;
}

static void test_kept_for_its_time(void)
{
	struct aws_value value = value_of("kept");

	says("one", 0, false);
	check_get(&value, "one", false);
	says("two", 0, false);
	(void)fake_clock_advance(TTL_MS - 1);
	check_get(&value, "one", true);
	(void)fake_clock_advance(1);
	check_get(&value, "two", false);
	check_fetches(2);
	aws_value_drop(&value);
	says("three", 0, false);
	check_get(&value, "three", false);
	check_fetches(1);
	/* Now, whatever is kept, and others have it from then on. */
	value.fresh = true;
	says("four", 0, false);
	check_get(&value, "four", false);
	value.fresh = false;
	check_get(&value, "four", true);
	check_fetches(1);
}

/* Of another kind, name or identity it is another value. */
static void test_what_is_the_same(void)
{
	struct aws_value value = value_of("same"), other = value;

	says("one", 0, false);
	check_get(&value, "one", false);
	says("two", 0, false);
	other.kind = AWS_SECRET;
	check_get(&other, "two", false);
	other = value;
	other.name = "other";
	check_get(&other, "two", false);
	other = value;
	other.identity = (struct aws_identity *)&identities[1];
	check_get(&other, "two", false);
	check_get(&value, "one", true);
	check_fetches(4);
}

static void test_a_time_of_0_keeps_nothing(void)
{
	struct aws_value value = value_of("zero");

	value.ttl_ms = 0;
	says("one", 0, false);
	check_get(&value, "one", false);
	says("two", 0, false);
	check_get(&value, "two", false);
	says(NULL, ETIMEDOUT, true);
	check_fails(&value, ETIMEDOUT, "password: parameter zero: no");
	check_fetches(3);
}

/*
 * When AWS cannot be asked the old value does, for an hour, and AWS is left in
 * peace for a while.
 */
static void test_old_values_outlast_an_outage(void)
{
	static const char why[] = "password: parameter outage: no";
	struct aws_value value = value_of("outage");

	says("old", 0, false);
	check_get(&value, "old", false);
	says(NULL, EHOSTUNREACH, true);
	(void)fake_clock_advance(TTL_MS);
	check_old(&value, "old", why);
	check_old(&value, "old", why);
	check_fetches(2);
	value.fresh = true;
	check_fails(&value, EHOSTUNREACH, why);
	value.fresh = false;
	check_old(&value, "old", why);
	(void)fake_clock_advance(HOUR_MS - TTL_MS - 1);
	check_old(&value, "old", why);
	check_fetches(2);
	(void)fake_clock_advance(1);
	check_fails(&value, EHOSTUNREACH, why);
	/* What was refused by the database is no good even then. */
	says("old", 0, false);
	check_get(&value, "old", false);
	aws_value_drop(&value);
	says(NULL, EHOSTUNREACH, true);
	check_fails(&value, EHOSTUNREACH, why);
	n_fetches = 0;
}

static void test_what_aws_refuses_is_not_used_again(void)
{
	struct aws_value value = value_of("refused");

	says("old", 0, false);
	check_get(&value, "old", false);
	says(NULL, EACCES, false);
	(void)fake_clock_advance(TTL_MS);
	check_fails(&value, EACCES, "password: parameter refused: no");
	says(NULL, ETIMEDOUT, true);
	check_fails(&value, ETIMEDOUT, "password: parameter refused: no");
	check_fetches(3);
}

/* Who asks out of turn takes nothing away from the others. */
static void test_a_refusal_before_its_time_changes_nothing(void)
{
	struct aws_value value = value_of("early"), fresh = value;

	fresh.fresh = true;
	says("good", 0, false);
	check_get(&value, "good", false);
	says(NULL, EACCES, false);
	(void)fake_clock_advance(TTL_MS - 1);
	check_fails(&fresh, EACCES, "password: parameter early: no");
	check_get(&value, "good", true);
	(void)fake_clock_advance(1);
	check_fails(&fresh, EACCES, "password: parameter early: no");
	check_fails(&value, EACCES, "password: parameter early: no");
	check_fetches(4);
}

static void *get(void *arg)
{
	check_get(arg, "once", false);
	return NULL;
}

static void *get_new(void *arg)
{
	check_get(arg, "new", false);
	return NULL;
}

/* However many ask, and however short it is kept. */
static void test_many_wait_for_one_call(void)
{
	struct aws_value value = value_of("many");
	struct aws_value fresh = value;
	pthread_t threads[N_THREADS], late;

	value.ttl_ms = 0;
	fresh.fresh = true;
	says("once", 0, false);
	holds = true;
	n_waiting = 0;
	for (size_t i = 0; i < N_THREADS; i++)
		CHECK(pthread_create(&threads[i], NULL, get, &value) == 0);
	CHECK(sem_wait(&begun) == 0);
	while (n_waiting < N_THREADS - 1)
		CHECK(sched_yield() == 0);
	/* One who wants it fresh waits for the next call. */
	CHECK(pthread_create(&late, NULL, get_new, &fresh) == 0);
	while (n_waiting < N_THREADS)
		CHECK(sched_yield() == 0);
	check_fetches(1);
	CHECK(sem_post(&go) == 0);
	CHECK(sem_wait(&begun) == 0);
	says("new", 0, false);
	CHECK(sem_post(&go) == 0);
	for (size_t i = 0; i < N_THREADS; i++)
		CHECK(pthread_join(threads[i], NULL) == 0);
	CHECK(pthread_join(late, NULL) == 0);
	check_fetches(1);
	holds = false;
}

/* The oldest goes, and with it what it held. */
static void test_there_is_a_bound(void)
{
	struct aws_value value = value_of("first");
	char name[32];

	says("first", 0, false);
	check_get(&value, "first", false);
	says("x", 0, false);
	for (int i = 0; i < AWS_VALUES_MAX; i++) {
		(void)snprintf(name, sizeof(name), "bound%d", i);
		value.name = name;
		check_get(&value, "x", false);
	}
	CHECK(n_refs == AWS_VALUES_MAX);
	n_fetches = 0;
	value.name = "first";
	check_get(&value, "x", false);
	value.name = "bound1";
	check_get(&value, "x", true);
	check_fetches(1);
	/* After an hour all of them are of no use. */
	(void)fake_clock_advance(HOUR_MS + 1);
	value.name = "last";
	check_get(&value, "x", false);
	CHECK(n_refs == 1);
}

int main(int argc, char **argv)
{
	check_init(argc, argv);
	CHECK(sem_init(&begun, 0, 0) == 0 && sem_init(&go, 0, 0) == 0);
	test_kept_for_its_time();
	test_what_is_the_same();
	test_a_time_of_0_keeps_nothing();
	test_old_values_outlast_an_outage();
	test_what_aws_refuses_is_not_used_again();
	test_a_refusal_before_its_time_changes_nothing();
	test_many_wait_for_one_call();
	test_there_is_a_bound();
	return 0;
}
