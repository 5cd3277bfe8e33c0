/* SPDX-License-Identifier: MIT */
/*
 * What stands where, and who may see it: names to nodes and back. The texts
 * of the files themselves are made in tree_texts.c and report.c.
 */
#include <errno.h>
#include <inttypes.h>
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
#include "fs/follow.h"
#include "fs/mount.h"
#include "fs/queries.h"
#include "fs/readme.h"
#include "fs/report.h"
#include "fs/result.h"
#include "fs/scratch.h"
#include "fs/script.h"
#include "fs/sql_tool.h"
#include "fs/tree_texts.h"
#include "fs/tree_times.h"

enum { MAX_TEXT = 64 * 1024 * 1024 };

const struct entry root_entries[] = {
	{.name = "README",
	 .mode = 0444,
	 .ops = &text_ops,
	 .text = text_readme,
	 .mtime = time_of_specs},
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
	 .text = text_mount_status,
	 .mtime = time_of_mount},
	{.name = "errors",
	 .mode = 0400,
	 .owner_only = true,
	 .ops = &text_ops,
	 .text = text_errors,
	 .mtime = time_of_complaints},
	{.name = "statements",
	 .mode = 0444,
	 .ops = &text_ops,
	 .text = report_statements,
	 .mtime = time_of_statements},
	{.name = "cancel", .mode = 0222, .ops = &cancel_id_ops},
	{.name = "reload",
	 .mode = 0200,
	 .owner_only = true,
	 .ops = &reload_ops,
	 .mtime = time_of_complaints},
	{0},
};

#define RESULT(FORMAT, NAME)                                            \
	{                                                               \
		.name = (NAME), .mode = 0444, .make = result_make_last, \
		.format = (FORMAT), .callers = true                     \
	}

const struct entry connection_entries[] = {
	{.name = "query.sql",
	 .mode = 0644,
	 .ops = &query_ops,
	 .text = report_query,
	 .mtime = time_of_query,
	 .callers = true},
	{.name = "params.json",
	 .mode = 0644,
	 .ops = &params_ops,
	 .text = report_params,
	 .callers = true},
	RESULT(FORMAT_CSV, "result.csv"),
	RESULT(FORMAT_TSV, "result.tsv"),
	RESULT(FORMAT_JSONL, "result.jsonl"),
	RESULT(FORMAT_JSON, "result.json"),
	RESULT(FORMAT_TXT, "result.txt"),
	{.name = "status.json",
	 .mode = 0444,
	 .ops = &text_ops,
	 .text = report_status,
	 .mtime = time_of_status,
	 .callers = true},
	{.name = "wait",
	 .mode = 0444,
	 .ops = &wait_ops,
	 .mtime = time_of_status,
	 .callers = true},
	{.name = "error",
	 .mode = 0444,
	 .ops = &text_ops,
	 .text = report_error,
	 .mtime = time_of_error,
	 .callers = true},
	{.name = "cancel", .mode = 0222, .ops = &cancel_ops, .callers = true},
	{.name = "connection.json",
	 .mode = 0444,
	 .ops = &text_ops,
	 .text = text_connection,
	 .mtime = time_of_specs},
	{.name = "client.json",
	 .mode = 0444,
	 .ops = &client_ops,
	 .text = text_client,
	 .callers = true},
	{.name = "sql",
	 .mode = 0555,
	 .not_in_session = true,
	 .ops = &text_ops,
	 .text = text_sql},
	{0},
};

#define CREDS(NAME, TEXT)                                       \
	{                                                       \
		.name = (NAME), .mode = 0444, .ops = &text_ops, \
		.text = (TEXT), .mtime = time_of_creds          \
	}

const struct entry creds_entries[] = {
	CREDS("state", text_creds_state),
	CREDS("source", text_creds_source),
	CREDS("user", text_creds_user),
	CREDS("issued_at", text_creds_issued),
	CREDS("expires_at", text_creds_expires),
	CREDS("ttl", text_creds_ttl),
	CREDS("error", text_creds_error),
	{.name = "refresh",
	 .mode = 0222,
	 .ops = &refresh_ops,
	 .mtime = time_of_creds},
	{.name = "token",
	 .mode = 0400,
	 .owner_only = true,
	 .exposed_only = true,
	 .ops = &token_ops,
	 .size = token_size,
	 .mtime = time_of_creds},
	CREDS("status.json", text_creds_status),
	{0},
};

const struct entry sessions_entries[] = {
	{.name = ".new", .mode = 0222, .hidden = true, .ops = &session_new_ops},
	{.name = ".sql", .mode = 0222, .hidden = true, .ops = &session_sql_ops},
	{.name = ".end", .mode = 0222, .hidden = true, .ops = &session_end_ops},
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
	case NODE_SESSIONS:
		return sessions_entries;
	default:
		return no_entries;
	}
}

static uint64_t ino_of(const struct node *dir, const struct entry *e)
{
	uint64_t place = (uint64_t)(e - entries_of(dir));

	return NODE_LASTING_INO | place << NODE_PLACE_SHIFT | dir->id;
}

/* The caller may use a connection at or below dir. */
static bool may_use_any(struct node *dir, struct access_check *access)
{
	struct connection *conn = node_connection(dir);

	/* A session of one that was removed may be there still. */
	if (conn != NULL && !conn->removed &&
	    access_check(access, &conn->spec->access))
		return true;
	for (struct node *child = dir->children; child != NULL;
	     child = child->sibling) {
		if (may_use_any(child, access))
			return true;
	}
	return false;
}

/* What stands in it is for those who may use the connection. */
static bool is_inside(const struct node *dir)
{
	return dir->session != NULL || dir->dir == NODE_RESULTS ||
	       dir->dir == NODE_CREDS || dir->dir == NODE_SESSIONS ||
	       dir->dir == NODE_QUERIES || dir->dir == NODE_RUNS;
}

static bool may_enter(struct node *dir, struct access_check *access)
{
	struct connection *conn = node_connection(dir);

	if (dir->dir == NODE_ROOT || dir->dir == NODE_DOT)
		return true;
	if (dir->session != NULL &&
	    (dir->session->ended ||
	     !conversation_is_of(dir->session, access->caller)))
		return false;
	if (is_inside(dir))
		return conn != NULL &&
		       access_check(access, &conn->spec->access);
	return may_use_any(dir, access);
}

int tree_may_enter(struct node *dir, const struct caller *caller)
{
	struct access_check access = {.caller = caller};
	bool may = may_enter(dir, &access);

	access_check_finish(&access);
	return may ? 0 : -ENOENT;
}

/* Of the fixed names that are seen, those that are there for this caller. */
static bool has_entry(const struct view *v, const struct entry *e)
{
	if (e->owner_only && !caller_is_owner(v->caller))
		return false;
	if (e->not_in_session && v->dir->session != NULL)
		return false;
	return !e->exposed_only || v->conn->spec->expose_token;
}

/* The fixed names of a connection are seen by those who may use it. */
static bool shows_entries(struct node *dir, const struct caller *caller)
{
	struct connection *conn = node_connection(dir);

	if (dir->session != NULL)
		return tree_may_enter(dir, caller) == 0;
	/* The inside of a connection that was taken away shows nothing. */
	if (conn == NULL)
		return !is_inside(dir);
	return access_allowed(&conn->spec->access, caller);
}

/* A file of a session is what it is by the session, not by the caller. */
static void stand_in(struct node *node, const struct node *dir)
{
	if (dir->session != NULL && node->session == NULL)
		node->session = conversation_ref(dir->session);
}

/* What a caller's statements produce is the caller's. */
static void belong(struct node *node, const struct view *v)
{
	stand_in(node, v->dir);
	node->uid = v->caller->uid;
	node->gid = v->caller->gid;
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
		if (rc == 0)
			belong(*out, v);
		return rc;
	}
	node = node_create(v->mount->nodes, e->ops, S_IFREG | e->mode);
	if (node == NULL)
		return -ENOMEM;
	if (v->conn != NULL)
		node->conn = connection_ref(v->conn);
	stand_in(node, v->dir);
	node->ino = ino_of(v->dir, e);
	node->mtime_ms = e->mtime != NULL ? e->mtime(v) : v->dir->mtime_ms;
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

int tree_scratch(struct node **out, const struct view *v, struct scratch *s)
{
	struct node *node;

	*out = node_get(v->mount->nodes, s->node_id);
	if (*out != NULL)
		return 0;
	node = node_create(v->mount->nodes, &scratch_ops, S_IFREG | s->mode);
	if (node == NULL)
		return -ENOMEM;
	node->conn = connection_ref(v->conn);
	/* A saved query belongs to its owner, in whatever session. */
	if (v->dir->dir != NODE_QUERIES)
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

static void name_result(char out[32], uint64_t n, enum format format)
{
	(void)snprintf(out, 32, "%" PRIu64 ".%s", n, format_name(format));
}

/* results/N.csv and the other formats */
static int lookup_result(struct node **out, const struct view *v,
			 const char *name)
{
	char canonical[32], *end;
	uint64_t n = strtoull(name, &end, 10);
	enum format format;
	int rc;

	if (n == 0 || *end != '.' || !format_by_name(end + 1, &format))
		return -ENOENT;
	name_result(canonical, n, format);
	if (strcmp(name, canonical) != 0)
		return -ENOENT;
	rc = follow_lookup(out, v, n, format);
	if (rc == 0)
		belong(*out, v);
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
	if (v->dir->dir == NODE_QUERIES)
		return queries_lookup(out, v, name);
	if (v->dir->dir == NODE_RUNS)
		return queries_lookup_run(out, v, name);
	if (!tree_has_query(v->dir) || v->conv == NULL)
		return -ENOENT;
	s = scratch_find(v->conv->scratch, name);
	return s != NULL ? tree_scratch(out, v, s) : -ENOENT;
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

/* The bytes of COPY are what they are. */
static void list_formats(struct listing *l, uint64_t n,
			 const struct result *result)
{
	for (int f = 0; f < FORMATS; f++) {
		char name[32];

		if (f != FORMAT_CSV && !result->has_rows)
			continue;
		name_result(name, n, (enum format)f);
		list(l, name, S_IFREG, UINT32_MAX);
	}
}

static void list_results(struct listing *l)
{
	const struct view *v = l->v;
	struct script *script = NULL;

	if (v->conv != NULL)
		script = conversation_pick(v->conv, v->caller, false);
	if (script == NULL)
		return;
	for (size_t i = 0; i < script->n_results; i++)
		list_formats(l, script->first_result + i,
			     script->results[i].result);
}

static void list_query(void *arg, const char *name, mode_t mode)
{
	list(arg, name, mode, UINT32_MAX);
}

/* There may be thousands of them. */
static void list_dirs(struct listing *l)
{
	struct access_check access = {.caller = l->v->caller};

	for (struct node *child = l->v->dir->children;
	     child != NULL && !l->full; child = child->sibling) {
		if (child->dir != NODE_RUNS && may_enter(child, &access))
			list(l, child->name, S_IFDIR, child->id);
	}
	access_check_finish(&access);
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
		if (has_entry(v, e) && !e->hidden)
			list(&l, e->name, S_IFREG,
			     e->make == NULL ? ino_of(dir, e) : UINT32_MAX);
	}
	list_dirs(&l);
	if (dir->dir == NODE_RESULTS)
		list_results(&l);
	if (dir->dir == NODE_QUERIES)
		queries_list(v, list_query, &l);
	if (tree_has_query(dir) && entries && v->conv != NULL) {
		for (struct scratch *s = scratch_first(v->conv->scratch);
		     s != NULL; s = s->next)
			list(&l, s->name, S_IFREG, UINT32_MAX);
	}
	return 0;
}
