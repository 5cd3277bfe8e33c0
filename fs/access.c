/* SPDX-License-Identifier: MIT */
#include "fs/access.h"

#include <errno.h>
#include <fnmatch.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/cleanup.h"
#include "fs/caller.h"
#include "fs/caller_text.h"
#include "fs/cgroup.h"
#include "fs/config.h"

enum { PATH_SHOWN = 511 }; /* bytes of a control group's path */

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

/* The root, where whoever was not put anywhere is, is matched by "/" alone. */
static bool has_path(const struct access_rule *rule, const char *path)
{
	bool is_root = strcmp(path, "/") == 0;

	for (size_t i = 0; i < rule->n_cgroups; i++) {
		const char *glob = rule->cgroups[i];

		if (is_root ? strcmp(glob, path) == 0
			    : fnmatch(glob, path,
				      FNM_PATHNAME | FNM_NOESCAPE) == 0)
			return true;
	}
	return false;
}

static bool has_container(const struct access_rule *rule, const char *id)
{
	for (size_t i = 0; id[0] != '\0' && i < rule->n_containers; i++) {
		if (fnmatch(rule->containers[i], id, FNM_NOESCAPE) == 0)
			return true;
	}
	return false;
}

static bool has_value(const struct access_attribute *rule,
		      const struct cgroup *group)
{
	const struct cgroup_attribute *a = cgroup_attribute(group, rule->name);

	if (a == NULL || !a->is_text)
		return false;
	for (size_t i = 0; i < rule->n_values; i++) {
		if (strcmp(rule->values[i], a->value) == 0)
			return true;
	}
	return false;
}

static bool asks_for_cgroup(const struct access_rule *rule)
{
	return rule->n_cgroups > 0 || rule->n_containers > 0 ||
	       rule->n_attributes > 0;
}

static bool allowed_by_cgroup(const struct access_rule *rule,
			      const struct cgroup *group)
{
	if (group == NULL)
		return false;
	if (group->trusted && (has_path(rule, group->path) ||
			       has_container(rule, group->names.container)))
		return true;
	for (size_t i = 0; i < rule->n_attributes; i++) {
		if (has_value(&rule->attributes[i], group))
			return true;
	}
	return false;
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

static void read_cgroup(struct access_check *check)
{
	if (check->has_read_cgroup)
		return;
	check->has_read_cgroup = true;
	check->cgroup = cgroup_read(check->caller->tid);
}

bool access_check(struct access_check *check, const struct access_rule *rule)
{
	if (allowed_by_ids(rule, check->caller))
		return true;
	if (rule->n_gids > 0) {
		read_groups(check);
		if (has_any_gid(rule, check->groups, check->n_groups))
			return true;
	}
	if (!asks_for_cgroup(rule))
		return false;
	read_cgroup(check);
	return allowed_by_cgroup(rule, check->cgroup);
}

void access_check_finish(struct access_check *check)
{
	free(check->groups);
	cgroup_unref(check->cgroup);
	*check = (struct access_check){0};
}

bool access_allowed(const struct access_rule *rule, const struct caller *c)
{
	struct access_check check = {.caller = c};
	bool allowed = access_check(&check, rule);

	access_check_finish(&check);
	return allowed;
}

void access_remember(struct caller_names *names, const struct access_rule *rule,
		     const struct caller *c)
{
	if (caller_is_owner(c))
		return;
	if (rule->n_gids > 0)
		(void)caller_groups(&names->groups, &names->n_groups, c);
	if (asks_for_cgroup(rule))
		names->cgroup = cgroup_read(c->tid);
}

bool access_still_allowed(const struct access_rule *rule,
			  const struct caller *c,
			  const struct caller_names *names)
{
	return allowed_by_ids(rule, c) ||
	       has_any_gid(rule, names->groups, names->n_groups) ||
	       allowed_by_cgroup(rule, names->cgroup);
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

static void put_bool(struct buf *out, const char *key, bool value)
{
	put_key(out, key);
	buf_puts(out, value ? "true" : "false");
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

/* Names in a control group are anybody's: cleaned as a caller's text is. */
static void put_path(struct buf *out, const char *key, const char *path)
{
	char text[PATH_SHOWN + 1] = "";

	(void)caller_text(text, sizeof(text), path, strlen(path), "");
	put_text(out, key, text);
}

static void put_attributes(struct buf *out, const struct cgroup *group)
{
	put_key(out, "attributes");
	buf_putc(out, '{');
	for (size_t i = 0; group != NULL && i < group->n_attributes; i++) {
		const struct cgroup_attribute *a = &group->attributes[i];

		buf_puts(out, i > 0 ? ", " : "");
		buf_json(out, a->name, strlen(a->name));
		buf_puts(out, ": ");
		if (a->is_text)
			buf_json(out, a->value, strlen(a->value));
		else
			buf_puts(out, "null");
	}
	buf_putc(out, '}');
}

static void put_cgroup(struct buf *out, const struct cgroup *group)
{
	put_path(out, "cgroup", group != NULL ? group->path : "");
	put_bool(out, "cgroup_trusted", group != NULL && group->trusted);
	put_text(out, "container", group != NULL ? group->names.container : "");
	put_text(out, "pod_uid", group != NULL ? group->names.pod_uid : "");
	put_attributes(out, group);
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
	put_cgroup(out, names->cgroup);
	put_namespace(out, "mnt_ns", c->mnt_ns);
	put_namespace(out, "pid_ns", c->pid_ns);
	put_namespace(out, "user_ns", c->user_ns);
	put_text(out, "realm", env->realm);
	put_text(out, "job_id", env->job_id);
	put_text(out, "application_name", application_name);
	put_bool(out, "owner", caller_is_owner(c));
	buf_puts(out, "\n}\n");
	return out->failed ? -ENOMEM : 0;
}
