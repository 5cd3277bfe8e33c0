/* SPDX-License-Identifier: MIT */
/*
 * Who may use a connection, and what a caller is shown of itself.
 *
 * The mount's owner always may. Else the spec's rule names users and groups by
 * the numbers they have in the daemon's user namespace, into which the kernel
 * translates those of every caller: a uid of a container that is mapped to
 * 1000 on the host is 1000. A container without a user namespace of its own
 * has root's uid 0; it is not the owner, because its pid namespace is another
 * one, and may what `users: ["root"]` and `everyone` allow.
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

/*
 * The caller is held in a request, any but RELEASE: when its uid and gid do
 * not decide and the rule has groups, the supplementary ones are read.
 */
bool access_allowed(const struct access_rule *rule, const struct caller *c);

/*
 * The same for many rules in one request: the groups are read once, when the
 * first rule asks for them.
 */
struct access_check {
	const struct caller *caller; /* the rest is zeroed */
	gid_t *groups;
	size_t n_groups;
	bool has_read;
};

bool access_check(struct access_check *check, const struct access_rule *rule);
void access_check_finish(struct access_check *check);

/* The same for one that may have gone, by the groups it had at OPEN. */
bool access_still_allowed(const struct access_rule *rule,
			  const struct caller *c,
			  const struct caller_names *names);

/*
 * Appends the text of client.json: one object, a line each key, always all of
 * them in this order; null is what is not known. 0 or -ENOMEM.
 */
int access_identity_json(struct buf *out, const struct caller *c,
			 const struct caller_names *names,
			 const struct caller_env *env,
			 const char *application_name);

#endif
