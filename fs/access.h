/* SPDX-License-Identifier: MIT */
/*
 * Who may use a connection, and what a caller is shown of itself.
 *
 * The mount's owner always may. Else the spec's rule names users and groups by
 * the numbers they have in the daemon's user namespace, into which the kernel
 * translates those of every caller: a uid of a container that is mapped to
 * 1000 on the host is 1000. A container without a user namespace of its own
 * has root's uid 0; it is not the owner, because its pid namespace is another
 * one, and may what `users: ["root"]` and `everyone` allow. Or the rule names
 * control groups, which count when cgroup.h says that they are trusted.
 */
#ifndef CONNFS_FS_ACCESS_H
#define CONNFS_FS_ACCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct access_rule;
struct buf;
struct caller;
struct caller_env;
struct caller_names;
struct cgroup;

/*
 * The caller is held in a request, any but RELEASE: when its uid and gid do
 * not decide, the supplementary groups are read if the rule has groups, and
 * then the control group, if the rule has something to say of that.
 */
bool access_allowed(const struct access_rule *rule, const struct caller *c);

/*
 * The same for many rules in one request: the groups, and the control group,
 * are read once, when the first rule asks for them.
 */
struct access_check {
	const struct caller *caller; /* the rest is zeroed */
	gid_t *groups;
	size_t n_groups;
	bool has_read;
	struct cgroup *cgroup;
	bool has_read_cgroup;
};

bool access_check(struct access_check *check, const struct access_rule *rule);
void access_check_finish(struct access_check *check);

/*
 * Reads into names, which is zeroed, what of the groups and the control group
 * the rule asks for. The caller is held in its OPEN.
 */
void access_remember(struct caller_names *names, const struct access_rule *rule,
		     const struct caller *c);

/* The same for one that may have gone or moved, by what it was at OPEN. */
bool access_still_allowed(const struct access_rule *rule,
			  const struct caller *c,
			  const struct caller_names *names);

/*
 * Appends the text of client.json: one object, a line each key, always all of
 * them in this order; null is what is not known, or not there. 0 or -ENOMEM.
 */
int access_identity_json(struct buf *out, const struct caller *c,
			 const struct caller_names *names,
			 const struct caller_env *env,
			 const char *application_name);

#endif
