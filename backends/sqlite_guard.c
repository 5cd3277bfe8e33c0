/* SPDX-License-Identifier: MIT */
#include "backends/sqlite_guard.h"

#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"

enum {
	/* A statement may have 16 MiB, which the session's owner checks. */
	MAX_SQL = 17 * 1024 * 1024,
	MAX_VALUE = 1000 * 1000 * 1000, /* SQLite's own */
	/* VACUUM needs one, the rest is for ATTACH ':memory:'. */
	MAX_ATTACHED = 4,
};

/* Of all sessions together; a statement that needs more fails with NOMEM. */
static const sqlite3_int64 heap_limit = 256 * (sqlite3_int64)(1024 * 1024);

/*
 * A row that is sorted or indexed takes up to five times its size. The limit
 * is the process's, so it only grows.
 */
static void limit_heap(size_t max_row)
{
	static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
	sqlite3_int64 limit = 5 * (sqlite3_int64)max_row;

	auto_lock(&mutex);
	if (limit < heap_limit)
		limit = heap_limit;
	if (sqlite3_hard_heap_limit64(-1) < limit)
		(void)sqlite3_hard_heap_limit64(limit);
}

static void set_limits(sqlite3 *conn, size_t max_row)
{
	/* Rows that are too large to show may still be read in part. */
	size_t value = max_row < MAX_VALUE / 2 ? 2 * max_row : MAX_VALUE;

	(void)sqlite3_limit(conn, SQLITE_LIMIT_LENGTH,
			    value > MAX_SQL ? (int)value : MAX_SQL);
	(void)sqlite3_limit(conn, SQLITE_LIMIT_SQL_LENGTH, MAX_SQL);
	(void)sqlite3_limit(conn, SQLITE_LIMIT_ATTACHED, MAX_ATTACHED);
	(void)sqlite3_limit(conn, SQLITE_LIMIT_WORKER_THREADS, 0);
}

static int set_switches(sqlite3 *conn)
{
	static const struct {
		int name;
		int value;
	} switches[] = {
		{SQLITE_DBCONFIG_DEFENSIVE, 1},
		{SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0},
		{SQLITE_DBCONFIG_WRITABLE_SCHEMA, 0},
		{SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 0},
		{SQLITE_DBCONFIG_ENABLE_FTS3_TOKENIZER, 0},
	};
	int rc = SQLITE_OK;

	for (size_t i = 0; i < sizeof(switches) / sizeof(*switches); i++) {
		if (rc == SQLITE_OK)
			rc = sqlite3_db_config(conn, switches[i].name,
					       switches[i].value, NULL);
	}
	return rc;
}

static int refuse(struct sqlite_guard *guard, const char *why)
{
	guard->refused = why;
	return SQLITE_DENY;
}

/*
 * VACUUM INTO runs an ATTACH of its file, and plain VACUUM one of ''. name is
 * null when it is an expression, whose value nobody knows yet.
 */
static int attach(struct sqlite_guard *guard, const char *name)
{
	if (name != NULL && (*name == '\0' || strcmp(name, ":memory:") == 0))
		return SQLITE_OK;
	return refuse(guard, "connfs refuses ATTACH and VACUUM INTO of files");
}

static bool is_one_of(const char *name, const char *const *list, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (sqlite3_stricmp(name, list[i]) == 0)
			return true;
	}
	return false;
}

static int pragma(struct sqlite_guard *guard, const char *name,
		  const char *value)
{
	/* Of the whole process, or part of this guard. */
	static const char *const forbidden[] = {
		"temp_store_directory", "data_store_directory",
		"hard_heap_limit",      "soft_heap_limit",
		"trusted_schema",
	};
	/*
	 * Harmless to do without. Of a mapped file that another process cuts
	 * off, a read would end the daemon with SIGBUS.
	 */
	static const char *const ignored[] = {"mmap_size", "threads"};

	if (value == NULL)
		return SQLITE_OK;
	if (is_one_of(name, forbidden, sizeof(forbidden) / sizeof(*forbidden)))
		return refuse(guard, "connfs refuses PRAGMAs that set "
				     "directories, limits of the process or "
				     "trust");
	if (guard->read_only && sqlite3_stricmp(name, "query_only") == 0)
		return refuse(guard, "the connection is read-only");
	if (is_one_of(name, ignored, sizeof(ignored) / sizeof(*ignored)))
		return SQLITE_IGNORE;
	if (sqlite3_stricmp(name, "busy_timeout") == 0)
		guard->busy_timeout_ms = strtol(value, NULL, 10);
	return SQLITE_OK;
}

static int authorize(void *arg, int action, const char *first,
		     const char *second, const char *schema,
		     const char *trigger)
{
	struct sqlite_guard *guard = arg;

	if (action == SQLITE_ATTACH)
		return attach(guard, first);
	if (action == SQLITE_PRAGMA)
		return pragma(guard, first, second);
	return SQLITE_OK;
}

int sqlite_guard_set(struct sqlite_guard *guard, sqlite3 *conn, bool read_only,
		     size_t max_row)
{
	int rc;

	*guard = (struct sqlite_guard){.read_only = read_only,
				       .busy_timeout_ms = -1};
	limit_heap(max_row);
	set_limits(conn, max_row);
	rc = set_switches(conn);
	if (rc == SQLITE_OK && read_only)
		rc = sqlite3_exec(conn, "pragma query_only = on", NULL, NULL,
				  NULL);
	if (rc == SQLITE_OK)
		rc = sqlite3_set_authorizer(conn, authorize, guard);
	return rc;
}
