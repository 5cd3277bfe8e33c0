/* SPDX-License-Identifier: MIT */
/*
 * queries/: saved queries. NAME.sql is a file of its maker's (who is a uid in
 * its user and pid namespace), or stands in the spec, whose names go first;
 * NAME.csv and the other formats are links to .run/NAME.csv, which runs it
 * anew at each open. Links, because programs that walk a tree and read what
 * they find do not follow them: none shall run a query by that. Thread of the
 * loop.
 */
#ifndef CONNFS_FS_QUERIES_H
#define CONNFS_FS_QUERIES_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct caller;
struct connection;
struct node;
struct owned_queries;
struct scratch_dir;
struct view;

enum {
	QUERIES_MAX_FILES = 1000, /* of one owner and connection */
	QUERIES_MAX_BYTES = 64 * 1024 * 1024,
	QUERIES_MAX_OWNERS = 1000, /* of one connection */
};

/* A name in queries/. 0 with *out, or -ENOENT, -ENOMEM. */
int queries_lookup(struct node **out, const struct view *v, const char *name);

/*
 * A name in queries/.run. -EOPNOTSUPP to callers that would take its size, 0,
 * for all there is.
 */
int queries_lookup_run(struct node **out, const struct view *v,
		       const char *name);

/* Calls add() for each name in queries/ that this caller sees. */
void queries_list(const struct view *v,
		  void (*add)(void *arg, const char *name, mode_t mode),
		  void *arg);

/*
 * May the caller make a file of that name? -EPERM: such names stand for
 * results; -EACCES: a query of the spec has it; -EINVAL, -ENAMETOOLONG.
 */
int queries_check_new(const struct view *v, const char *name);

/* May a file of that name be removed or renamed, if there is one? As above. */
int queries_check_old(const struct view *v, const char *name);

/* The caller's files, or null. */
struct scratch_dir *queries_own(const struct connection *c,
				const struct caller *caller);

/*
 * The same, made when there are none, for a caller that is held in a request.
 * 0, -EDQUOT: there are too many owners, -ENOMEM, or why its namespaces cannot
 * be held.
 */
int queries_make_own(struct scratch_dir **out, struct connection *c,
		     const struct caller *caller);

/*
 * The text of the query NAME as this caller has it, borrowed until the next
 * request. 0 or -ENOENT.
 */
int queries_text(const char **text, size_t *len, const struct connection *c,
		 const struct caller *caller, const char *name);

/* The connection ends: all files of its callers go. */
void queries_end(struct connection *c);

#endif
