/* SPDX-License-Identifier: MIT */
/*
 * `sql`: the executable in each connection's directory, a script for any POSIX
 * shell that needs no other program than cat.
 */
#ifndef CONNFS_FS_SQL_TOOL_H
#define CONNFS_FS_SQL_TOOL_H

struct buf;
struct view;

/* The script fs/sql.sh; made at build time. */
extern const char sql_script[];

/* The same with a number that no other text of it has. */
void text_sql(struct buf *out, const struct view *v);

#endif
