/* SPDX-License-Identifier: MIT */
/*
 * What keeps a statement away from everything but the session's own database:
 * no other files, no extensions, no settings of the whole process, bounded
 * memory. Private to sqlite*.c.
 */
#ifndef CONNFS_BACKENDS_SQLITE_GUARD_H
#define CONNFS_BACKENDS_SQLITE_GUARD_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stddef.h>

/* In the session, as long as its connection is open. */
struct sqlite_guard {
	bool read_only;
	long busy_timeout_ms; /* of the last PRAGMA busy_timeout; -1: none */
	const char *refused;  /* why the last refusal; reset by the session */
};

/*
 * Puts the guard around a fresh connection. max_row: what a value must be
 * able to hold, in bytes. Returns SQLite's code.
 */
int sqlite_guard_set(struct sqlite_guard *guard, sqlite3 *conn, bool read_only,
		     size_t max_row);

#endif
