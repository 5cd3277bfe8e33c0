/* SPDX-License-Identifier: MIT */
/*
 * password_env: the value of an environment variable. /proc/<pid>/environ
 * shows the memory the kernel filled at exec, so the bytes are overwritten
 * where they stand. What was taken is kept by name for as long as the process
 * lives: SOURCE is read again, and several specs may name one variable.
 */
#include "auth/provider.h"

#include <ctype.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/cleanup.h"

struct taken {
	struct taken *next;
	struct secret value;
	char name[];
};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static struct taken *all; /* mutex; only grows, never an entry's value */

void auth_environ_lock(void)
{
	(void)pthread_mutex_lock(&mutex);
}

void auth_environ_unlock(void)
{
	(void)pthread_mutex_unlock(&mutex);
}

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
