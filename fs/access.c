/* SPDX-License-Identifier: MIT */
#include "fs/access.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/cleanup.h"
#include "fs/caller.h"
#include "fs/config.h"

static bool has_uid(const struct access_rule *rule, uid_t uid)
{
	for (size_t i = 0; i < rule->n_uids; i++) {
		if (rule->uids[i] == uid)
			return true;
	}
	return false;
}

static bool has_gid(const struct access_rule *rule, gid_t gid)
{
	for (size_t i = 0; i < rule->n_gids; i++) {
		if (rule->gids[i] == gid)
			return true;
	}
	return false;
}

static bool has_any_gid(const struct access_rule *rule, const gid_t *gids,
			size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (has_gid(rule, gids[i]))
			return true;
	}
	return false;
}

static bool allowed_by_ids(const struct access_rule *rule,
			   const struct caller *c)
{
	return rule->everyone || caller_is_owner(c) || has_uid(rule, c->uid) ||
	       has_gid(rule, c->gid);
}

/* Groups that cannot be read are none. */
static void read_groups(struct access_check *check)
{
	if (check->has_read)
		return;
	check->has_read = true;
	if (caller_groups(&check->groups, &check->n_groups, check->caller) < 0)
		check->n_groups = 0;
}

bool access_check(struct access_check *check, const struct access_rule *rule)
{
	if (allowed_by_ids(rule, check->caller))
		return true;
	if (rule->n_gids == 0)
		return false;
	read_groups(check);
	return has_any_gid(rule, check->groups, check->n_groups);
}

void access_check_finish(struct access_check *check)
{
	free(check->groups);
	*check = (struct access_check){0};
}

bool access_allowed(const struct access_rule *rule, const struct caller *c)
{
	struct access_check check = {.caller = c};
	bool allowed = access_check(&check, rule);

	access_check_finish(&check);
	return allowed;
}

bool access_still_allowed(const struct access_rule *rule,
			  const struct caller *c,
			  const struct caller_names *names)
{
	return allowed_by_ids(rule, c) ||
	       has_any_gid(rule, names->groups, names->n_groups);
}

static void put_key(struct buf *out, const char *key)
{
	buf_puts(out,
		 out->len > 0 && out->data[out->len - 1] == '{' ? "\n" : ",\n");
	buf_printf(out, "  \"%s\": ", key);
}

static void put_number(struct buf *out, const char *key, int64_t value)
{
	put_key(out, key);
	buf_printf(out, "%" PRId64, value);
}

static void put_namespace(struct buf *out, const char *key, uint64_t inode)
{
	put_key(out, key);
	if (inode != 0)
		buf_printf(out, "%" PRIu64, inode);
	else
		buf_puts(out, "null");
}

static void put_text(struct buf *out, const char *key, const char *text)
{
	put_key(out, key);
	if (text[0] != '\0')
		buf_json(out, text, strlen(text));
	else
		buf_puts(out, "null");
}

static void put_groups(struct buf *out, const struct caller_names *names)
{
	put_key(out, "groups");
	buf_putc(out, '[');
	for (size_t i = 0; i < names->n_groups; i++)
		buf_printf(out, "%s%u", i > 0 ? ", " : "", names->groups[i]);
	buf_putc(out, ']');
}

int access_identity_json(struct buf *out, const struct caller *c,
			 const struct caller_names *names,
			 const struct caller_env *env,
			 const char *application_name)
{
	buf_putc(out, '{');
	put_number(out, "uid", c->uid);
	put_number(out, "gid", c->gid);
	put_text(out, "user", names->user);
	put_groups(out, names);
	put_number(out, "pid", c->self.pid);
	put_number(out, "pgid", c->pgid);
	put_number(out, "sid", c->sid);
	put_text(out, "comm", names->comm);
	put_text(out, "exe", names->exe);
	put_text(out, "cgroup", names->cgroup);
	put_namespace(out, "mnt_ns", c->mnt_ns);
	put_namespace(out, "pid_ns", c->pid_ns);
	put_namespace(out, "user_ns", c->user_ns);
	put_text(out, "realm", env->realm);
	put_text(out, "job_id", env->job_id);
	put_text(out, "application_name", application_name);
	put_key(out, "owner");
	buf_puts(out, caller_is_owner(c) ? "true\n}\n" : "false\n}\n");
	return out->failed ? -ENOMEM : 0;
}
