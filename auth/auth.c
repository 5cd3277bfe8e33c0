/* SPDX-License-Identifier: MIT */
/*
 * What is kept of attempts, and until when. Attempts are numbered: who comes
 * while one is under way waits for its outcome, whatever it is, so that a
 * program that hangs is run once and not once for every worker, and AWS is
 * asked once.
 *
 * Times are Unix seconds as AWS has them, since what expires is AWS's.
 */
#include "auth/auth.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "auth/aws/clock.h"
#include "auth/hints.h"
#include "auth/refresher.h"
#include "auth/resolution.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "common/log.h"

enum {
	/* It is renewed when so much of it is left, or a third of its life. */
	RENEW_LEFT_S = 300,
	/* Nobody gets it with less, or a sixth: a login takes its time. */
	GIVE_LEFT_S = 60,
	/* Between attempts in the background that fail; doubles. */
	RETRY_S = 5,
	RETRY_MAX_S = 60,
	/* Keys of AWS with less may be why a token was refused. */
	KEYS_LEFT_S = 900,
};

struct auth {
	struct refresher_task renewal; /* first: see renew() */
	struct resolution *resolution;

	pthread_mutex_t mutex; /* never held during an attempt */
	pthread_cond_t done;
	/* mutex: all below */
	unsigned refs; /* the owner's, and one of an order for renewal */
	bool ended;    /* the owner's is gone */
	bool busy;     /* an attempt is under way */
	uint64_t started;
	uint64_t finished;
	struct resolution_wish wish; /* of the next attempt */
	struct resolved last;        /* what the last attempts brought */
	bool usable;                 /* last is a credential */
	int64_t issued_at;
	int64_t renew_at;  /* 0: not at all */
	unsigned n_failed; /* renewals in a row */
	struct err error;
	int64_t changed_ms; /* wall time of the last attempt or refusal */
};

static int64_t seconds_left(const struct auth *a)
{
	return a->last.credential.expires_at - aws_now();
}

static bool expires(const struct auth *a)
{
	return a->last.credential.expires_at != 0;
}

/* It is a credential, and its time is not over. */
static bool works(const struct auth *a)
{
	return a->usable && (!expires(a) || seconds_left(a) > 0);
}

static int64_t at_most_part(int64_t wanted, int64_t life, int64_t part)
{
	return life / part < wanted ? life / part : wanted;
}

/* With time enough for a login. */
static bool has_time(const struct auth *a)
{
	int64_t life = a->last.credential.expires_at - a->issued_at;

	return seconds_left(a) > at_most_part(GIVE_LEFT_S, life, 6);
}

/* An order holds a reference, which goes with it, or with renew(). */
static void withdraw(struct auth *a)
{
	if (refresher_withdraw(&a->renewal))
		a->refs--;
}

static void order(struct auth *a, int64_t when)
{
	withdraw(a);
	if (!a->ended &&
	    refresher_schedule(&a->renewal, (when - aws_clock_offset()) * 1000))
		a->refs++;
}

static void plan_renewal(struct auth *a)
{
	int64_t end = a->last.credential.expires_at;

	withdraw(a);
	a->n_failed = 0;
	a->renew_at = 0;
	if (end == 0)
		return;
	a->renew_at = end - at_most_part(RENEW_LEFT_S, end - a->issued_at, 3);
	order(a, a->renew_at);
}

/* Of what has been renewed until now; what it was may be over. */
static void plan_retry(struct auth *a)
{
	unsigned doubled = a->n_failed < 8 ? a->n_failed++ : 8;
	int64_t wait = RETRY_S << doubled;

	if (a->renew_at == 0)
		return;
	if (wait > RETRY_MAX_S)
		wait = RETRY_MAX_S;
	if (works(a))
		wait = at_most_part(wait, seconds_left(a), 3);
	order(a, aws_now() + (wait > 0 ? wait : 1));
}

/* Whether last is still worth something when an attempt has failed. */
static bool survives(const struct auth *a, struct resolution_wish wish)
{
	if (!works(a) || wish.forget)
		return false;
	switch (a->last.keep) {
	case KEEP_ALWAYS:
	case KEEP_SIGNED:
	case KEEP_TEMPORARY:
		return true;
	case KEEP_VALUES:
		/* values.c has it still, and has given it to who needs one. */
		return wish.fresh;
	case KEEP_FILE:
		break;
	}
	return false;
}

static void succeeded(struct auth *a, struct resolved *got)
{
	/* What needs no password is the same after each login. */
	if (!a->usable || a->error.code != 0 ||
	    got->credential.password.len > 0)
		a->changed_ms = clock_wall_ms();
	resolved_finish(&a->last);
	a->last = *got;
	*got = (struct resolved){0};
	a->usable = true;
	if (a->last.credential.password.len > 0)
		a->issued_at = aws_now();
	/* It may have had to do with what AWS said earlier. */
	a->error = *resolution_old_value(a->resolution);
	plan_renewal(a);
}

static void failed(struct auth *a, struct resolved *got,
		   struct resolution_wish wish, const struct err *why)
{
	a->error = *why;
	a->error.code = EKEYREJECTED;
	a->changed_ms = clock_wall_ms();
	if (survives(a, wish)) {
		resolved_finish(got);
		plan_retry(a);
		return;
	}
	withdraw(a);
	resolved_finish(&a->last);
	secret_finish(&got->credential.password);
	a->last = *got;
	*got = (struct resolved){0};
	a->usable = false;
	plan_retry(a);
}

/* Called with the mutex held, and gives it up meanwhile. 0, or it failed. */
static int attempt(struct auth *a)
{
	struct resolution_wish wish = a->wish;
	struct resolved got = {0};
	struct err why = {0};
	int rc;

	a->wish = (struct resolution_wish){0};
	a->busy = true;
	a->started++;
	(void)pthread_mutex_unlock(&a->mutex);
	rc = resolution_run(a->resolution, wish, &got, &why);
	if (rc == 0 && got.credential.expires_at != 0 &&
	    got.credential.expires_at <= aws_now())
		rc = err_set(&why, EKEYREJECTED,
			     "%s: what AWS gave has expired already (is the "
			     "clock of this machine right?)",
			     got.source);
	(void)pthread_mutex_lock(&a->mutex);
	if (rc == 0)
		succeeded(a, &got);
	else
		failed(a, &got, wish, &why);
	a->busy = false;
	a->finished = a->started;
	(void)pthread_cond_broadcast(&a->done);
	return rc;
}

/*
 * Returns when attempt number wanted, or a later one, is over. Called with
 * the mutex held.
 */
static void reach(struct auth *a, uint64_t wanted)
{
	while (a->finished < wanted) {
		if (a->busy)
			(void)pthread_cond_wait(&a->done, &a->mutex);
		else
			(void)attempt(a);
	}
}

static void destroy(struct auth *a)
{
	resolution_destroy(a->resolution);
	resolved_finish(&a->last);
	(void)pthread_cond_destroy(&a->done);
	(void)pthread_mutex_destroy(&a->mutex);
	free(a);
}

/* Drops a reference, and the mutex with it. */
static void unlock_and_unref(struct auth *a)
{
	bool is_last = --a->refs == 0;

	(void)pthread_mutex_unlock(&a->mutex);
	if (is_last)
		destroy(a);
}

static void renew_now(struct auth *a)
{
	const char *conn_id = resolution_config(a->resolution)->conn_id;
	bool had_failed = a->n_failed > 0;

	if (attempt(a) == 0)
		conn_log(conn_id, LOG_LEVEL_DEBUG, "credential renewed");
	else if (!had_failed)
		conn_log(conn_id, LOG_LEVEL_WARN,
			 "the credential cannot be renewed: %s", a->error.msg);
}

/* The refresher's, with the reference of the order. */
static void renew(struct refresher_task *task)
{
	struct auth *a = (struct auth *)task;

	(void)pthread_mutex_lock(&a->mutex);
	/* One that is under way makes its own plans. */
	if (!a->ended && !a->busy && a->renew_at != 0) {
		if (a->renew_at <= aws_now())
			renew_now(a);
		else
			order(a, a->renew_at); /* the clock was set back */
	}
	unlock_and_unref(a);
}

int auth_create(struct auth **out, const struct auth_config *config,
		struct err *err)
{
	struct auth *a = calloc(1, sizeof(*a));
	int rc;

	*out = NULL;
	if (a == NULL)
		return err_set(err, ENOMEM, "out of memory");
	a->refs = 1;
	a->renewal.run = renew;
	(void)pthread_mutex_init(&a->mutex, NULL);
	(void)pthread_cond_init(&a->done, NULL);
	rc = resolution_create(&a->resolution, config, err);
	if (rc == 0 && resolution_expect(a->resolution, &a->last) < 0)
		rc = err_set(err, ENOMEM, "out of memory");
	if (rc < 0) {
		destroy(a);
		return rc;
	}
	if (resolution_is_instant(a->resolution)) {
		auto_lock(&a->mutex);
		reach(a, 1);
	}
	*out = a;
	return 0;
}

void auth_destroy(struct auth *auth)
{
	int saved = errno;

	if (auth == NULL)
		return;
	(void)pthread_mutex_lock(&auth->mutex);
	auth->ended = true;
	withdraw(auth);
	unlock_and_unref(auth);
	errno = saved;
}

static int copy_text(char **out, const char *text)
{
	if (text == NULL)
		return 0;
	*out = strdup(text);
	return *out != NULL ? 0 : -ENOMEM;
}

/* A copy of what is kept. Called with the mutex held. */
static int copy_out(const struct auth *a, struct credential *out,
		    struct err *err)
{
	const struct credential *kept = &a->last.credential;
	struct credential c = {
		.expires_at = kept->expires_at,
		.port = kept->port,
		.is_token = kept->is_token,
		.was_kept = kept->was_kept,
	};

	if (copy_text(&c.user, kept->user) < 0 ||
	    copy_text(&c.host, kept->host) < 0 ||
	    copy_text(&c.database, kept->database) < 0 ||
	    copy_text(&c.dsql_id, kept->dsql_id) < 0 ||
	    secret_set(&c.password, kept->password.data, kept->password.len) <
		    0) {
		credential_finish(&c);
		return err_set(err, EKEYREJECTED, "credential: out of memory");
	}
	*out = c;
	return 0;
}

static int fail(const struct auth *a, struct err *err)
{
	if (err != NULL)
		*err = a->error;
	return -EKEYREJECTED;
}

/*
 * Whether what is kept will do for a login. After auth_reject() it does not,
 * even if an attempt that began before has brought it since.
 */
static bool is_good(const struct auth *a)
{
	if (!works(a) || a->wish.forget)
		return false;
	switch (a->last.keep) {
	case KEEP_ALWAYS:
		return true;
	case KEEP_TEMPORARY:
		return has_time(a);
	case KEEP_SIGNED:
		/* Keys are being waited for; it outlives that. */
		return a->busy && has_time(a);
	case KEEP_VALUES:
	case KEEP_FILE:
		break;
	}
	return false;
}

/* The number of the attempt whose outcome will do. */
static uint64_t next_good(const struct auth *a)
{
	return a->busy && !a->wish.forget ? a->started : a->started + 1;
}

int auth_get(struct auth *auth, struct credential *out, struct err *err)
{
	bool was_kept;
	int rc;

	*out = (struct credential){0};
	auto_lock(&auth->mutex);
	was_kept = is_good(auth);
	if (!was_kept)
		reach(auth, next_good(auth));
	/* It worked, but somebody else was refused with it meanwhile. */
	if (!works(auth) && auth->wish.forget)
		reach(auth, next_good(auth));
	if (!works(auth))
		return fail(auth, err);
	rc = copy_out(auth, out, err);
	/* Nothing else is to be had where every attempt gives the same. */
	if (rc == 0 && !resolution_is_instant(auth->resolution))
		out->was_kept |= was_kept || auth->error.code != 0;
	return rc;
}

int auth_peek(struct auth *auth, struct secret *out)
{
	const struct secret *kept = &auth->last.credential.password;

	secret_finish(out);
	auto_lock(&auth->mutex);
	if (!works(auth) || kept->len == 0)
		return -ENODATA;
	return secret_set(out, kept->data, kept->len);
}

int auth_refresh(struct auth *auth, struct err *err)
{
	auto_lock(&auth->mutex);
	/* One that is under way may have begun before the value changed. */
	auth->wish.fresh = true;
	auth->wish.fresh_keys = true;
	reach(auth, auth->started + 1);
	secret_wipe_stack();
	return auth->error.code != 0 ? fail(auth, err) : 0;
}

static bool is_last(const struct auth *a, const struct credential *used)
{
	const struct secret *last = &a->last.credential.password;

	return last->len == used->password.len &&
	       (last->len == 0 ||
		memcmp(last->data, used->password.data, last->len) == 0);
}

/*
 * What was refused is not what is kept: somebody has had the same trouble, and
 * what came of that is not known to be bad. Signed ones are never the same.
 */
static bool is_outdated(const struct auth *a, const struct credential *used)
{
	return a->usable && a->last.keep != KEEP_SIGNED && !is_last(a, used);
}

/* The same, and what comes of it is still awaited. */
static bool is_known_to_be_bad(const struct auth *a,
			       const struct credential *used)
{
	return !a->usable && a->last.keep != KEEP_SIGNED && is_last(a, used);
}

/*
 * An STS call for every wrong user name would be too much. Of keys that do not
 * tell when they expire nobody knows, and those who give such cost no call.
 */
static bool keys_are_old(const struct auth *a)
{
	struct aws_identity_status status;

	if (a->last.keys == NULL)
		return false;
	aws_identity_status(a->last.keys, &status);
	return status.expires_at == 0 ||
	       status.expires_at - aws_now() < KEYS_LEFT_S;
}

/* The password stays in last, to be told from others that are refused. */
static void forget(struct auth *a, const struct credential *used,
		   const char *reason)
{
	withdraw(a);
	a->usable = false;
	a->changed_ms = clock_wall_ms();
	a->last.credential.expires_at = 0;
	auth_hint(&a->error, reason, resolution_config(a->resolution), used,
		  &a->last);
	a->wish.forget = true;
	if (used->is_token && keys_are_old(a))
		a->wish.fresh_keys = true;
	resolution_drop_values(a->resolution);
}

bool auth_reject(struct auth *auth, const struct credential *used,
		 const char *reason)
{
	auto_lock(&auth->mutex);
	if (is_outdated(auth, used))
		return true;
	if (!is_known_to_be_bad(auth, used))
		forget(auth, used, reason);
	return used->was_kept || used->is_token;
}

/* Called with the mutex held. */
static enum auth_state state_of(const struct auth *a)
{
	bool has_failed = a->error.code != 0;

	if (!works(a) && has_failed)
		return AUTH_STATE_FAILED;
	if (!a->usable || a->last.source[0] == '\0')
		return AUTH_STATE_NONE;
	if (!works(a))
		return AUTH_STATE_EXPIRED;
	if (expires(a) && aws_now() >= a->renew_at)
		return AUTH_STATE_EXPIRING;
	return AUTH_STATE_VALID;
}

/* Called with the mutex held. Time alone changes the state, too. */
static int64_t last_change_ms(const struct auth *a, enum auth_state state)
{
	int64_t since = 0;

	if (state == AUTH_STATE_EXPIRING)
		since = a->renew_at;
	else if (state == AUTH_STATE_EXPIRED)
		since = a->last.credential.expires_at;
	since = (since - aws_clock_offset()) * 1000;
	return since > a->changed_ms ? since : a->changed_ms;
}

static void show_text(char *out, size_t size, const char *text)
{
	(void)snprintf(out, size, "%s", text != NULL ? text : "");
}

/* What is signed by keys that cannot be renewed is coming to its end. */
static void show_trouble(struct auth_status *out, const struct err *why)
{
	if (why->code == 0 || out->error.code != 0)
		return;
	out->error = *why;
	out->error.code = EKEYREJECTED;
	if (out->state == AUTH_STATE_VALID && out->expires_at != 0)
		out->state = AUTH_STATE_EXPIRING;
}

void auth_status(struct auth *auth, struct auth_status *out)
{
	struct aws_identity_status keys = {0};
	const struct credential *c;

	*out = (struct auth_status){.source = ""};
	out->clock_offset = aws_clock_offset();
	auto_lock(&auth->mutex);
	c = &auth->last.credential;
	out->state = state_of(auth);
	out->source = auth->last.source;
	out->issued_at = auth->issued_at;
	out->expires_at = c->expires_at;
	out->error = auth->error;
	out->changed_ms = last_change_ms(auth, out->state);
	out->port = c->port;
	show_text(out->user, sizeof(out->user), c->user);
	show_text(out->host, sizeof(out->host), c->host);
	show_text(out->database, sizeof(out->database), c->database);
	if (auth->last.keys == NULL)
		return;
	aws_identity_status(auth->last.keys, &keys);
	show_text(out->keys_source, sizeof(out->keys_source), keys.source);
	out->keys_expire_at = keys.expires_at;
	if (works(auth))
		show_trouble(out, &keys.error);
}

const char *auth_state_name(enum auth_state state)
{
	static const char *const names[] = {
		[AUTH_STATE_NONE] = "none",
		[AUTH_STATE_VALID] = "valid",
		[AUTH_STATE_EXPIRING] = "expiring",
		[AUTH_STATE_EXPIRED] = "expired",
		[AUTH_STATE_FAILED] = "failed",
	};

	return names[state];
}

void credential_finish(struct credential *c)
{
	free(c->user);
	free(c->host);
	free(c->database);
	free(c->dsql_id);
	secret_finish(&c->password);
	*c = (struct credential){0};
}
