/* SPDX-License-Identifier: MIT */
#include "auth/aws/keeper.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/chance.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "common/log.h"

enum {
	SOON_S = 15 * 60, /* before expiry, as is all below */
	AT_ONCE_S = 10 * 60,
	JITTER_S = 60,
	RETRY_MAX_S = 60,
	/* The service gives the same keys: it renews them later. */
	NO_GAIN_S = 60,
	/* How much longer keys count that AWS accepts although they expired. */
	STABLE_S = 5 * 60,
	/* Keys that were just obtained are not obtained again at once. */
	FRESH_S = 1,
};

/* How soon somebody needs other keys. */
enum urgency { NOT_AT_ALL, SOON, AT_ONCE };

void aws_keeper_init(struct aws_keeper *k)
{
	(void)pthread_mutex_init(&k->mutex, NULL);
	(void)pthread_cond_init(&k->done, NULL);
}

void aws_keeper_finish(struct aws_keeper *k)
{
	aws_keys_finish(&k->keys);
	(void)pthread_cond_destroy(&k->done);
	(void)pthread_mutex_destroy(&k->mutex);
}

static int64_t least(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

static bool has_keys(const struct aws_keeper *k)
{
	return k->keys.access_key.len > 0;
}

/* Seconds; <= 0: they have expired, or there are none. */
static int64_t left(const struct aws_keeper *k)
{
	if (!has_keys(k))
		return 0;
	if (k->keys.expires_at == 0)
		return INT64_MAX;
	return k->keys.expires_at - k->now();
}

static enum urgency urgency_of(const struct aws_keeper *k,
			       const struct aws_need *need)
{
	int64_t seconds = left(k);

	if (seconds <= 0 || need->fresh || need->changed)
		return AT_ONCE;
	if (seconds == INT64_MAX)
		return NOT_AT_ALL;
	if (seconds < least(AT_ONCE_S, k->life / 5) ||
	    seconds < least(need->min_left, k->life / 3))
		return AT_ONCE;
	return seconds < least(SOON_S, k->life / 3) ? SOON : NOT_AT_ALL;
}

/* A clock that was set back does not make it wait for longer than ever. */
static bool may_try(const struct aws_keeper *k, const struct aws_need *need)
{
	int64_t now = k->now();

	if (need->changed || k->failed_here)
		return true;
	if (need->fresh)
		return now >= k->tried_at + FRESH_S || now < k->tried_at;
	return now >= k->retry_at || k->retry_at - now > RETRY_MAX_S;
}

static void plan_renewal(struct aws_keeper *k)
{
	int64_t window = least(SOON_S, k->life / 3);
	int64_t jitter = least(JITTER_S, window / 4);

	k->renewal_at = 0;
	if (!has_keys(k) || k->keys.expires_at == 0)
		return;
	if (k->n_failed == 0)
		k->renewal_at = k->keys.expires_at - window -
				chance_up_to(jitter > 0 ? (uint32_t)jitter : 0);
	if (k->renewal_at < k->retry_at)
		k->renewal_at = k->retry_at;
}

/* Keys that AWS accepts for longer than they say. */
static void prolong(struct aws_keeper *k)
{
	k->keys.expires_at = k->now() + STABLE_S + chance_up_to(STABLE_S);
	k->life = k->keys.expires_at - k->now();
	k->retry_at = k->now() + RETRY_MAX_S;
	log_warn("%s: its keys have expired and are used for some more minutes",
		 k->name);
}

static void fail(struct aws_keeper *k, const struct err *why)
{
	unsigned shift = k->n_failed < 6 ? k->n_failed : 6;

	k->n_failed++;
	k->error = *why;
	k->failed_here = why->code == ENOENT || why->code == EKEYEXPIRED;
	k->retry_at = k->now() + least(RETRY_MAX_S, INT64_C(1) << shift);
	if (left(k) > 0 && k->n_failed == 1)
		log_warn("%s (the present keys are used for as long as they "
			 "work)",
			 why->msg);
	/* A failure is of use to nobody before the keys have expired. */
	if (k->is_stable && has_keys(k) && left(k) <= 0)
		prolong(k);
}

static void time_text(char out[CLOCK_TEXT_SIZE], int64_t seconds)
{
	time_t t = (time_t)seconds;
	struct tm tm;

	out[0] = '\0';
	if (gmtime_r(&t, &tm) != NULL)
		(void)strftime(out, CLOCK_TEXT_SIZE, "%Y-%m-%dT%H:%M:%SZ", &tm);
}

/* They were given like that. */
static void fail_expired(struct aws_keeper *k, int64_t expires_at)
{
	char text[CLOCK_TEXT_SIZE];
	struct err why;

	time_text(text, expires_at);
	(void)err_set(&why, EKEYEXPIRED,
		      "%s: it gives keys that expired at %s: renew them there, "
		      "or set the clock",
		      k->name, text);
	fail(k, &why);
	k->failed_here = false;
}

/* Takes over what was fetched. */
static void take(struct aws_keeper *k, struct aws_fetched *fetched)
{
	int64_t now = k->now();
	int64_t expires_at = fetched->keys.expires_at;
	bool is_expired = expires_at != 0 && expires_at <= now;

	if (!fetched->is_same && is_expired && !fetched->is_stable) {
		fail_expired(k, expires_at);
		return;
	}
	k->n_failed = 0;
	k->retry_at = 0;
	k->error = (struct err){0};
	k->failed_here = false;
	if (fetched->is_same)
		return;
	if (!has_keys(k) || expires_at != k->keys.expires_at)
		k->life = expires_at - now;
	else if (expires_at != 0)
		k->retry_at = least(now + NO_GAIN_S, expires_at);
	aws_keys_finish(&k->keys);
	k->keys = fetched->keys;
	fetched->keys = (struct aws_keys){0};
	if (is_expired)
		prolong(k);
}

/* Called with the mutex held, and gives it up while it fetches. */
static void attempt(struct aws_keeper *k, bool due)
{
	struct aws_fetched fetched = {0};
	struct err why = {0};
	int rc;

	k->busy = true;
	(void)pthread_mutex_unlock(&k->mutex);
	rc = k->fetch(k->arg, due, &fetched, &why);
	(void)pthread_mutex_lock(&k->mutex);

	k->tried_at = k->now();
	if (fetched.name[0] != '\0')
		memcpy(k->name, fetched.name, sizeof(k->name));
	if (rc == 0) {
		k->is_stable = fetched.is_stable;
		take(k, &fetched);
	} else {
		fail(k, &why);
	}
	aws_keys_finish(&fetched.keys);
	plan_renewal(k);
	k->busy = false;
	k->n_over++;
	(void)pthread_cond_broadcast(&k->done);
}

/* Called with the mutex held. */
static int give(const struct aws_keeper *k, struct aws_keys *out,
		struct err *err)
{
	char text[CLOCK_TEXT_SIZE];

	if (left(k) > 0) {
		if (aws_keys_copy(out, &k->keys) == 0)
			return 0;
		return err_set(err, ENOMEM, "AWS keys: out of memory");
	}
	if (!has_keys(k)) {
		if (err != NULL)
			*err = k->error;
		return -k->error.code;
	}
	time_text(text, k->keys.expires_at);
	return err_set(err, EKEYEXPIRED,
		       "the AWS keys expired at %s, and there are no new ones: "
		       "%s",
		       text,
		       k->error.code != 0 ? k->error.msg
					  : "the next login asks for them");
}

int aws_keeper_get(struct aws_keeper *k, const struct aws_need *need,
		   struct aws_keys *out, struct err *err)
{
	enum urgency urgency;

	auto_lock(&k->mutex);
	urgency = urgency_of(k, need);
	if (k->busy && urgency == AT_ONCE) {
		uint64_t before = k->n_over;

		while (k->n_over == before)
			(void)pthread_cond_wait(&k->done, &k->mutex);
	} else if (!k->busy && urgency != NOT_AT_ALL && may_try(k, need)) {
		struct aws_need other = *need;

		other.changed = false;
		attempt(k, urgency_of(k, &other) != NOT_AT_ALL);
	}
	return give(k, out, err);
}

int64_t aws_keeper_renewal(struct aws_keeper *k)
{
	auto_lock(&k->mutex);
	return k->renewal_at;
}

void aws_keeper_renew(struct aws_keeper *k)
{
	auto_lock(&k->mutex);
	if (!k->busy)
		attempt(k, true);
}

void aws_keeper_status(struct aws_keeper *k, char *name, int64_t *expires_at,
		       struct err *error)
{
	auto_lock(&k->mutex);
	memcpy(name, k->name, sizeof(k->name));
	*expires_at = k->keys.expires_at;
	*error = k->error;
}
