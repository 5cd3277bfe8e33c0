/* SPDX-License-Identifier: MIT */
#include "fs/config_internal.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/err.h"
#include "fs/cgroup.h"

enum {
	IDS_MAX = 10000,
	TEXTS_MAX = 1000,         /* globs, attributes, values of one */
	GLOB_MAX = 1024,          /* bytes */
	SHORT_ID = 12,            /* digits, of the 64 of a container */
	RECORD_MAX = 1024 * 1024, /* bytes of one passwd or group entry */
};

static const struct value_rule everyone_rule = {
	.key = "access.everyone",
	.kind = VALUE_BOOL,
	.offset = offsetof(struct access_rule, everyone),
};

/* 0 and whether there is one, or a positive errno; ERANGE: more room. */
typedef int (*lookup)(const char *name, char *room, size_t size, bool *found,
		      uint32_t *id);

static int lookup_user(const char *name, char *room, size_t size, bool *found,
		       uint32_t *id)
{
	struct passwd entry, *result = NULL;
	int rc = getpwnam_r(name, &entry, room, size, &result);

	*found = result != NULL;
	if (*found)
		*id = entry.pw_uid;
	return rc;
}

static int lookup_group(const char *name, char *room, size_t size, bool *found,
			uint32_t *id)
{
	struct group entry, *result = NULL;
	int rc = getgrnam_r(name, &entry, room, size, &result);

	*found = result != NULL;
	if (*found)
		*id = entry.gr_gid;
	return rc;
}

static int find_name(uint32_t *id, const char *key, const char *name,
		     lookup find, struct err *err)
{
	bool found = false;
	int rc = ERANGE;

	for (size_t size = 4096; rc == ERANGE && size <= RECORD_MAX;
	     size *= 4) {
		auto_free char *room = malloc(size);

		if (room == NULL)
			return err_set(err, ENOMEM, "%s: out of memory", key);
		rc = find(name, room, size, &found, id);
	}
	if (found)
		return 0;
	/* Some name services answer a missing name with one of these. */
	if (rc == 0 || rc == ENOENT || rc == ESRCH || rc == EBADF ||
	    rc == EPERM)
		return err_set(err, EINVAL, "%s: there is no \"%.100s\"", key,
			       name);
	return err_sys(err, rc, "%s: cannot look up \"%.100s\"", key, name);
}

static int parse_id(uint32_t *id, const char *key, const json_t *value,
		    lookup find, struct err *err)
{
	json_int_t number = json_integer_value(value);

	if (json_is_string(value))
		return find_name(id, key, json_string_value(value), find, err);
	/* The last one is -1, which means "none" to the system. */
	if (!json_is_integer(value) || number < 0 || number >= UINT32_MAX)
		return err_set(err, EINVAL,
			       "%s: must be names, or numbers from 0 to "
			       "4294967294",
			       key);
	*id = (uint32_t)number;
	return 0;
}

static int parse_ids(uint32_t **out, size_t *n_out, const char *key,
		     const json_t *value, lookup find, struct err *err)
{
	size_t n = json_array_size(value);
	int rc = 0;

	if (!json_is_array(value) || n > IDS_MAX)
		return err_set(err, EINVAL,
			       "%s: must be an array of at most %d names or "
			       "numbers",
			       key, IDS_MAX);
	*out = calloc(n + 1, sizeof(**out));
	if (*out == NULL)
		return err_set(err, ENOMEM, "%s: out of memory", key);
	*n_out = n;
	for (size_t i = 0; rc == 0 && i < n; i++)
		rc = parse_id(&(*out)[i], key, json_array_get(value, i), find,
			      err);
	return rc;
}

static bool has_control(const char *text)
{
	for (const char *p = text; *p != '\0'; p++) {
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			return true;
	}
	return false;
}

static int check_text(const char *key, const char *text, size_t max,
		      struct err *err)
{
	if (strlen(text) > max)
		return err_set(err, EINVAL, "%s: \"%.20s..\": over %zu bytes",
			       key, text, max);
	if (has_control(text))
		return err_set(err, EINVAL,
			       "%s: must not hold control characters", key);
	return 0;
}

/* What the texts of a key have to be. */
struct text_rule {
	const char *key;
	size_t max; /* bytes of each */
	/* Why a text cannot be one; null: it can. The member may be null. */
	const char *(*complain)(const char *text);
};

static const char *complain_of_path(const char *glob)
{
	if (glob[0] != '/')
		return "must begin with a '/'";
	if (strstr(glob, "**") != NULL)
		return "\"**\" is no more than \"*\", which matches no '/'";
	if (strstr(glob, "//") != NULL ||
	    (glob[1] != '\0' && glob[strlen(glob) - 1] == '/'))
		return "a '/' must have a name on both sides";
	if (strstr(glob, "/../") != NULL ||
	    (strlen(glob) > 2 && strcmp(glob + strlen(glob) - 3, "/..") == 0))
		return "must not lead up: paths with \"..\" never count";
	return NULL;
}

static const char *complain_of_container(const char *glob)
{
	if (glob[0] == '\0')
		return "must not be empty";
	if (strchr(glob, '/') != NULL)
		return "an id has no '/'; paths belong in access.cgroups";
	if (strlen(glob) == SHORT_ID &&
	    strspn(glob, "0123456789abcdef") == SHORT_ID)
		return "an id has 64 digits; a '*' behind it stands for the "
		       "rest";
	return NULL;
}

static const struct text_rule cgroup_rule = {
	.key = "access.cgroups",
	.max = GLOB_MAX,
	.complain = complain_of_path,
};

static const struct text_rule container_rule = {
	.key = "access.containers",
	.max = GLOB_MAX,
	.complain = complain_of_container,
};

static int parse_text(char **out, const struct text_rule *rule,
		      const json_t *value, struct err *err)
{
	const char *text = json_string_value(value);
	const char *reason;
	int rc;

	if (text == NULL)
		return err_set(err, EINVAL, "%s: must be strings", rule->key);
	rc = check_text(rule->key, text, rule->max, err);
	if (rc < 0)
		return rc;
	reason = rule->complain != NULL ? rule->complain(text) : NULL;
	if (reason != NULL)
		return err_set(err, EINVAL, "%s: \"%.100s\": %s", rule->key,
			       text, reason);
	*out = strdup(text);
	return *out != NULL
		       ? 0
		       : err_set(err, ENOMEM, "%s: out of memory", rule->key);
}

static int parse_texts(char ***out, size_t *n_out, const struct text_rule *rule,
		       const json_t *value, struct err *err)
{
	size_t n = json_array_size(value);
	int rc = 0;

	if (!json_is_array(value) || n > TEXTS_MAX)
		return err_set(err, EINVAL,
			       "%s: must be an array of at most %d strings",
			       rule->key, TEXTS_MAX);
	*out = calloc(n + 1, sizeof(**out));
	if (*out == NULL)
		return err_set(err, ENOMEM, "%s: out of memory", rule->key);
	*n_out = n;
	for (size_t i = 0; rc == 0 && i < n; i++)
		rc = parse_text(&(*out)[i], rule, json_array_get(value, i),
				err);
	return rc;
}

static const char *complain_of_name(const char *name)
{
	if (name[0] == '\0')
		return "must not be empty";
	if (strncmp(name, "user.", strlen("user.")) == 0)
		return "goes without the \"user.connfs.\"";
	return NULL;
}

static const struct text_rule name_rule = {
	.key = "access.attributes",
	.max = CGROUP_ATTRIBUTE_NAME_MAX,
	.complain = complain_of_name,
};

/* "account": "etl", or of several: "account": ["etl", "batch"] */
static int parse_attribute(struct access_attribute *out, const char *name,
			   const json_t *value, struct err *err)
{
	json_t *text = json_string(name);
	char key[sizeof("access.attributes.") + CGROUP_ATTRIBUTE_NAME_MAX];
	const struct text_rule rule = {.key = key,
				       .max = CGROUP_ATTRIBUTE_VALUE_MAX};
	int rc;

	if (text == NULL)
		return err_set(err, ENOMEM, "access.attributes: out of memory");
	rc = parse_text(&out->name, &name_rule, text, err);
	json_decref(text);
	if (rc < 0)
		return rc;
	(void)snprintf(key, sizeof(key), "access.attributes.%s", name);
	if (!json_is_string(value))
		return parse_texts(&out->values, &out->n_values, &rule, value,
				   err);
	out->values = calloc(1, sizeof(*out->values));
	if (out->values == NULL)
		return err_set(err, ENOMEM, "%s: out of memory", key);
	out->n_values = 1;
	return parse_text(&out->values[0], &rule, value, err);
}

static int parse_attributes(struct access_rule *out, const json_t *value,
			    struct err *err)
{
	size_t n = json_object_size(value);
	const char *name;
	json_t *item;
	int rc = 0;

	if (!json_is_object(value) || n > TEXTS_MAX)
		return err_set(err, EINVAL,
			       "access.attributes: must be an object of at "
			       "most %d names",
			       TEXTS_MAX);
	out->attributes = calloc(n + 1, sizeof(*out->attributes));
	if (out->attributes == NULL)
		return err_set(err, ENOMEM, "access.attributes: out of memory");
	json_object_foreach ((json_t *)value, name, item) {
		rc = parse_attribute(&out->attributes[out->n_attributes++],
				     name, item, err);
		if (rc < 0)
			break;
	}
	return rc;
}

static int parse_key(struct access_rule *out, const char *key,
		     const json_t *value, struct err *err)
{
	static const char *const keys[] = {"users",      "groups",
					   "everyone",   "cgroups",
					   "containers", "attributes"};
	struct guess guess = {.word = key};

	if (strcmp(key, keys[0]) == 0)
		return parse_ids(&out->uids, &out->n_uids, "access.users",
				 value, lookup_user, err);
	if (strcmp(key, keys[1]) == 0)
		return parse_ids(&out->gids, &out->n_gids, "access.groups",
				 value, lookup_group, err);
	if (strcmp(key, keys[2]) == 0)
		return value_set(out, &everyone_rule, value, err);
	if (strcmp(key, keys[3]) == 0)
		return parse_texts(&out->cgroups, &out->n_cgroups, &cgroup_rule,
				   value, err);
	if (strcmp(key, keys[4]) == 0)
		return parse_texts(&out->containers, &out->n_containers,
				   &container_rule, value, err);
	if (strcmp(key, keys[5]) == 0)
		return parse_attributes(out, value, err);
	for (size_t i = 0; i < sizeof(keys) / sizeof(*keys); i++)
		guess_try(&guess, keys[i]);
	return guess_fail(&guess, "access: unknown key", err);
}

int access_parse(struct access_rule *out, const json_t *value, struct err *err)
{
	const char *key;
	json_t *item;
	int rc = 0;

	if (!json_is_object(value))
		return err_set(err, EINVAL,
			       "access: must be an object with users, groups, "
			       "cgroups, containers, attributes or everyone");
	json_object_foreach ((json_t *)value, key, item) {
		rc = parse_key(out, key, item, err);
		if (rc < 0)
			break;
	}
	return rc;
}

static void free_texts(char **texts, size_t n)
{
	for (size_t i = 0; texts != NULL && i < n; i++)
		free(texts[i]);
	free(texts);
}

void access_finish(struct access_rule *access)
{
	free(access->uids);
	free(access->gids);
	free_texts(access->cgroups, access->n_cgroups);
	free_texts(access->containers, access->n_containers);
	for (size_t i = 0; i < access->n_attributes; i++) {
		free(access->attributes[i].name);
		free_texts(access->attributes[i].values,
			   access->attributes[i].n_values);
	}
	free(access->attributes);
	*access = (struct access_rule){0};
}
