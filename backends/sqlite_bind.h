/* SPDX-License-Identifier: MIT */
/* Bind parameters of a SQLite statement. Belongs to the session's worker. */
#ifndef CONNFS_BACKENDS_SQLITE_BIND_H
#define CONNFS_BACKENDS_SQLITE_BIND_H

#include <sqlite3.h>

struct db_args;
struct err;

/*
 * A list by position, members of an object by name (:a, @a and $a). A boolean
 * is 0 or 1, a list or an object its JSON text. args must stay until stmt is
 * finalized.
 *
 * -EINVAL unless each parameter gets a value and each value has a parameter
 * (SQLite itself binds NULL), and for a number that SQLite would round: an
 * integer beyond 64 bits that no double is equal to, or one beyond any double.
 * -EFBIG for a text over SQLite's limit.
 */
int sqlite_bind(sqlite3_stmt *stmt, const struct db_args *args,
		struct err *err);

#endif
