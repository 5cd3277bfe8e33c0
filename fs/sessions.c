/* SPDX-License-Identifier: MIT */
#include "fs/sessions.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "fs/connection.h"
#include "fs/conversation.h"
#include "fs/file.h"
#include "fs/mount.h"
#include "fs/node.h"

/* What is not a name the kernel lets through, a word that is written may be. */
static int check_name(const char *name)
{
	if (strlen(name) > NAME_MAX)
		return -ENAMETOOLONG;
	if (*name == '\0' || strchr(name, '/') != NULL)
		return -EINVAL;
	if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return -EEXIST;
	for (const struct entry *e = sessions_entries; e->name != NULL; e++) {
		if (strcmp(name, e->name) == 0)
			return -EEXIST;
	}
	for (; *name != '\0'; name++) {
		if ((unsigned char)*name < 0x20 || *name == 0x7f)
			return -EINVAL;
	}
	return 0;
}

static bool has_too_many(const struct connection *c,
			 const struct caller *caller)
{
	unsigned n = 0;

	for (const struct conversation *v = c->conversations; v != NULL;
	     v = v->next)
		n += v->kind == CONVERSATION_NAMED &&
		     conversation_is_of(v, caller);
	return n >= SESSIONS_MAX;
}

int sessions_make(struct node **out, const struct view *v, const char *name)
{
	struct conversation *conv;
	int rc = tree_may_enter(v->dir, v->caller);

	*out = NULL;
	if (rc == 0 && v->dir->dir != NODE_SESSIONS)
		rc = -EACCES;
	if (rc == 0)
		rc = check_name(name);
	if (rc < 0)
		return rc;
	if (node_child(v->mount->nodes, v->dir, name) != NULL)
		return -EEXIST;
	if (has_too_many(v->conn, v->caller))
		return -EDQUOT;
	conv = conversation_create(v->conn, v->caller, CONVERSATION_NAMED);
	if (conv == NULL)
		return -ENOMEM;
	rc = node_add_session(v->mount->nodes, conv, name);
	if (rc < 0) {
		conversation_end(conv);
		return rc;
	}
	conversation_set_timeout(conv);
	*out = conv->dir;
	return 0;
}

int sessions_mkdir(struct node **out, const struct view *v, const char *name)
{
	int rc = sessions_make(out, v, name);

	if (rc == 0)
		rc = ns_hold_init(&(*out)->session->ns, v->caller);
	if (rc < 0 && *out != NULL)
		conversation_end((*out)->session);
	return rc;
}

int sessions_rmdir(const struct view *v, const char *name)
{
	struct node *dir;
	int rc = tree_may_enter(v->dir, v->caller);

	if (rc < 0)
		return rc;
	dir = node_child(v->mount->nodes, v->dir, name);
	if (dir == NULL)
		return -ENOENT;
	if (dir->dir != NODE_SESSION)
		return -EACCES;
	rc = tree_may_enter(dir, v->caller);
	if (rc == 0)
		conversation_end(dir->session);
	return rc;
}
