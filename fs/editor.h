/* SPDX-License-Identifier: MIT */
/*
 * What editors do beside query.sql: they make files of their own, remove them,
 * and rename one onto query.sql, which runs it. And what they, cp, mv and rm do
 * in queries/ with saved queries. Thread of the loop.
 */
#ifndef CONNFS_FS_EDITOR_H
#define CONNFS_FS_EDITOR_H

#include <sys/types.h>

struct handle;
struct node;
struct request;
struct view;

/* Makes and opens a file; v->conv is made when there is none. */
int editor_create(struct node **out, struct handle **handle, struct view *v,
		  const char *name, mode_t mode);
int editor_unlink(const struct view *v, const char *name);

/* Answers rq, or keeps it until what was renamed onto query.sql settled. */
int editor_rename(struct request *rq, const struct view *v, const char *name,
		  const char *newname);

#endif
