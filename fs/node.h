/* SPDX-License-Identifier: MIT */
/*
 * Inodes: what the kernel holds a number of. Thread of the loop.
 *
 * Directories are made once and stay. Of the other files a LOOKUP makes a new
 * node with the content as it is for that caller at that moment, so that two
 * callers never share an inode's size, page cache or lock; only a finished
 * result has one inode for as long as the kernel remembers it. Numbers are
 * never used twice.
 */
#ifndef CONNFS_FS_NODE_H
#define CONNFS_FS_NODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "fs/format.h"

struct caller;
struct connection;
struct conversation;
struct exchange;
struct file_ops;
struct mount;
struct result;
struct scratch;
struct stat;

enum node_dir {
	NODE_FILE,
	NODE_ROOT,
	NODE_DOT,        /* .connfs */
	NODE_PATH,       /* a component of a conn_id that is no connection */
	NODE_CONNECTION, /* may have further connections below it */
	NODE_RESULTS,
	NODE_CREDS,
	NODE_SESSIONS, /* where callers make sessions */
	NODE_SESSION,  /* one of them */
	NODE_QUERIES,  /* saved queries, and links to their results */
	NODE_RUNS,     /* .run in it: what the links lead to; never listed */
};

/*
 * Names that stand in every directory of a kind show a number that is made of
 * their place and is above all ids: cp, tail and vim take a file whose number
 * changes for another one.
 */
#define NODE_LASTING_INO (UINT64_C(1) << 62)
enum { NODE_PLACE_SHIFT = 48 };

struct node {
	uint64_t id;
	uint64_t ino;     /* what stat shows; see NODE_LASTING_INO */
	uint64_t lookups; /* references the kernel holds */
	struct node *hash_next;
	enum node_dir dir;
	mode_t mode; /* with its type */
	uid_t uid;
	gid_t gid;
	uint64_t size;
	int64_t mtime_ms;
	bool pinned; /* a directory of the tree */

	/* Directories: what stands in them besides the fixed names. */
	char *name;
	struct node *parent;
	struct node *children;
	struct node *sibling;
	struct node *name_next; /* the table's, by name */

	/* All of a directory in sessions/: whose it is. Counted. */
	struct conversation *session;

	/* Files: see file.h. All counted. */
	const struct file_ops *ops;
	struct connection *conn;
	struct conversation *conv;
	struct result *result;
	enum format format;       /* of a result */
	uint64_t number;          /* of one that is to come, see follow.h */
	struct node *result_next; /* of the same result */
	struct scratch *scratch;
	/* The open file that it belongs to; not counted. */
	struct exchange *exchange;
	struct run *run;
	uint64_t script_id; /* whose results it shows; 0: nobody's */
	bool last;          /* result.csv: good while it is the last one */
	bool dropped;       /* its result has been given up */
	char *text;         /* size bytes; of a link: where it leads */
	/* Whom the text was made for; conv too, if it tells of that. */
	uid_t reader_uid;
	uint64_t reader_pid_ns;
	uint64_t reader_user_ns;
};

struct node_table;

enum { NODE_ROOT_ID = 1 };

struct node_table *node_table_create(struct mount *m);
void node_table_destroy(struct node_table *t); /* null is allowed */

/* Null when the kernel should not know it. */
struct node *node_get(struct node_table *t, uint64_t id);
struct node *node_root(struct node_table *t);

/* A node without references; node_lookup() gives it the first. */
struct node *node_create(struct node_table *t, const struct file_ops *ops,
			 mode_t mode);

/* The kernel is told of it. */
void node_lookup(struct node *node);

/* The kernel forgets n references; the node goes with the last. */
void node_forget(struct node_table *t, uint64_t id, uint64_t n);

/* Frees a node that the kernel was not told of. */
void node_discard(struct node_table *t, struct node *node);

/* The directory of conn_id, with those above it, as children of the root. */
int node_add_connection(struct node_table *t, struct connection *c);
void node_remove_connection(struct node_table *t, struct connection *c);

/*
 * The directory of a session, in sessions/ of its connection; it belongs to the
 * session's maker. Removed, its inode stays for whoever is inside.
 */
int node_add_session(struct node_table *t, struct conversation *conv,
		     const char *name);
void node_remove_session(struct node_table *t, struct conversation *conv);

/* The connection a directory is a part of, or null. */
struct connection *node_connection(const struct node *dir);

/* The directory called name, or null. */
struct node *node_child(struct node_table *t, struct node *dir,
			const char *name);

/* The file shows this result set, which it counts. */
void node_set_result(struct node *node, struct result *result);

/*
 * The result set is given up: opening a file that shows it answers ESTALE. The
 * kernel may remember such an inode for very long; it must hold nothing.
 */
void node_drop_result(struct result *result);

void node_stat(const struct node *node, struct stat *st);
void node_stat_time(struct stat *st, int64_t mtime_ms);

#endif
