/* SPDX-License-Identifier: MIT */
/*
 * What is said of a statement: status.json, error, and the list of statements.
 * Thread of the loop.
 */
#ifndef CONNFS_FS_REPORT_H
#define CONNFS_FS_REPORT_H

#include <stdbool.h>

struct buf;
struct caller;
struct conversation;
struct statement;
struct view;

void report_status(struct buf *out, const struct view *v);
void report_error(struct buf *out, const struct view *v);
void report_query(struct buf *out, const struct view *v);      /* query.sql */
void report_params(struct buf *out, const struct view *v);     /* params.json */
void report_statements(struct buf *out, const struct view *v); /* .connfs */

/* The same of one statement: nothing when it has not failed. */
void report_failure(struct buf *out, struct statement *s);

/* The one that status.json and query.sql tell of; borrowed, or null. */
struct statement *report_statement(const struct view *v);

/* May the caller know of what this conversation runs, and cancel it? */
bool report_may_see(const struct conversation *conv,
		    const struct caller *caller);

#endif
