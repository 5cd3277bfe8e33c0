/* SPDX-License-Identifier: MIT */
#include "fs/config_internal.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/err.h"

enum {
	IDS_MAX = 10000,
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

static int parse_key(struct access_rule *out, const char *key,
		     const json_t *value, struct err *err)
{
	static const char *const keys[] = {"users", "groups", "everyone"};
	struct guess guess = {.word = key};

	if (strcmp(key, keys[0]) == 0)
		return parse_ids(&out->uids, &out->n_uids, "access.users",
				 value, lookup_user, err);
	if (strcmp(key, keys[1]) == 0)
		return parse_ids(&out->gids, &out->n_gids, "access.groups",
				 value, lookup_group, err);
	if (strcmp(key, keys[2]) == 0)
		return value_set(out, &everyone_rule, value, err);
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
			       "access: must be an object with users, groups "
			       "or everyone");
	json_object_foreach ((json_t *)value, key, item) {
		rc = parse_key(out, key, item, err);
		if (rc < 0)
			break;
	}
	return rc;
}

void access_finish(struct access_rule *access)
{
	free(access->uids);
	free(access->gids);
	*access = (struct access_rule){0};
}
