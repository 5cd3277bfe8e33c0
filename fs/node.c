/* SPDX-License-Identifier: MIT */
#include "fs/node.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "fs/config.h"
#include "fs/connection.h"
#include "fs/conversation.h"
#include "fs/mount.h"
#include "fs/pathname.h"
#include "fs/result.h"
#include "fs/scratch.h"

enum {
	BUCKETS = 4096,
	DIR_MODE = S_IFDIR | 0555,
	BLOCK_SIZE = 131072, /* what cat and cp read at once */
};

struct node_table {
	struct mount *mount;
	uint64_t last_id;
	struct node *root;
	struct node *buckets[BUCKETS];
	struct node *names[BUCKETS]; /* directories, by parent and name */
};

/* FNV-1a over the parent's number and the name. */
static size_t name_bucket(const struct node *parent, const char *name)
{
	uint64_t hash = 14695981039346656037u ^ parent->id;

	for (; *name != '\0'; name++)
		hash = (hash ^ (unsigned char)*name) * 1099511628211u;
	return hash % BUCKETS;
}

/* now: one reading of the clock for all that is added at once. */
static struct node *add_dir(struct node_table *t, struct node *parent,
			    enum node_dir dir, const char *name, int64_t now)
{
	struct node *node = node_create(t, NULL, DIR_MODE);

	if (node == NULL)
		return NULL;
	node->dir = dir;
	node->pinned = true;
	node->parent = parent;
	node->name = strdup(name);
	if (node->name == NULL) {
		node_discard(t, node);
		return NULL;
	}
	node->mtime_ms = now;
	if (parent != NULL) {
		size_t bucket = name_bucket(parent, name);

		parent->mtime_ms = now;
		node->sibling = parent->children;
		parent->children = node;
		node->name_next = t->names[bucket];
		t->names[bucket] = node;
	}
	return node;
}

struct node_table *node_table_create(struct mount *m)
{
	struct node_table *t = calloc(1, sizeof(*t));
	int64_t now = clock_wall_ms();

	if (t == NULL)
		return NULL;
	t->mount = m;
	t->root = add_dir(t, NULL, NODE_ROOT, "", now);
	if (t->root == NULL ||
	    add_dir(t, t->root, NODE_DOT, ".connfs", now) == NULL) {
		node_table_destroy(t);
		return NULL;
	}
	return t;
}

static void unset_result(struct node *node)
{
	struct result *result = take_ptr(node->result);

	for (struct node **p = &result->nodes; *p != NULL;
	     p = &(*p)->result_next) {
		if (*p == node) {
			*p = node->result_next;
			break;
		}
	}
	result_unref(result);
}

static void node_free(struct node *node)
{
	if (node->result != NULL)
		unset_result(node);
	scratch_unref(node->scratch);
	conversation_unref(node->conv);
	conversation_unref(node->session);
	connection_unref(node->conn);
	free(node->text);
	free(node->name);
	free(node);
}

void node_table_destroy(struct node_table *t)
{
	if (t == NULL)
		return;
	for (size_t i = 0; i < BUCKETS; i++) {
		while (t->buckets[i] != NULL) {
			struct node *node = t->buckets[i];

			t->buckets[i] = node->hash_next;
			node_free(node);
		}
	}
	free(t);
}

struct node *node_get(struct node_table *t, uint64_t id)
{
	struct node *node = t->buckets[id % BUCKETS];

	while (node != NULL && node->id != id)
		node = node->hash_next;
	return node;
}

struct node *node_root(struct node_table *t)
{
	return t->root;
}

struct node *node_create(struct node_table *t, const struct file_ops *ops,
			 mode_t mode)
{
	struct node *node = calloc(1, sizeof(*node));

	if (node == NULL)
		return NULL;
	node->id = ++t->last_id; /* the root is the first */
	node->ino = node->id;
	node->ops = ops;
	node->mode = mode;
	node->uid = geteuid();
	node->gid = getegid();
	node->mtime_ms = t->mount->started_wall;
	node->hash_next = t->buckets[node->id % BUCKETS];
	t->buckets[node->id % BUCKETS] = node;
	return node;
}

void node_lookup(struct node *node)
{
	node->lookups++;
}

void node_discard(struct node_table *t, struct node *node)
{
	for (struct node **p = &t->buckets[node->id % BUCKETS]; *p != NULL;
	     p = &(*p)->hash_next) {
		if (*p == node) {
			*p = node->hash_next;
			break;
		}
	}
	node_free(node);
}

void node_forget(struct node_table *t, uint64_t id, uint64_t n)
{
	struct node *node = node_get(t, id);

	if (node == NULL)
		return;
	node->lookups -= n < node->lookups ? n : node->lookups;
	if (node->lookups == 0 && !node->pinned)
		node_discard(t, node);
}

struct node *node_child(struct node_table *t, struct node *dir,
			const char *name)
{
	struct node *child = t->names[name_bucket(dir, name)];

	while (child != NULL &&
	       (child->parent != dir || strcmp(child->name, name) != 0))
		child = child->name_next;
	return child;
}

/* A path component's directory, made when it is not there. */
static int path_dir(struct node_table *t, struct node **dir,
		    const char *component, size_t len, int64_t now)
{
	char name[PATHNAME_MAX + 1];
	struct node *node;
	int rc = pathname_encode(name, component, len);

	if (rc < 0)
		return rc;
	node = node_child(t, *dir, name);
	if (node == NULL)
		node = add_dir(t, *dir, NODE_PATH, name, now);
	*dir = node;
	return node != NULL ? 0 : -ENOMEM;
}

int node_add_connection(struct node_table *t, struct connection *c)
{
	const char *rest = c->spec->conn_id, *component;
	struct node *node = t->root;
	int64_t now = clock_wall_ms();
	size_t len;
	int rc;

	while (pathname_next(&rest, &component, &len)) {
		rc = path_dir(t, &node, component, len, now);
		if (rc < 0)
			return rc;
	}
	if (node_child(t, node, "results") == NULL) {
		struct node *sessions =
			add_dir(t, node, NODE_SESSIONS, "sessions", now);
		struct node *queries =
			add_dir(t, node, NODE_QUERIES, "queries", now);

		if (sessions == NULL || queries == NULL ||
		    add_dir(t, queries, NODE_RUNS, ".run", now) == NULL ||
		    add_dir(t, node, NODE_RESULTS, "results", now) == NULL ||
		    add_dir(t, node, NODE_CREDS, "creds", now) == NULL)
			return -ENOMEM;
		sessions->mode = S_IFDIR | 01777;
		queries->mode = S_IFDIR | 01777;
	}
	/* Above other connections it was a directory before. */
	node->mtime_ms = now;
	node->parent->mtime_ms = now;
	node->dir = NODE_CONNECTION;
	connection_unref(node->conn);
	node->conn = connection_ref(c);
	c->dir = node;
	return 0;
}

void node_remove_connection(struct node_table *t, struct connection *c)
{
	struct node *node = c->dir;

	/* Its inode stays for whoever is inside; it shows nothing any more. */
	(void)t;
	c->dir = NULL;
	connection_unref(take_ptr(node->conn));
	node->dir = NODE_PATH;
	node->mtime_ms = clock_wall_ms();
	node->parent->mtime_ms = node->mtime_ms;
}

static void own(struct node *dir, struct conversation *conv)
{
	dir->session = conversation_ref(conv);
	dir->mode = S_IFDIR | 0700;
	dir->uid = conv->key.uid;
	dir->gid = conv->key.gid;
}

int node_add_session(struct node_table *t, struct conversation *conv,
		     const char *name)
{
	struct node *parent = node_child(t, conv->conn->dir, "sessions");
	struct node *dir, *results;
	int64_t now = clock_wall_ms();

	assert(parent != NULL);
	dir = add_dir(t, parent, NODE_SESSION, name, now);
	if (dir == NULL)
		return -ENOMEM;
	own(dir, conv);
	conv->dir = dir;
	results = add_dir(t, dir, NODE_RESULTS, "results", now);
	if (results == NULL) {
		node_remove_session(t, conv);
		return -ENOMEM;
	}
	own(results, conv);
	return 0;
}

/* Nobody finds it any more; it goes when the kernel has forgotten it. */
static void remove_dir(struct node_table *t, struct node *dir)
{
	struct node *parent = dir->parent;
	size_t bucket;

	assert(parent != NULL);
	bucket = name_bucket(parent, dir->name);
	while (dir->children != NULL)
		remove_dir(t, dir->children);
	for (struct node **p = &parent->children; *p != NULL;
	     p = &(*p)->sibling) {
		if (*p == dir) {
			*p = dir->sibling;
			break;
		}
	}
	for (struct node **p = &t->names[bucket]; *p != NULL;
	     p = &(*p)->name_next) {
		if (*p == dir) {
			*p = dir->name_next;
			break;
		}
	}
	parent->mtime_ms = clock_wall_ms();
	dir->parent = NULL;
	dir->pinned = false;
	if (dir->lookups == 0)
		node_discard(t, dir);
}

void node_remove_session(struct node_table *t, struct conversation *conv)
{
	struct node *dir = take_ptr(conv->dir);

	if (dir != NULL)
		remove_dir(t, dir);
}

struct connection *node_connection(const struct node *dir)
{
	if (dir->session != NULL)
		return dir->session->conn;
	if (dir->dir == NODE_RUNS)
		dir = dir->parent;
	if (dir->dir == NODE_RESULTS || dir->dir == NODE_CREDS ||
	    dir->dir == NODE_SESSIONS || dir->dir == NODE_QUERIES)
		dir = dir->parent;
	return dir->dir == NODE_CONNECTION ? dir->conn : NULL;
}

void node_set_result(struct node *node, struct result *result)
{
	node->result = result_ref(result);
	node->result_next = result->nodes;
	result->nodes = node;
}

void node_drop_result(struct result *result)
{
	(void)result_ref(result);
	while (result->nodes != NULL) {
		result->nodes->dropped = true;
		unset_result(result->nodes);
	}
	result_unref(result);
}

void node_stat_time(struct stat *st, int64_t mtime_ms)
{
	st->st_mtim.tv_sec = mtime_ms / 1000;
	st->st_mtim.tv_nsec = (mtime_ms % 1000) * 1000000;
	st->st_atim = st->st_mtim;
	st->st_ctim = st->st_mtim;
}

void node_stat(const struct node *node, struct stat *st)
{
	memset(st, 0, sizeof(*st));
	st->st_ino = node->ino;
	st->st_mode = node->mode;
	/*
	 * Of a directory 1 says that its directories are not counted; 2 would
	 * say that it has none, and some programs then do not look.
	 */
	st->st_nlink = 1;
	st->st_uid = node->uid;
	st->st_gid = node->gid;
	st->st_size = (off_t)node->size;
	st->st_blocks = (blkcnt_t)((node->size + 511) / 512);
	st->st_blksize = BLOCK_SIZE;
	node_stat_time(st, node->mtime_ms);
}
