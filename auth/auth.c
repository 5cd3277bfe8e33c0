/* SPDX-License-Identifier: MIT */
/*
 * Cache, locking and clock on top of the providers. Attempts are numbered: who
 * comes while one is under way waits for its outcome, whatever it is, so that
 * a program that hangs is run once and not once for every worker.
 */
#include "auth/auth.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "auth/provider.h"
#include "common/cleanup.h"
#include "common/clock.h"

struct auth {
	const struct auth_provider *provider; /* null: nothing is needed */
	void *state;
	char *user;

	pthread_mutex_t mutex; /* never held while a provider works */
	pthread_cond_t done;
	bool busy;              /* mutex: an attempt is under way */
	uint64_t started;       /* mutex: attempts */
	uint64_t finished;      /* mutex */
	struct secret password; /* mutex: of the last attempt; empty: none */
	int64_t expires_at;     /* mutex */
	int64_t issued_at;      /* mutex */
	enum auth_state status; /* mutex */
	struct err error;       /* mutex */
};

static const struct auth_provider *provider_of(enum auth_kind kind)
{
	switch (kind) {
	case AUTH_NONE:
		break;
	case AUTH_STATIC:
		return &auth_static_provider;
	case AUTH_FILE:
		return &auth_file_provider;
	case AUTH_ENV:
		return &auth_env_provider;
	case AUTH_COMMAND:
		return &auth_command_provider;
	}
	return NULL;
}

/* Called with the mutex held, and gives it up while the provider works. */
static void attempt(struct auth *a)
{
	struct credential c = {0};
	struct err why = {0};
	int rc;

	a->busy = true;
	a->started++;
	(void)pthread_mutex_unlock(&a->mutex);
	rc = a->provider->issue(a->state, &c, &why);
	(void)pthread_mutex_lock(&a->mutex);

	secret_finish(&a->password);
	if (rc == 0) {
		a->password = c.password;
		a->expires_at = c.expires_at;
		a->issued_at = clock_wall_ms() / 1000;
		a->status = AUTH_STATE_VALID;
		a->error = (struct err){0};
	} else {
		credential_finish(&c);
		a->status = AUTH_STATE_FAILED;
		a->error = why;
		a->error.code = EKEYREJECTED;
	}
	a->busy = false;
	a->finished = a->started;
	(void)pthread_cond_broadcast(&a->done);
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
			attempt(a);
	}
}

/* What a server said of an earlier login is over. Mutex held. */
static void nothing_needed(struct auth *a)
{
	a->status = AUTH_STATE_NONE;
	a->error = (struct err){0};
}

static int outcome(const struct auth *a, struct err *err)
{
	if (a->provider == NULL || a->password.len > 0)
		return 0;
	if (err != NULL)
		*err = a->error;
	return -EKEYREJECTED;
}

int auth_create(struct auth **out, const struct auth_config *config,
		struct err *err)
{
	struct auth *a;
	int rc = 0;

	*out = NULL;
	a = calloc(1, sizeof(*a));
	if (a == NULL)
		return err_set(err, ENOMEM, "user: out of memory");
	(void)pthread_mutex_init(&a->mutex, NULL);
	(void)pthread_cond_init(&a->done, NULL);
	if (config->user != NULL) {
		a->user = strdup(config->user);
		if (a->user == NULL)
			rc = err_set(err, ENOMEM, "user: out of memory");
	}
	a->provider = provider_of(config->kind);
	if (rc == 0 && a->provider != NULL)
		rc = a->provider->create(&a->state, config, err);
	if (rc < 0) {
		auth_destroy(a);
		return rc;
	}
	if (a->provider != NULL && a->provider->instant) {
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
	if (auth->state != NULL)
		auth->provider->destroy(auth->state);
	secret_finish(&auth->password);
	(void)pthread_cond_destroy(&auth->done);
	(void)pthread_mutex_destroy(&auth->mutex);
	free(auth->user);
	free(auth);
	errno = saved;
}

/* A copy of what is kept. Called with the mutex held. */
static int copy_out(const struct auth *a, struct credential *out,
		    struct err *err)
{
	struct credential c = {.expires_at = a->expires_at};

	if (a->user != NULL)
		c.user = strdup(a->user);
	if ((a->user != NULL && c.user == NULL) ||
	    secret_set(&c.password, a->password.data, a->password.len) < 0) {
		credential_finish(&c);
		return err_set(err, EKEYREJECTED, "credential: out of memory");
	}
	*out = c;
	return 0;
}

int auth_get(struct auth *auth, struct credential *out, struct err *err)
{
	int rc;

	*out = (struct credential){0};
	auto_lock(&auth->mutex);
	if (auth->provider == NULL)
		nothing_needed(auth);
	else if (auth->busy)
		reach(auth, auth->started);
	else if (auth->provider->reread || auth->password.len == 0)
		reach(auth, auth->started + 1);
	rc = outcome(auth, err);
	return rc < 0 ? rc : copy_out(auth, out, err);
}

int auth_refresh(struct auth *auth, struct err *err)
{
	auto_lock(&auth->mutex);
	/* One that is under way may have begun before the value changed. */
	if (auth->provider == NULL)
		nothing_needed(auth);
	else
		reach(auth, auth->started + 1);
	return outcome(auth, err);
}

void auth_reject(struct auth *auth, const char *reason)
{
	auto_lock(&auth->mutex);
	secret_finish(&auth->password);
	auth->status = AUTH_STATE_FAILED;
	(void)err_set(&auth->error, EKEYREJECTED, "%s", reason);
}

void auth_status(struct auth *auth, struct auth_status *out)
{
	*out = (struct auth_status){.source = ""};
	if (auth->provider != NULL)
		out->source = auth->provider->source;
	if (auth->user != NULL)
		(void)snprintf(out->user, sizeof(out->user), "%s", auth->user);
	auto_lock(&auth->mutex);
	out->state = auth->status;
	out->issued_at = auth->issued_at;
	out->expires_at = auth->expires_at;
	out->error = auth->error;
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
	secret_finish(&c->password);
	*c = (struct credential){0};
}
