/* SPDX-License-Identifier: MIT */
#include "fs/config_internal.h"

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
		   json_t *seen, struct err *err)
{
	const struct value_rule *rule;
	const char *key;
	json_t *value;
	int rc;

	if (!json_is_object(file->settings))
		return err_set(err, EINVAL, "must be an object");
	json_object_foreach ((json_t *)file->settings, key, value) {
		const json_t *other = json_object_get(seen, key);

		if (value_is_private_key(key))
			continue;
		rule = find_rule(key, err);
		if (rule == NULL)
			return -EINVAL;
		if (other != NULL)
			return err_set(err, EINVAL, "%s: is set in %s already",
				       key, json_string_value(other));
		if (json_object_set_new(seen, key, json_string(file->path)) < 0)
			return err_set(err, ENOMEM, "out of memory");
		rc = value_set(settings, rule, value, err);
		if (rc < 0)
			return rc;
	}
	return 0;
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
	*settings = (struct settings){0};
}
