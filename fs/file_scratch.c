/* SPDX-License-Identifier: MIT */
#include "fs/editor.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "fs/conversation.h"
#include "fs/file.h"
#include "fs/mount.h"
#include "fs/node.h"
#include "fs/queries.h"
#include "fs/scratch.h"
#include "fs/script.h"

struct scratch_handle {
	struct handle handle;
	struct scratch *scratch;   /* counted, and open */
	struct conversation *conv; /* counted; null: of a saved query */
	struct node *node; /* the kernel keeps it while the file is open */
};

static struct scratch_handle *create_handle(struct mount *m, struct node *node,
					    const struct caller *caller)
{
	struct scratch_handle *h = calloc(1, sizeof(*h));

	if (h == NULL)
		return NULL;
	handle_init(&h->handle, &scratch_ops, m, caller->uid);
	h->scratch = scratch_open(node->scratch);
	if (node->conv != NULL) {
		h->conv = conversation_ref(node->conv);
		h->conv->n_handles++;
	}
	h->node = node;
	return h;
}

/* The directory that such a file stands in for this caller; null: in none. */
static const struct scratch_dir *dir_for(const struct node *node,
					 const struct caller *caller)
{
	struct conversation *conv;

	if (node->conv == NULL)
		return queries_own(node->conn, caller);
	if (conversation_at(&conv, node, caller, false) < 0 ||
	    conv != node->conv)
		return NULL;
	return conv->scratch;
}

static int open_scratch(struct request *rq, struct mount *m, struct node *node,
			const struct caller *caller, int flags)
{
	struct scratch_handle *h;
	struct open_reply reply = {.direct_io = true};

	if (node->scratch->removed ||
	    dir_for(node, caller) != node->scratch->dir)
		return -ESTALE;
	h = create_handle(m, node, caller);
	if (h == NULL)
		return -ENOMEM;
	if ((flags & O_TRUNC) != 0)
		(void)scratch_ops.truncate(node, &h->handle, 0);
	reply.fh = (uint64_t)(uintptr_t)h;
	if (!request_opened(rq, &reply))
		scratch_ops.release(&h->handle);
	return 0;
}

static int scratch_read(struct request *rq, struct handle *handle, uint64_t off)
{
	const struct buf *b =
		&((struct scratch_handle *)handle)->scratch->content;
	size_t left = off < b->len ? b->len - (size_t)off : 0;

	request_data(rq, left > 0 ? b->data + off : "",
		     left < rq->size ? left : rq->size);
	return 0;
}

/* What it has become shows in the inode. */
static void show(struct node *node)
{
	node->size = node->scratch->content.len;
	node->mtime_ms = node->scratch->mtime_ms;
}

static int write_scratch(struct request *rq, struct handle *handle,
			 const char *data, size_t len, uint64_t off)
{
	struct scratch_handle *h = (struct scratch_handle *)handle;
	int rc;

	if (rq->uid != h->handle.uid)
		return -EACCES;
	rc = scratch_write(h->scratch, data, len, off);
	if (rc < 0)
		return rc;
	show(h->node);
	request_wrote(rq);
	return 0;
}

static int truncate_scratch(struct node *node, struct handle *h, uint64_t size)
{
	int rc = scratch_truncate(node->scratch, size);

	(void)h;
	show(node);
	return rc;
}

static void scratch_release(struct handle *handle)
{
	struct scratch_handle *h = (struct scratch_handle *)handle;

	if (h->conv != NULL)
		h->conv->n_handles--;
	scratch_close(h->scratch);
	conversation_unref(h->conv);
	handle_finish(handle);
	free(h);
}

const struct file_ops scratch_ops = {
	.open = open_scratch,
	.read = scratch_read,
	.write = write_scratch,
	.truncate = truncate_scratch,
	.release = scratch_release,
};

/* query.sql and the other fixed names are nobody's to make or to remove. */
static bool is_fixed(const struct view *v, const char *name)
{
	if (node_child(v->mount->nodes, v->dir, name) != NULL)
		return true;
	for (const struct entry *e = connection_entries; e->name != NULL; e++) {
		if (strcmp(e->name, name) == 0)
			return true;
	}
	return false;
}

static bool is_queries(const struct view *v)
{
	return v->dir->dir == NODE_QUERIES;
}

/* Files stand beside query.sql and in queries/, and nowhere else. */
static int check_place(const struct view *v, const char *name)
{
	int rc = tree_may_enter(v->dir, v->caller);

	if (rc == 0 &&
	    ((!tree_has_query(v->dir) && !is_queries(v)) || v->conn == NULL))
		rc = -EACCES;
	if (rc == 0 && strlen(name) > NAME_MAX)
		rc = -ENAMETOOLONG;
	return rc;
}

/* May the caller make a file of that name? */
static int check_new(const struct view *v, const char *name)
{
	if (is_queries(v))
		return queries_check_new(v, name);
	return is_fixed(v, name) ? -EACCES : 0;
}

/* May it remove or rename what is called so? */
static int check_old(const struct view *v, const char *name)
{
	if (is_queries(v))
		return queries_check_old(v, name);
	return is_fixed(v, name) ? -EACCES : 0;
}

static struct scratch *find_own(const struct view *v, const char *name)
{
	if (is_queries(v))
		return scratch_find(queries_own(v->conn, v->caller), name);
	return v->conv != NULL ? scratch_find(v->conv->scratch, name) : NULL;
}

/* Where the caller's files go, made when there is none yet. */
static int own_dir(struct scratch_dir **out, struct view *v)
{
	int rc;

	if (is_queries(v))
		return queries_make_own(out, v->conn, v->caller);
	rc = conversation_at(&v->conv, v->dir, v->caller, true);
	if (rc < 0)
		return rc;
	if (v->conv->scratch == NULL)
		v->conv->scratch =
			scratch_dir_create(SCRATCH_MAX_FILES, UINT64_MAX);
	*out = v->conv->scratch;
	return *out != NULL ? 0 : -ENOMEM;
}

int editor_create(struct node **out, struct handle **handle, struct view *v,
		  const char *name, mode_t mode)
{
	struct scratch_dir *dir = NULL;
	struct scratch_handle *h;
	struct scratch *s = NULL;
	int rc = check_place(v, name);

	if (rc == 0)
		rc = check_new(v, name);
	if (rc == 0)
		rc = own_dir(&dir, v);
	if (rc < 0)
		return rc;
	/*
	 * Never for others; and a mode that is not query.sql's makes vim write
	 * its backup as a copy instead of renaming.
	 */
	rc = scratch_create(&s, dir, name, is_queries(v) ? 0600 : mode & 0700);
	if (rc == 0)
		rc = tree_lookup(out, v, name);
	if (rc < 0)
		return rc;
	h = create_handle(v->mount, *out, v->caller);
	if (h == NULL)
		return -ENOMEM;
	*handle = &h->handle;
	return 0;
}

int editor_unlink(const struct view *v, const char *name)
{
	struct scratch *s;
	int rc = check_place(v, name);

	if (rc == 0)
		rc = check_old(v, name);
	if (rc < 0)
		return rc;
	s = find_own(v, name);
	if (s == NULL)
		return -ENOENT;
	scratch_remove(s);
	return 0;
}

static void on_env(struct request *rq)
{
	struct script *script = rq->owner;

	conversation_name(script->conv, &script->writer);
	script_settle(script, rq);
	script_unref(script);
}

/* The content runs as a script of its own; the RENAME tells how it went. */
static int run_scratch(struct request *rq, const struct view *v,
		       struct scratch *s)
{
	struct script *script = script_create(v->conv, v->caller);
	int rc;

	if (script == NULL)
		return -ENOMEM;
	rc = script_add(script, s->content.data, s->content.len, true);
	scratch_remove(s);
	if (rc == 0) {
		rq->owner = script;
		rq->then = on_env;
		rc = conversation_learn_env(v->conv, v->caller, rq);
	}
	if (rc == 0)
		return 0; /* on_env() goes on */
	if (rc > 0) {
		conversation_name(v->conv, v->caller);
		rc = script_settle(script, rq);
	}
	script_unref(script);
	return rc;
}

int editor_rename(struct request *rq, const struct view *v, const char *name,
		  const char *newname)
{
	struct scratch *s;
	int rc = check_place(v, newname);

	if (rc == 0)
		rc = check_old(v, name);
	if (rc < 0)
		return rc;
	s = find_own(v, name);
	if (s == NULL)
		return -ENOENT;
	if (!is_queries(v) && strcmp(newname, "query.sql") == 0)
		return run_scratch(rq, v, s);
	rc = check_new(v, newname);
	if (rc == 0)
		rc = scratch_rename(s, newname);
	if (rc == 0)
		request_fail(rq, 0);
	return rc;
}
