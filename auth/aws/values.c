/* SPDX-License-Identifier: MIT */
/*
 * Entries are found by a hash and stand in a list by age, so that the oldest
 * can be dropped. Calls are under way without the lock: who comes meanwhile
 * waits for the outcome, which is the call's own and not the entry's, so that
 * the entry may go, or get another value, at any moment.
 */
#include "auth/aws/values.h"

#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "auth/aws/values_fetch.h"
#include "common/cleanup.h"
#include "common/clock.h"

enum {
	N_BUCKETS = 4096,
	STALE_MS = 60 * 60 * 1000, /* used when AWS cannot be asked */
	PAUSE_MS = 30 * 1000,      /* then, until it is asked again */
};

/* A call of AWS. */
struct flight {
	unsigned refs; /* whoever waits, and who makes the call */
	bool done;
	bool transient;
	int rc;
	struct err err;
	struct secret value;
};

struct entry {
	struct entry *next; /* in its bucket */
	struct entry *newer, *older;
	struct entry **bucket;
	struct aws_identity *identity; /* a reference */
	enum aws_value_kind kind;
	struct secret value;   /* empty: none */
	uint64_t obtained_ms;  /* monotonic */
	uint64_t pause_ms;     /* monotonic: AWS is not asked before */
	struct flight *flight; /* under way; the entry stays until then */
	struct flight *failed; /* the last, if AWS could not be asked */
	char name[];
};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t landed = PTHREAD_COND_INITIALIZER;
/* mutex: all of these, and what they lead to */
static struct entry *buckets[N_BUCKETS];
static struct entry *newest, *oldest;
static size_t n_entries;
static size_t n_bytes;     /* of values */
static struct entry *dead; /* by next: to be freed without the lock */

static struct entry **bucket_of(const struct aws_value *value)
{
	uint64_t hash = 14695981039346656037U ^ (uintptr_t)value->identity;

	hash = (hash ^ (uint64_t)value->kind) * 1099511628211U;
	for (const char *p = value->name; *p != '\0'; p++)
		hash = (hash ^ (unsigned char)*p) * 1099511628211U;
	return &buckets[(hash >> 16) % N_BUCKETS];
}

static struct entry *find(const struct aws_value *value)
{
	struct entry *e = *bucket_of(value);

	while (e != NULL &&
	       (e->kind != value->kind || e->identity != value->identity ||
		strcmp(e->name, value->name) != 0))
		e = e->next;
	return e;
}

static void link_newest(struct entry *e)
{
	e->newer = NULL;
	e->older = newest;
	if (newest != NULL)
		newest->newer = e;
	else
		oldest = e;
	newest = e;
}

static void unlink_age(struct entry *e)
{
	if (e->newer != NULL)
		e->newer->older = e->older;
	else
		newest = e->older;
	if (e->older != NULL)
		e->older->newer = e->newer;
	else
		oldest = e->newer;
}

static void unref_flight(struct flight *f)
{
	if (--f->refs > 0)
		return;
	secret_finish(&f->value);
	free(f);
}

static void forget_value(struct entry *e)
{
	n_bytes -= e->value.len;
	secret_finish(&e->value);
}

/* What the last call came to, if it failed; null: it did not. */
static void set_failed(struct entry *e, struct flight *f)
{
	if (e->failed != NULL)
		unref_flight(e->failed);
	e->failed = f;
	if (f != NULL)
		f->refs++;
}

static void remove_entry(struct entry *e)
{
	struct entry **at = e->bucket;

	while (*at != e)
		at = &(*at)->next;
	*at = e->next;
	unlink_age(e);
	n_entries--;
	forget_value(e);
	set_failed(e, NULL);
	e->next = dead;
	dead = e;
}

/* Called without the mutex: an identity that ends may take its time. */
static void bury(struct entry *e)
{
	while (e != NULL) {
		struct entry *next = e->next;

		aws_identity_unref(e->identity);
		free(e);
		e = next;
	}
}

static struct entry *add(const struct aws_value *value)
{
	size_t size = strlen(value->name) + 1;
	struct entry *e = calloc(1, sizeof(*e) + size);

	if (e == NULL)
		return NULL;
	memcpy(e->name, value->name, size);
	e->kind = value->kind;
	e->identity = aws_identity_ref(value->identity);
	e->bucket = bucket_of(value);
	e->next = *e->bucket;
	*e->bucket = e;
	link_newest(e);
	n_entries++;
	return e;
}

/* What is too old for any use, and the oldest of what is too much. */
static void prune(uint64_t now)
{
	while (oldest != NULL && oldest->flight == NULL &&
	       (n_entries > AWS_VALUES_MAX || n_bytes > AWS_VALUES_BYTES_MAX ||
		oldest->value.len == 0 || now - oldest->obtained_ms > STALE_MS))
		remove_entry(oldest);
}

/*
 * Whether it will do although its time is over: AWS could not be asked, and is
 * not to be yet, or somebody else is asking.
 */
static bool will_do(const struct entry *e, uint64_t now)
{
	return e->pause_ms != 0 && now - e->obtained_ms < STALE_MS &&
	       (now < e->pause_ms || e->flight != NULL);
}

static bool is_too_old(const struct entry *e, unsigned ttl_ms, uint64_t now)
{
	return now - e->obtained_ms >= ttl_ms;
}

/* 1: given, 0: it has to be obtained, or -ENOMEM. err as aws_value_get()'s. */
static int give_kept(struct secret *out, const struct aws_value *value,
		     struct err *err)
{
	const struct entry *e = find(value);
	uint64_t now = clock_mono_ms();
	bool old;

	if (e == NULL || e->value.len == 0 || value->fresh ||
	    value->ttl_ms == 0)
		return 0;
	old = is_too_old(e, value->ttl_ms, now);
	if (old && !will_do(e, now))
		return 0;
	if (secret_set(out, e->value.data, e->value.len) < 0)
		return -ENOMEM;
	if (old && e->failed != NULL)
		*err = e->failed->err;
	return 1;
}

static void keep(struct entry *e, struct flight *f,
		 const struct aws_value *value)
{
	uint64_t now = clock_mono_ms();

	if (f->rc < 0 && f->transient) {
		e->pause_ms = now + PAUSE_MS;
		set_failed(e, f);
		return;
	}
	/* Who wanted it fresh takes nothing away from the others. */
	if (f->rc < 0 && value->fresh && e->value.len > 0 &&
	    !is_too_old(e, value->ttl_ms, now))
		return;
	set_failed(e, NULL);
	forget_value(e);
	if (f->rc < 0 || value->ttl_ms == 0 ||
	    secret_set(&e->value, f->value.data, f->value.len) < 0) {
		remove_entry(e);
		return;
	}
	n_bytes += e->value.len;
	e->obtained_ms = now;
	e->pause_ms = 0;
	unlink_age(e);
	link_newest(e);
}

/* Called with the mutex held, and gives it up meanwhile. */
static void fly(struct entry *e, const struct aws_value *value,
		struct flight *f)
{
	struct secret answer = {0};
	struct err err = {0};
	bool transient = false;
	int rc;

	e->flight = f;
	(void)pthread_mutex_unlock(&mutex);
	rc = values_fetch(&answer, value, &transient, &err);
	(void)pthread_mutex_lock(&mutex);
	e->flight = NULL;
	f->value = answer;
	f->rc = rc;
	f->err = err;
	f->transient = transient;
	f->done = true;
	keep(e, f, value);
	prune(clock_mono_ms());
	(void)pthread_cond_broadcast(&landed);
}

/* Waits for the call that is under way. Called with the mutex held. */
static struct flight *join(struct flight *f)
{
	f->refs++;
	while (!f->done)
		(void)pthread_cond_wait(&landed, &mutex);
	return f;
}

/* Begins a call and waits for it. Null: no memory. Mutex held. */
static struct flight *begin(const struct aws_value *value)
{
	struct entry *e = find(value);
	struct flight *f = calloc(1, sizeof(*f));

	if (e == NULL)
		e = add(value);
	if (f == NULL || e == NULL) {
		free(f);
		return NULL;
	}
	f->refs = 1;
	fly(e, value, f);
	return f;
}

/*
 * The outcome of a call. One that is under way will not do for who wants the
 * value fresh, but the next one will, whoever begins that.
 */
static struct flight *obtain(const struct aws_value *value)
{
	struct entry *e = find(value);

	if (value->fresh && e != NULL && e->flight != NULL) {
		unref_flight(join(e->flight));
		e = find(value);
	}
	return e != NULL && e->flight != NULL ? join(e->flight) : begin(value);
}

static int get(struct secret *out, const struct aws_value *value, bool *cached,
	       struct err *err)
{
	struct flight *f;
	int rc = give_kept(out, value, err);

	*cached = true;
	if (rc != 0)
		return rc < 0 ? rc : 0;
	f = obtain(value);
	if (f == NULL)
		return -ENOMEM;
	rc = f->rc;
	if (rc == 0) {
		*cached = false;
		rc = secret_set(out, f->value.data, f->value.len);
	} else if (f->transient && give_kept(out, value, err) > 0) {
		rc = 0;
	} else {
		*err = f->err;
	}
	unref_flight(f);
	return rc;
}

int aws_value_get(struct secret *out, const struct aws_value *value,
		  const char *key, bool *cached, struct err *err)
{
	struct entry *ended;
	struct err why = {0};
	int rc;

	secret_finish(out);
	(void)pthread_mutex_lock(&mutex);
	rc = get(out, value, cached, &why);
	ended = take_ptr(dead);
	(void)pthread_mutex_unlock(&mutex);
	bury(ended);
	if (rc == -ENOMEM)
		return err_set(err, ENOMEM, "%s: out of memory", key);
	if (why.code != 0)
		(void)err_set(err, why.code, "%s: %s", key, why.msg);
	return rc;
}

void aws_value_drop(const struct aws_value *value)
{
	struct entry *e;

	auto_lock(&mutex);
	e = find(value);
	if (e != NULL)
		forget_value(e);
}
