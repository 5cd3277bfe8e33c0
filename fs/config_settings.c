/* SPDX-License-Identifier: MIT */
#include "fs/config_internal.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/err.h"

#define MIB ((uint64_t)1024 * 1024)
#define RULE(name, type, member, low, high)                                \
	{                                                                  \
		.key = (name), .kind = (type),                             \
		.offset = offsetof(struct settings, member), .min = (low), \
		.max = (high)                                              \
	}

/* Durations go through int milliseconds: poll() and statement_timeout. */
static const struct value_rule rules[] = {
	RULE("realm", VALUE_TEXT, realm, 0, 0),
	RULE("conn_app_name", VALUE_TEMPLATE, conn_app_name, 0, 0),
	RULE("spool_dir", VALUE_DIR, spool_dir, 0, 0),
	RULE("spool_memory", VALUE_SIZE, spool_memory, 4096, MIB * 1024),
	RULE("spool_memory_total", VALUE_SIZE, spool_memory_total, 4096,
	     MIB * 1024 * 1024),
	RULE("spool_disk", VALUE_SIZE, spool_disk, 0, INT64_MAX),
	RULE("max_row", VALUE_SIZE, max_row, 1, MIB * 1024),
	RULE("settle_time", VALUE_DURATION, settle_time_ms, 0, INT_MAX),
	RULE("queue_timeout", VALUE_DURATION, queue_timeout_ms, 0, INT_MAX),
	RULE("idle_timeout", VALUE_DURATION, idle_timeout_ms, 1, INT_MAX),
	RULE("idle_in_transaction_timeout", VALUE_DURATION,
	     idle_in_transaction_timeout_ms, 1, INT_MAX),
	RULE("session_timeout", VALUE_DURATION, session_timeout_ms, 1, INT_MAX),
	RULE("connect_timeout", VALUE_DURATION, connect_timeout_ms, 1, INT_MAX),
	RULE("param_cache_ttl", VALUE_DURATION, param_cache_ttl_ms, 0, INT_MAX),
	RULE("max_connections", VALUE_COUNT, max_connections, 1, 1000),
};

enum { N_RULES = sizeof(rules) / sizeof(*rules) };
static_assert(sizeof(rules) / sizeof(*rules) <= SETTINGS_MAX,
	      "settings.files is too short");

static const struct value_rule *find_rule(const char *key, struct err *err)
{
	struct guess guess = {.word = key};

	for (size_t i = 0; i < N_RULES; i++) {
		if (strcmp(rules[i].key, key) == 0)
			return &rules[i];
		guess_try(&guess, rules[i].key);
	}
	(void)guess_fail(&guess, "unknown key", err);
	return NULL;
}

int settings_init(struct settings *settings)
{
	*settings = (struct settings){
		.conn_app_name = strdup("lv-{realm}-{job_id}"),
		.spool_dir = strdup("/var/tmp"),
		.spool_memory = 8 * MIB,
		.spool_memory_total = 32 * MIB,
		.spool_disk = MIB * 4096,
		.max_row = 64 * MIB,
		.settle_time_ms = 1000,
		.queue_timeout_ms = 30 * 1000,
		.idle_timeout_ms = 10 * 60 * 1000,
		.idle_in_transaction_timeout_ms = 5 * 60 * 1000,
		.session_timeout_ms = 60 * 60 * 1000,
		.connect_timeout_ms = 10 * 1000,
		.param_cache_ttl_ms = 2 * 60 * 1000,
		.max_connections = 10,
	};
	if (settings->conn_app_name == NULL || settings->spool_dir == NULL)
		return -ENOMEM;
	return 0;
}

int settings_apply(struct settings *settings, const struct config_file *file,
		   struct err *err)
{
	const struct value_rule *rule;
	const char *key;
	json_t *value;
	int rc;

	if (!json_is_object(file->settings))
		return err_set(err, EINVAL, "must be an object");
	json_object_foreach ((json_t *)file->settings, key, value) {
		char **setter;

		if (value_is_private_key(key))
			continue;
		rule = find_rule(key, err);
		if (rule == NULL)
			return -EINVAL;
		setter = &settings->files[rule - rules];
		if (*setter != NULL)
			return err_set(err, EINVAL, "%s: is set in %s already",
				       key, *setter);
		*setter = strdup(file->path);
		if (*setter == NULL)
			return err_set(err, ENOMEM, "out of memory");
		rc = value_set(settings, rule, value, err);
		if (rc < 0)
			return rc;
	}
	return 0;
}

static int copy_text(char **to, const char *from)
{
	char *copy = from != NULL ? strdup(from) : NULL;

	if (copy == NULL && from != NULL)
		return -ENOMEM;
	free(*to);
	*to = copy;
	return 0;
}

static int copy_value(struct settings *to, const struct settings *from,
		      const struct value_rule *rule)
{
	void *out = (char *)to + rule->offset;
	const void *in = (const char *)from + rule->offset;

	switch (rule->kind) {
	case VALUE_SIZE:
		*(uint64_t *)out = *(const uint64_t *)in;
		return 0;
	case VALUE_DURATION:
	case VALUE_COUNT:
		*(unsigned *)out = *(const unsigned *)in;
		return 0;
	default:
		return copy_text(out, *(char *const *)in);
	}
}

int settings_keep(struct settings *settings, const struct settings *old,
		  const char *file)
{
	int n = 0;

	for (size_t i = 0; i < N_RULES; i++) {
		if (old->files[i] == NULL || settings->files[i] != NULL ||
		    strcmp(old->files[i], file) != 0)
			continue;
		if (copy_text(&settings->files[i], file) < 0 ||
		    copy_value(settings, old, &rules[i]) < 0)
			return -ENOMEM;
		n++;
	}
	return n;
}

static int apply_option(struct settings *settings, const char *option,
			struct err *err)
{
	size_t len = strcspn(option, "=");
	const struct value_rule *rule;
	char key[64];
	json_t *value;
	int rc;

	if (strcmp(option, "ro") == 0) {
		settings->read_only = true;
		return 0;
	}
	(void)snprintf(key, sizeof(key), "%.*s", (int)len, option);
	rule = find_rule(key, err);
	if (rule == NULL)
		return -EINVAL;
	if (option[len] == '\0')
		return err_set(err, EINVAL, "%s: needs a value: %s=VALUE", key,
			       key);
	value = json_string(option + len + 1);
	if (value == NULL)
		return err_set(err, EINVAL, "%s: is not UTF-8", key);
	rc = value_set(settings, rule, value, err);
	json_decref(value);
	return rc;
}

int settings_apply_options(struct settings *settings,
			   const char *const *options, struct err *err)
{
	struct err why = {0};
	int rc;

	for (; options != NULL && *options != NULL; options++) {
		rc = apply_option(settings, *options, &why);
		if (rc < 0)
			return err_set(err, why.code, "option %s", why.msg);
	}
	return 0;
}

void settings_finish(struct settings *settings)
{
	free(settings->realm);
	free(settings->conn_app_name);
	free(settings->spool_dir);
	for (size_t i = 0; i < N_RULES; i++)
		free(settings->files[i]);
	*settings = (struct settings){0};
}
