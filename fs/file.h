/* SPDX-License-Identifier: MIT */
/*
 * What one kind of file does: the seam between ops.c, which knows FUSE and no
 * file, and the file_*.c, which know themselves and no FUSE.
 *
 * An operation returns a negative errno, or 0 when it has answered rq or keeps
 * a parked copy of it. A null operation is EACCES, but for flush, fsync and
 * release, which then have nothing to do. Thread of the loop.
 */
#ifndef CONNFS_FS_FILE_H
#define CONNFS_FS_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/buf.h"
#include "fs/caller.h"
#include "fs/node.h"
#include "fs/request.h"

struct handle;

struct file_ops {
	int (*open)(struct request *rq, struct mount *m, struct node *node,
		    const struct caller *caller, int flags);
	int (*read)(struct request *rq, struct handle *h, uint64_t off);
	int (*write)(struct request *rq, struct handle *h, const char *data,
		     size_t len, uint64_t off);
	int (*flush)(struct request *rq, struct handle *h);
	int (*fsync)(struct request *rq, struct handle *h);
	/* h may be null: by path. */
	int (*truncate)(struct node *node, struct handle *h, uint64_t size);
	/* The events that are there. ph, if not null, becomes h's. */
	unsigned (*poll)(struct handle *h, struct poll_handle *ph);
	void (*release)(struct handle *h);
	/* The content of user.connfs.error; null, or -ENODATA: there is none. */
	int (*error)(struct node *node, uid_t uid, struct buf *out);
};

/* First member of every open file's own struct. */
struct handle {
	const struct file_ops *ops;
	struct mount *mount;
	uid_t uid; /* who opened it */
	struct handle *all_next, *all_prev;
};

void handle_init(struct handle *h, const struct file_ops *ops, struct mount *m,
		 uid_t uid);
void handle_finish(struct handle *h);

/* Those the kernel will not release any more: the end of the daemon. */
void handle_release_all(struct mount *m);

/* What a LOOKUP knows when it makes a node. */
struct view {
	struct mount *mount;
	struct node *dir;
	const struct caller *caller;
	struct connection *conn;   /* null outside connections */
	struct conversation *conv; /* null: the caller has none; see there */
};

/* A name that stands in every directory of its kind. */
struct entry {
	const char *name;
	mode_t mode; /* permission bits */
	bool owner_only;
	bool exposed_only; /* of a connection with expose_token */
	bool hidden;       /* found by its name, not listed */
	bool not_in_session;
	enum format format; /* of a result */
	const struct file_ops *ops;
	/* The content as this caller sees it now; null: an empty file. */
	void (*text)(struct buf *out, const struct view *v);
	/* Instead: how long the content would be if it were read now. */
	uint64_t (*size)(const struct view *v);
	/* When it was last changed, in ms; null: with its directory. */
	int64_t (*mtime)(const struct view *v);
	/* Made in another way: 0 with *out, or a negative errno. */
	int (*make)(struct node **out, const struct view *v,
		    const struct entry *e);
	bool callers; /* belongs to the caller, who is shown as its owner */
};

/* Null-terminated by name. */
extern const struct entry root_entries[];
extern const struct entry dot_entries[];
extern const struct entry connection_entries[];
extern const struct entry creds_entries[];
extern const struct entry sessions_entries[];

/* A file whose content was made at LOOKUP: cached, seekable, read only. */
extern const struct file_ops text_ops;

/* client.json: the same, once the caller's environment has been read. */
extern const struct file_ops client_ops;
extern const struct file_ops query_ops;
extern const struct file_ops params_ops;
extern const struct file_ops result_ops;
extern const struct file_ops scratch_ops;
/* Ends when the caller's statement does. */
extern const struct file_ops wait_ops;
/* A saved query: runs anew at each open. */
extern const struct file_ops run_ops;

/*
 * A file to write a word to. Each open collects at most WORD_MAX bytes; they
 * take effect at each WRITE.
 */
enum { WORD_MAX = 4096 };
extern const struct file_ops cancel_ops;
extern const struct file_ops cancel_id_ops;
extern const struct file_ops refresh_ops;
extern const struct file_ops reload_ops;
/*
 * sessions/.new and .end: for callers that have no mkdir and rmdir; .sql: as
 * .new, see follow.h.
 */
extern const struct file_ops session_new_ops;
extern const struct file_ops session_sql_ops;
extern const struct file_ops session_end_ops;

/* creds/token: made anew at each open, read as it is then. */
extern const struct file_ops token_ops;
uint64_t token_size(const struct view *v);

/* The node of name in dir for this caller. */
int tree_lookup(struct node **out, const struct view *v, const char *name);

/*
 * READDIR: calls add(arg, name, mode, ino) for what this caller may see, with
 * positions that begin after `from`, until it returns false.
 */
typedef bool (*tree_add)(void *arg, const char *name, mode_t mode, uint64_t ino,
			 uint64_t position);
int tree_readdir(const struct view *v, uint64_t from, tree_add add, void *arg);

/* The node of a file that a caller has made in v->dir. */
int tree_scratch(struct node **out, const struct view *v, struct scratch *s);

/* query.sql stands in it, and scratch files may. */
bool tree_has_query(const struct node *dir);

/* -ENOENT when the caller may not know what is in this directory. */
int tree_may_enter(struct node *dir, const struct caller *caller);

#endif
