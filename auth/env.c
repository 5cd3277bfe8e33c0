/* SPDX-License-Identifier: MIT */
/*
 * password_env: the value of an environment variable. /proc/<pid>/environ
 * shows the memory the kernel filled at exec, so the bytes are overwritten
 * where they stand. What was taken is kept by name for as long as the process
 * lives: SOURCE is read again, and several specs may name one variable.
 */
#include "auth/env.h"

#include <ctype.h>
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "auth/provider.h"
#include "common/cleanup.h"

struct taken {
	struct taken *next;
	struct secret value;
	bool is_password; /* of a connection: no program gets to see it */
	char name[];
};

/* What AWS's SDKs take from the environment and nobody else should see. */
static const char *const aws_names[] = {
	"AWS_ACCESS_KEY_ID",
	"AWS_SECRET_ACCESS_KEY",
	"AWS_SESSION_TOKEN",
	"AWS_SECURITY_TOKEN",
	"AWS_CONTAINER_AUTHORIZATION_TOKEN",
};

enum { N_AWS_NAMES = sizeof(aws_names) / sizeof(*aws_names) };

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static struct taken *all; /* mutex; only grows, never an entry's value */

/* Called with the mutex held. */
static struct taken *find(const char *name)
{
	for (struct taken *t = all; t != NULL; t = t->next) {
		if (strcmp(t->name, name) == 0)
			return t;
	}
	return NULL;
}

/* A variable can stand in the environment more than once. */
static void wipe_all(const char *name)
{
	size_t len = strlen(name);

	for (char **entry = environ; *entry != NULL; entry++) {
		if (strncmp(*entry, name, len) == 0 && (*entry)[len] == '=')
			secret_wipe(*entry + len + 1, strlen(*entry + len + 1));
	}
}

int auth_take_env(const char *name)
{
	const char *value;
	struct taken *t;

	auto_lock(&mutex);
	value = getenv(name);
	if (value == NULL)
		return 0;
	t = find(name);
	if (t == NULL) {
		size_t size = strlen(name) + 1;

		t = calloc(1, sizeof(*t) + size);
		if (t == NULL)
			return -ENOMEM;
		memcpy(t->name, name, size);
		if (secret_set(&t->value, value, strlen(value)) < 0) {
			free(t);
			return -ENOMEM;
		}
		t->next = all;
		all = t;
	}
	wipe_all(name);
	(void)unsetenv(name); /* fails for names only that getenv() refuses */
	return 0;
}

int auth_take_aws_env(void)
{
	for (size_t i = 0; i < N_AWS_NAMES; i++) {
		int rc = auth_take_env(aws_names[i]);

		if (rc < 0)
			return rc;
	}
	return 0;
}

int auth_taken_env(struct secret *out, const char *name)
{
	const struct taken *t;
	const char *value;

	secret_finish(out);
	auto_lock(&mutex);
	t = find(name);
	if (t != NULL && t->value.len > 0)
		return secret_set(out, t->value.data, t->value.len);
	value = getenv(name);
	if (value == NULL || value[0] == '\0')
		return -ENOENT;
	return secret_set(out, value, strlen(value));
}

char *auth_env(const char *name)
{
	const char *value;

	auto_lock(&mutex);
	value = getenv(name);
	return value != NULL && value[0] != '\0' ? strdup(value) : NULL;
}

/* "NAME=value", in locked memory. Called with the mutex held. */
static int return_var(struct auth_environ *e, size_t *n, const char *name)
{
	struct secret *text = &e->returned[e->n_returned];
	const struct taken *t = find(name);

	if (t == NULL || t->is_password)
		return 0;
	e->n_returned++;
	if (secret_append(text, name, strlen(name)) < 0 ||
	    secret_append(text, "=", 1) < 0 ||
	    secret_append(text, t->value.data, t->value.len) < 0)
		return -ENOMEM;
	e->vars[(*n)++] = text->data;
	return 0;
}

/* Called with the mutex held. */
static void release(struct auth_environ *e)
{
	for (size_t i = 0; i < e->n_returned; i++)
		secret_finish(&e->returned[i]);
	free(e->returned);
	free(e->vars);
	*e = (struct auth_environ){0};
}

int auth_environ_enter(struct auth_environ *e)
{
	size_t n = 0;
	int rc = 0;

	*e = (struct auth_environ){0};
	(void)pthread_mutex_lock(&mutex);
	while (environ[n] != NULL)
		n++;
	e->vars = calloc(n + N_AWS_NAMES + 1, sizeof(*e->vars));
	e->returned = calloc(N_AWS_NAMES, sizeof(*e->returned));
	if (e->vars == NULL || e->returned == NULL)
		rc = -ENOMEM;
	else
		memcpy(e->vars, environ, n * sizeof(*e->vars));
	for (size_t i = 0; i < N_AWS_NAMES && rc == 0; i++)
		rc = return_var(e, &n, aws_names[i]);
	if (rc < 0) {
		release(e);
		(void)pthread_mutex_unlock(&mutex);
	}
	return rc;
}

void auth_environ_leave(struct auth_environ *e)
{
	release(e);
	(void)pthread_mutex_unlock(&mutex);
}

static bool is_variable(const char *name)
{
	if (isdigit((unsigned char)name[0]))
		return false;
	for (const char *p = name; *p != '\0'; p++) {
		if (!isalnum((unsigned char)*p) && *p != '_')
			return false;
	}
	return name[0] != '\0';
}

static void env_destroy(void *state)
{
	/* Entries live as long as the process. */
}

static int env_create(void **state, const struct auth_config *config,
		      struct err *err)
{
	const char *name = config->value;
	struct taken *t;

	if (!is_variable(name))
		return err_set(err, EINVAL,
			       "password_env: must be the name of an "
			       "environment variable");
	if (auth_take_env(name) < 0)
		return err_set(err, ENOMEM, "password_env: out of memory");
	auto_lock(&mutex);
	t = find(name);
	if (t == NULL)
		return err_set(err, EINVAL,
			       "password_env: %s is not set in the "
			       "environment of connfs",
			       name);
	if (t->value.len == 0)
		return err_set(err, EINVAL,
			       "password_env: %s is empty in the environment "
			       "of connfs",
			       name);
	t->is_password = true;
	*state = t;
	return 0;
}

static int env_issue(void *state, struct credential *out, struct err *err)
{
	const struct taken *t = state;

	if (secret_set(&out->password, t->value.data, t->value.len) < 0)
		return err_set(err, EKEYREJECTED,
			       "password_env: out of memory");
	return 0;
}

const struct auth_provider auth_env_provider = {
	.source = "env",
	.instant = true,
	.create = env_create,
	.issue = env_issue,
	.destroy = env_destroy,
};
