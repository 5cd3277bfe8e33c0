/* SPDX-License-Identifier: MIT */
#include "fs/queries.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/cleanup.h"
#include "fs/config.h"
#include "fs/connection.h"
#include "fs/conversation.h"
#include "fs/file.h"
#include "fs/format.h"
#include "fs/mount.h"
#include "fs/node.h"
#include "fs/ns_hold.h"
#include "fs/scratch.h"
#include "fs/tree_times.h"

/* Of one maker; while the connection lasts. */
struct owned_queries {
	struct owned_queries *next;
	uid_t uid;
	uint64_t user_ns;
	uint64_t pid_ns;
	struct ns_hold hold;       /* of these two */
	struct scratch_dir *files; /* counted */
};

/* One that a caller sees. */
struct query {
	const struct spec_query *of_spec; /* or null, and then: */
	struct scratch *file;
};

static const char SUFFIX[] = ".sql";
enum {
	SUFFIX_LEN = sizeof(SUFFIX) - 1,
	/* So that NAME.jsonl is no longer than a name may be. */
	STEM_MAX = NAME_MAX - (sizeof(".jsonl") - 1),
};

/* ---- names ---- */

/* A name that may stand before a suffix: STEM_MAX + 1 bytes. False: none. */
static bool copy_stem(char *out, const char *name, size_t len)
{
	if (len == 0 || len > STEM_MAX || name[0] == '.')
		return false;
	memcpy(out, name, len);
	out[len] = '\0';
	return true;
}

/* x of x.sql. False: it is another kind of name. */
static bool stem_of_text(char *out, const char *name)
{
	size_t len = strlen(name);

	return len > SUFFIX_LEN &&
	       strcmp(name + len - SUFFIX_LEN, SUFFIX) == 0 &&
	       copy_stem(out, name, len - SUFFIX_LEN);
}

static bool is_derived(const char *name, enum format *format)
{
	const char *dot = strrchr(name, '.');

	return dot != NULL && format_by_name(dot + 1, format);
}

/* x of x.csv. */
static bool stem_of_result(char *out, const char *name, enum format *format)
{
	return is_derived(name, format) &&
	       copy_stem(out, name, (size_t)(strrchr(name, '.') - name));
}

/* ---- whose they are ---- */

static struct owned_queries *find_owned(const struct connection *c,
					const struct caller *caller)
{
	struct owned_queries *own = c->queries;

	while (own != NULL &&
	       (own->uid != caller->uid || own->user_ns != caller->user_ns ||
		own->pid_ns != caller->pid_ns))
		own = own->next;
	return own;
}

struct scratch_dir *queries_own(const struct connection *c,
				const struct caller *caller)
{
	const struct owned_queries *own = find_owned(c, caller);

	return own != NULL ? own->files : NULL;
}

static void drop(struct owned_queries **p)
{
	struct owned_queries *own = *p;

	*p = own->next;
	scratch_dir_end(own->files);
	ns_hold_finish(&own->hold);
	free(own);
}

/* Nobody can ask any more for what containers that have ended had. */
static unsigned drop_orphans(struct connection *c)
{
	struct owned_queries **p = &c->queries;
	unsigned n_left = 0;

	while (*p != NULL) {
		if (ns_hold_is_over(&(*p)->hold)) {
			drop(p);
			continue;
		}
		n_left++;
		p = &(*p)->next;
	}
	return n_left;
}

static int create_owned(struct owned_queries **out, const struct caller *caller)
{
	struct owned_queries *own = calloc(1, sizeof(*own));
	int rc;

	if (own == NULL)
		return -ENOMEM;
	rc = ns_hold_init(&own->hold, caller);
	if (rc == 0) {
		own->files = scratch_dir_create(QUERIES_MAX_FILES,
						QUERIES_MAX_BYTES);
		rc = own->files != NULL ? 0 : -ENOMEM;
	}
	if (rc < 0) {
		ns_hold_finish(&own->hold);
		free(own);
		return rc;
	}
	own->uid = caller->uid;
	own->user_ns = caller->user_ns;
	own->pid_ns = caller->pid_ns;
	*out = own;
	return 0;
}

int queries_make_own(struct scratch_dir **out, struct connection *c,
		     const struct caller *caller)
{
	struct owned_queries *own;
	int rc;

	*out = queries_own(c, caller);
	if (*out != NULL)
		return 0;
	if (drop_orphans(c) >= QUERIES_MAX_OWNERS)
		return -EDQUOT;
	rc = create_owned(&own, caller);
	if (rc < 0)
		return rc;
	own->next = c->queries;
	c->queries = own;
	*out = own->files;
	return 0;
}

void queries_end(struct connection *c)
{
	while (c->queries != NULL)
		drop(&c->queries);
}

static bool find(struct query *out, const struct connection *c,
		 const struct caller *caller, const char *stem)
{
	char name[NAME_MAX + 1];

	*out = (struct query){.of_spec = spec_find_query(c->spec, stem)};
	if (out->of_spec != NULL)
		return true;
	(void)snprintf(name, sizeof(name), "%s%s", stem, SUFFIX);
	out->file = scratch_find(queries_own(c, caller), name);
	return out->file != NULL;
}

int queries_text(const char **text, size_t *len, const struct connection *c,
		 const struct caller *caller, const char *name)
{
	struct query q;

	if (!find(&q, c, caller, name))
		return -ENOENT;
	*text = q.of_spec != NULL ? q.of_spec->text : q.file->content.data;
	*len = q.of_spec != NULL ? strlen(*text) : q.file->content.len;
	return 0;
}

/* ---- what may be made ---- */

/* Which of the two lets it be found in queries/. */
static bool is_of_spec(const struct view *v, const char *name)
{
	char stem[STEM_MAX + 1];

	return stem_of_text(stem, name) &&
	       spec_find_query(v->conn->spec, stem) != NULL;
}

int queries_check_new(const struct view *v, const char *name)
{
	enum format format;
	size_t len = strlen(name);

	if (is_derived(name, &format) ||
	    node_child(v->mount->nodes, v->dir, name) != NULL)
		return -EPERM;
	for (const char *p = name; *p != '\0'; p++) {
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			return -EINVAL;
	}
	if (len > STEM_MAX + SUFFIX_LEN &&
	    strcmp(name + len - SUFFIX_LEN, SUFFIX) == 0)
		return -ENAMETOOLONG;
	return is_of_spec(v, name) ? -EACCES : 0;
}

int queries_check_old(const struct view *v, const char *name)
{
	char stem[STEM_MAX + 1];
	enum format format;
	struct query q;

	if (node_child(v->mount->nodes, v->dir, name) != NULL ||
	    (stem_of_result(stem, name, &format) &&
	     find(&q, v->conn, v->caller, stem)))
		return -EPERM;
	return is_of_spec(v, name) ? -EACCES : 0;
}

/* ---- nodes ---- */

/*
 * The same at each look, as long as the name is: cp compares what it has
 * found with what it has opened. FNV-1a, above all ids and apart from those
 * of the fixed names.
 */
static uint64_t lasting_ino(const struct node *dir, const char *name)
{
	const uint64_t own = NODE_LASTING_INO >> 1;
	uint64_t hash = 14695981039346656037u ^ dir->id;

	for (; *name != '\0'; name++)
		hash = (hash ^ (unsigned char)*name) * 1099511628211u;
	return own | hash % own;
}

/* A node of v's caller with a text, which goes over. Null text: no memory. */
static int make_node(struct node **out, const struct view *v, const char *name,
		     const struct file_ops *ops, mode_t mode, char *text)
{
	struct node *node;

	*out = NULL;
	if (text == NULL)
		return -ENOMEM;
	node = node_create(v->mount->nodes, ops, mode);
	if (node == NULL) {
		free(text);
		return -ENOMEM;
	}
	node->ino = lasting_ino(v->dir, name);
	node->conn = connection_ref(v->conn);
	node->text = text;
	node->reader_uid = v->caller->uid;
	node->reader_pid_ns = v->caller->pid_ns;
	node->reader_user_ns = v->caller->user_ns;
	*out = node;
	return 0;
}

/* The query is shown with it: the same owner, the same time. */
static void show(struct node *node, const struct view *v, const struct query *q)
{
	if (q->of_spec != NULL) {
		node->mtime_ms = time_of_specs(v);
		return;
	}
	node->uid = v->caller->uid;
	node->gid = v->caller->gid;
	node->mtime_ms = q->file->mtime_ms;
}

/* x.sql of the spec, with a newline at its end. */
static int make_text(struct node **out, const struct view *v, const char *name,
		     const struct spec_query *query)
{
	size_t len = strlen(query->text);
	bool ends = query->text[len - 1] == '\n';
	char *text = NULL;
	int n = asprintf(&text, "%s%s", query->text, ends ? "" : "\n");
	int rc = make_node(out, v, name, &text_ops, S_IFREG | 0444,
			   n < 0 ? NULL : text);

	if (rc < 0)
		return rc;
	(*out)->size = (uint64_t)n;
	(*out)->mtime_ms = time_of_specs(v);
	return 0;
}

/* They lead elsewhere: nothing can be done with them but READLINK. */
static const struct file_ops link_ops = {0};

static int make_link(struct node **out, const struct view *v, const char *name)
{
	char *target = NULL;
	int n = asprintf(&target, ".run/%s", name);
	int rc = make_node(out, v, name, &link_ops, S_IFLNK | 0777,
			   n < 0 ? NULL : target);

	if (rc == 0)
		(*out)->size = (uint64_t)n;
	return rc;
}

int queries_lookup(struct node **out, const struct view *v, const char *name)
{
	char stem[STEM_MAX + 1];
	struct scratch *file;
	enum format format;
	struct query q;
	int rc;

	*out = NULL;
	if (v->conn == NULL)
		return -ENOENT;
	if (stem_of_result(stem, name, &format)) {
		if (!find(&q, v->conn, v->caller, stem))
			return -ENOENT;
		rc = make_link(out, v, name);
		if (rc == 0)
			show(*out, v, &q);
		return rc;
	}
	if (stem_of_text(stem, name) &&
	    spec_find_query(v->conn->spec, stem) != NULL)
		return make_text(out, v, name,
				 spec_find_query(v->conn->spec, stem));
	file = scratch_find(queries_own(v->conn, v->caller), name);
	return file != NULL ? tree_scratch(out, v, file) : -ENOENT;
}

int queries_lookup_run(struct node **out, const struct view *v,
		       const char *name)
{
	char stem[STEM_MAX + 1];
	enum format format;
	struct query q;
	int rc;

	*out = NULL;
	if (v->conn == NULL || !stem_of_result(stem, name, &format) ||
	    !find(&q, v->conn, v->caller, stem))
		return -ENOENT;
	if (caller_trusts_size(v->caller))
		return -EOPNOTSUPP;
	rc = make_node(out, v, name, &run_ops, S_IFREG | 0444, strdup(stem));
	if (rc < 0)
		return rc;
	(*out)->format = format;
	if (v->conv != NULL)
		(*out)->conv = conversation_ref(v->conv);
	show(*out, v, &q);
	return 0;
}

/* ---- READDIR ---- */

static void list_query(const char *stem,
		       void (*add)(void *arg, const char *name, mode_t mode),
		       void *arg)
{
	char name[NAME_MAX + 1];

	for (int f = 0; f < FORMATS; f++) {
		(void)snprintf(name, sizeof(name), "%s.%s", stem,
			       format_name((enum format)f));
		add(arg, name, S_IFLNK);
	}
}

void queries_list(const struct view *v,
		  void (*add)(void *arg, const char *name, mode_t mode),
		  void *arg)
{
	const struct spec *spec = v->conn != NULL ? v->conn->spec : NULL;
	char stem[STEM_MAX + 1];
	char name[NAME_MAX + 1];

	/* A reload may just have taken the connection away. */
	if (spec == NULL || tree_may_enter(v->dir, v->caller) < 0)
		return;
	for (size_t i = 0; i < spec->n_queries; i++) {
		(void)snprintf(name, sizeof(name), "%s%s",
			       spec->queries[i].name, SUFFIX);
		add(arg, name, S_IFREG);
		list_query(spec->queries[i].name, add, arg);
	}
	for (struct scratch *s = scratch_first(queries_own(v->conn, v->caller));
	     s != NULL; s = s->next) {
		if (is_of_spec(v, s->name))
			continue;
		add(arg, s->name, S_IFREG);
		if (stem_of_text(stem, s->name))
			list_query(stem, add, arg);
	}
}
