/* SPDX-License-Identifier: MIT */
/*
 * What stands where, and who may see it: names to nodes and back. The texts
 * of the files themselves are made in tree_texts.c and report.c.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "fs/access.h"
#include "fs/config.h"
#include "fs/connection.h"
#include "fs/conversation.h"
#include "fs/file.h"
#include "fs/file_result.h"
#include "fs/mount.h"
#include "fs/report.h"
#include "fs/scratch.h"
#include "fs/script.h"
#include "fs/tree_texts.h"

enum { MAX_TEXT = 64 * 1024 * 1024 };

const struct entry root_entries[] = {
	{.name = "README", .mode = 0444, .ops = &text_ops, .text = text_readme},
	{0},
};

const struct entry dot_entries[] = {
	{.name = "version",
	 .mode = 0444,
	 .ops = &text_ops,
	 .text = text_version},
	{.name = "ready", .mode = 0444, .ops = &text_ops, .text = text_ready},
	{.name = "status.json",
	 .mode = 0400,
	 .owner_only = true,
	 .ops = &text_ops,
	 .text = text_mount_status},
	{.name = "errors",
	 .mode = 0400,
	 .owner_only = true,
	 .ops = &text_ops,
	 .text = text_errors},
	{.name = "statements",
	 .mode = 0444,
	 .ops = &text_ops,
	 .text = report_statements},
	{.name = "cancel", .mode = 0222, .ops = &cancel_id_ops},
	{0},
};

const struct entry connection_entries[] = {
	{.name = "query.sql",
	 .mode = 0644,
	 .ops = &query_ops,
	 .text = report_query,
	 .callers = true},
	{.name = "params.json",
	 .mode = 0644,
	 .ops = &params_ops,
	 .text = report_params,
	 .callers = true},
	{.name = "result.csv",
	 .mode = 0444,
	 .make = result_make_last,
	 .callers = true},
	{.name = "status.json",
	 .mode = 0444,
	 .ops = &text_ops,
	 .text = report_status,
	 .callers = true},
	{.name = "error",
	 .mode = 0444,
	 .ops = &text_ops,
	 .text = report_error,
	 .callers = true},
	{.name = "cancel", .mode = 0222, .ops = &cancel_ops, .callers = true},
	{.name = "connection.json",
	 .mode = 0444,
	 .ops = &text_ops,
	 .text = text_connection},
	{.name = "client.json",
	 .mode = 0444,
	 .ops = &client_ops,
	 .text = text_client,
	 .callers = true},
	{0},
};

const struct entry creds_entries[] = {
	{.name = "state",
	 .mode = 0444,
	 .ops = &text_ops,
	 .text = text_creds_state},
	{.name = "source",
	 .mode = 0444,
	 .ops = &text_ops,
	 .text = text_creds_source},
	{.name = "user",
	 .mode = 0444,
	 .ops = &text_ops,
	 .text = text_creds_user},
	{.name = "issued_at",
	 .mode = 0444,
	 .ops = &text_ops,
	 .text = text_creds_issued},
	{.name = "expires_at",
	 .mode = 0444,
	 .ops = &text_ops,
	 .text = text_creds_expires},
	{.name = "ttl", .mode = 0444, .ops = &text_ops, .text = text_creds_ttl},
	{.name = "error",
	 .mode = 0444,
	 .ops = &text_ops,
	 .text = text_creds_error},
	{.name = "refresh", .mode = 0222, .ops = &refresh_ops},
	{.name = "token",
	 .mode = 0400,
	 .owner_only = true,
	 .exposed_only = true,
	 .ops = &token_ops,
	 .size = token_size},
	{.name = "status.json",
	 .mode = 0444,
	 .ops = &text_ops,
	 .text = text_creds_status},
	{0},
};

bool tree_has_query(const struct node *dir)
{
	return dir->dir == NODE_CONNECTION || dir->dir == NODE_SESSION;
}

static const struct entry no_entries[] = {{0}};

static const struct entry *entries_of(const struct node *dir)
{
	switch (dir->dir) {
	case NODE_ROOT:
		return root_entries;
	case NODE_DOT:
		return dot_entries;
	case NODE_CONNECTION:
	case NODE_SESSION:
		return connection_entries;
	case NODE_CREDS:
		return creds_entries;
	default:
		return no_entries;
	}
}

/* The caller may use a connection at or below dir. */
static bool may_use_any(struct node *dir, const struct caller *caller)
{
	struct connection *conn = node_connection(dir);

	if (conn != NULL && access_allowed(&conn->spec->access, caller))
		return true;
	for (struct node *child = dir->children; child != NULL;
	     child = child->sibling) {
		if (may_use_any(child, caller))
			return true;
	}
	return false;
}

/* What stands in it is for those who may use the connection. */
static bool is_inside(const struct node *dir)
{
	return dir->session != NULL || dir->dir == NODE_RESULTS ||
	       dir->dir == NODE_CREDS || dir->dir == NODE_SESSIONS;
}

int tree_may_enter(struct node *dir, const struct caller *caller)
{
	struct connection *conn = node_connection(dir);

	if (dir->dir == NODE_ROOT || dir->dir == NODE_DOT)
		return 0;
	if (dir->session != NULL &&
	    (dir->session->ended || !conversation_is_of(dir->session, caller)))
		return -ENOENT;
	if (conn != NULL && access_allowed(&conn->spec->access, caller))
		return 0;
	if (is_inside(dir))
		return -ENOENT;
	return may_use_any(dir, caller) ? 0 : -ENOENT;
}

/* Of the fixed names that are seen, those that are there for this caller. */
static bool has_entry(const struct view *v, const struct entry *e)
{
	if (e->owner_only && !caller_is_owner(v->caller))
		return false;
	return !e->exposed_only || v->conn->spec->expose_token;
}

/* The fixed names of a connection are seen by those who may use it. */
static bool shows_entries(struct node *dir, const struct caller *caller)
{
	struct connection *conn = node_connection(dir);

	if (dir->session != NULL)
		return tree_may_enter(dir, caller) == 0;
	return conn == NULL || access_allowed(&conn->spec->access, caller);
}

/* A file of a session is what it is by the session, not by the caller. */
static void stand_in(struct node *node, const struct node *dir)
{
	if (dir->session != NULL && node->session == NULL)
		node->session = conversation_ref(dir->session);
}

static int make_entry(struct node **out, const struct view *v,
		      const struct entry *e)
{
	struct node *node;
	struct buf text;
	int rc = 0;

	*out = NULL;
	if (e->make != NULL) {
		rc = e->make(out, v, e);
		if (rc < 0)
			return rc;
		stand_in(*out, v->dir);
		(*out)->uid = v->caller->uid;
		(*out)->gid = v->caller->gid;
		return 0;
	}
	node = node_create(v->mount->nodes, e->ops, S_IFREG | e->mode);
	if (node == NULL)
		return -ENOMEM;
	if (v->conn != NULL)
		node->conn = connection_ref(v->conn);
	stand_in(node, v->dir);
	/* vim refuses to write what is not the file that it has read. */
	if (e->ops == &query_ops)
		node->ino = NODE_LASTING_INO | v->dir->id;
	else if (e->ops == &params_ops)
		node->ino =
			NODE_LASTING_INO | NODE_LASTING_INO >> 1 | v->dir->id;
	if (e->callers) {
		node->uid = v->caller->uid;
		node->gid = v->caller->gid;
	}
	if (e->callers && v->conv != NULL)
		node->conv = conversation_ref(v->conv);
	node->reader_uid = v->caller->uid;
	node->reader_pid_ns = v->caller->pid_ns;
	node->reader_user_ns = v->caller->user_ns;
	if (e->size != NULL)
		node->size = e->size(v);
	if (e->text != NULL) {
		buf_init(&text, MAX_TEXT);
		e->text(&text, v);
		node->size = text.len;
		node->text = buf_take(&text);
		if (node->text == NULL)
			rc = -ENOMEM;
	}
	if (rc < 0)
		node_discard(v->mount->nodes, node);
	else
		*out = node;
	return rc;
}

static int make_scratch(struct node **out, const struct view *v,
			struct scratch *s)
{
	struct node *node;

	*out = node_get(v->mount->nodes, s->node_id);
	if (*out != NULL)
		return 0;
	node = node_create(v->mount->nodes, &scratch_ops, S_IFREG | s->mode);
	if (node == NULL)
		return -ENOMEM;
	node->conn = connection_ref(v->conn);
	node->conv = conversation_ref(v->conv);
	stand_in(node, v->dir);
	node->scratch = scratch_ref(s);
	node->uid = v->caller->uid;
	node->gid = v->caller->gid;
	node->size = s->content.len;
	node->mtime_ms = s->mtime_ms;
	s->node_id = node->id;
	*out = node;
	return 0;
}

/* results/N.csv */
static int lookup_result(struct node **out, const struct view *v,
			 const char *name)
{
	char canonical[32];
	unsigned long long n;
	int rc;

	n = strtoull(name, NULL, 10);
	(void)snprintf(canonical, sizeof(canonical), "%llu.csv", n);
	if (n == 0 || strcmp(name, canonical) != 0)
		return -ENOENT;
	rc = result_make_number(out, v, n);
	if (rc == 0)
		stand_in(*out, v->dir);
	return rc;
}

int tree_lookup(struct node **out, const struct view *v, const char *name)
{
	struct node *child = node_child(v->mount->nodes, v->dir, name);
	struct scratch *s;

	*out = child;
	if (child != NULL) {
		/* A session is ENOENT inside only, as a connection is. */
		if (child->dir == NODE_SESSION || !is_inside(child))
			return 0;
		return shows_entries(v->dir, v->caller) ? 0 : -ENOENT;
	}
	if (!shows_entries(v->dir, v->caller))
		return -ENOENT;
	for (const struct entry *e = entries_of(v->dir); e->name != NULL; e++) {
		if (strcmp(e->name, name) != 0)
			continue;
		if (!has_entry(v, e))
			return -ENOENT;
		return make_entry(out, v, e);
	}
	if (v->dir->dir == NODE_RESULTS)
		return lookup_result(out, v, name);
	if (!tree_has_query(v->dir) || v->conv == NULL)
		return -ENOENT;
	s = scratch_find(v->conv, name);
	return s != NULL ? make_scratch(out, v, s) : -ENOENT;
}

struct listing {
	const struct view *v;
	uint64_t from;
	uint64_t position;
	tree_add add;
	void *arg;
	bool full;
};

static void list(struct listing *l, const char *name, mode_t mode, uint64_t ino)
{
	if (l->full || ++l->position <= l->from)
		return;
	l->full = !l->add(l->arg, name, mode, ino, l->position);
}

static void list_results(struct listing *l)
{
	const struct view *v = l->v;
	struct script *script = NULL;

	if (v->conv != NULL)
		script = conversation_pick(v->conv, v->caller, false);
	if (script == NULL)
		return;
	for (size_t i = 0; i < script->n_results; i++) {
		char name[32];

		(void)snprintf(name, sizeof(name), "%llu.csv",
			       (unsigned long long)script->first_result + i);
		list(l, name, S_IFREG, UINT32_MAX);
	}
}

int tree_readdir(const struct view *v, uint64_t from, tree_add add, void *arg)
{
	struct listing l = {.v = v, .from = from, .add = add, .arg = arg};
	struct node *dir = v->dir;
	bool entries = shows_entries(dir, v->caller);

	list(&l, ".", S_IFDIR, dir->id);
	list(&l, "..", S_IFDIR,
	     dir->parent != NULL ? dir->parent->id : dir->id);
	for (const struct entry *e = entries_of(dir);
	     entries && e->name != NULL; e++) {
		if (has_entry(v, e))
			list(&l, e->name, S_IFREG, UINT32_MAX);
	}
	for (struct node *child = dir->children; child != NULL && !l.full;
	     child = child->sibling) {
		if (tree_may_enter(child, v->caller) == 0)
			list(&l, child->name, S_IFDIR, child->id);
	}
	if (dir->dir == NODE_RESULTS)
		list_results(&l);
	if (tree_has_query(dir) && entries && v->conv != NULL) {
		for (struct scratch *s = v->conv->scratch; s != NULL;
		     s = s->next)
			list(&l, s->name, S_IFREG, UINT32_MAX);
	}
	return 0;
}
