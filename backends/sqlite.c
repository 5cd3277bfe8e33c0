/* SPDX-License-Identifier: MIT */
/*
 * SQLite. The "server" is a file: it is opened, never created, and its
 * directory gets nothing but the journal SQLite puts beside a database. Large
 * sorts go to unlinked files in SQLite's own temporary directory.
 *
 * A connection is opened without mutexes and used by the session's worker
 * only, but for sqlite3_interrupt().
 */
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "backends/backend.h"
#include "backends/command_tag.h"
#include "backends/sql.h"
#include "backends/sqlite_bind.h"
#include "backends/sqlite_error.h"
#include "backends/sqlite_guard.h"
#include "backends/sqlite_row.h"
#include "backends/steps.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "common/err.h"

enum {
	BUSY_TIMEOUT_MS = 5000, /* for a lock, without a timeout of ours */
	BUSY_STEP_MS = 20,      /* between two attempts at one, */
	BUSY_SHORT_STEPS = 10,  /* after as many of 1 ms */
	/* Instructions between two looks at the state. */
	PROGRESS_STEPS = 10000,
};

enum run { IDLE, RUNNING, CANCELLED };

struct session {
	struct db db; /* first */
	sqlite3 *conn;
	struct sqlite_guard guard;
	size_t max_row;
	long busy_timeout_ms;
	uint64_t busy_since; /* clock_mono_ms() */
	pthread_mutex_t mutex;
	enum run run; /* mutex */
};

/* A statement that runs, and whoever wants to know of it. */
struct statement {
	struct session *s;
	const char *sql;
	sqlite3_stmt *stmt;
	const struct db_sink *sink;
	void *arg;
	int64_t n_rows;
};

static struct session *session_of(struct db *db)
{
	return (struct session *)db;
}

static void set_run(struct session *s, enum run run)
{
	auto_lock(&s->mutex);
	s->run = run;
}

static bool is_cancelled(struct session *s)
{
	auto_lock(&s->mutex);
	return s->run == CANCELLED;
}

/*
 * sqlite3_interrupt() is forgotten when it comes before the first step of a
 * statement, so the state is looked at as well.
 */
static int on_progress(void *arg)
{
	return is_cancelled(arg) ? 1 : 0;
}

/* Waits a step for whoever holds the lock; 0: no longer. */
static int on_busy(void *arg, int attempts)
{
	struct session *s = arg;
	long ms = attempts < BUSY_SHORT_STEPS ? 1 : BUSY_STEP_MS;
	struct timespec step = {.tv_nsec = ms * 1000000};
	long max = s->busy_timeout_ms;

	if (s->guard.busy_timeout_ms >= 0)
		max = s->guard.busy_timeout_ms;
	if (attempts == 0)
		s->busy_since = clock_mono_ms();
	if (is_cancelled(s) || clock_mono_ms() - s->busy_since >= (uint64_t)max)
		return 0;
	(void)nanosleep(&step, NULL);
	return 1;
}

static int busy_handler(struct session *s)
{
	return sqlite3_busy_handler(s->conn, on_busy, s);
}

static int refuse_open(const struct session *s, const char *host, int code,
		       struct err *err)
{
	int sys = sqlite3_system_errno(s->conn);
	int eno = sqlite_error_errno(code);

	if ((code & 0xff) == SQLITE_CANTOPEN && (sys == EACCES || sys == EPERM))
		eno = EACCES;
	return err_set(err, eno, "cannot open %s: %s", host,
		       sqlite3_errmsg(s->conn));
}

/*
 * The name as SQLite must get it: one that begins with a slash or a dot is
 * neither a URI nor one of its special names. Null when there is no memory.
 */
static char *file_name(const char *host)
{
	char *name;

	if (asprintf(&name, "%s%s", *host == '/' ? "" : "./", host) < 0)
		return NULL;
	return name;
}

/*
 * By stat() only: closing a descriptor of the file, whichever one, drops the
 * locks that other sessions of this process have on it.
 */
static int check_file(const char *name, const char *host, struct err *err)
{
	struct stat st;

	if (stat(name, &st) < 0)
		return err_set(err, errno == EACCES ? EACCES : EHOSTUNREACH,
			       "cannot open %s: %m", host);
	if (!S_ISREG(st.st_mode))
		return err_set(err, EHOSTUNREACH,
			       "cannot open %s: it is not a regular file",
			       host);
	return 0;
}

/* SQLite reads the file with the first statement, not when it opens it. */
static int connect(struct session *s, const char *name,
		   const struct db_params *params, struct err *err)
{
	int mode = params->read_only ? SQLITE_OPEN_READONLY
				     : SQLITE_OPEN_READWRITE;
	int code = sqlite3_open_v2(name, &s->conn,
				   mode | SQLITE_OPEN_NOMUTEX |
					   SQLITE_OPEN_PRIVATECACHE |
					   SQLITE_OPEN_EXRESCODE,
				   NULL);

	if (code == SQLITE_OK)
		code = sqlite_guard_set(&s->guard, s->conn, params->read_only,
					params->max_row);
	if (code == SQLITE_OK)
		code = busy_handler(s);
	if (code == SQLITE_OK)
		code = sqlite3_exec(s->conn, "select 1 from sqlite_schema",
				    NULL, NULL, NULL);
	if (code != SQLITE_OK)
		return refuse_open(s, params->host, code, err);
	step_opened(params);
	sqlite3_progress_handler(s->conn, PROGRESS_STEPS, on_progress, s);
	if (params->init_sql == NULL)
		return 0;
	code = sqlite3_exec(s->conn, params->init_sql, NULL, NULL, NULL);
	if (code != SQLITE_OK)
		return err_set(err, sqlite_error_errno(code), "init_sql: %s",
			       sqlite3_errmsg(s->conn));
	return 0;
}

static void sq_close(struct db *db)
{
	struct session *s = session_of(db);

	(void)sqlite3_close(s->conn);
	(void)pthread_mutex_destroy(&s->mutex);
	free(s);
}

static void update_state(struct session *s)
{
	s->db.in_transaction = sqlite3_get_autocommit(s->conn) == 0;
}

static long busy_timeout(unsigned timeout_ms)
{
	return timeout_ms > 0 ? (long)timeout_ms : BUSY_TIMEOUT_MS;
}

static int sq_open(struct db **out, const struct db_params *params,
		   struct err *err)
{
	auto_free char *name = file_name(params->host);
	struct session *s;
	int rc;

	*out = NULL;
	if (name == NULL)
		return err_set(err, ENOMEM, "no memory for a file name");
	rc = check_file(name, params->host, err);
	if (rc < 0)
		return rc;
	s = calloc(1, sizeof(*s));
	if (s == NULL)
		return err_set(err, ENOMEM, "no memory for a session");
	s->db.sql_modes = SQL_PLAIN_BACKSLASH;
	s->max_row = params->max_row;
	s->busy_timeout_ms = busy_timeout(params->connect_timeout_ms);
	(void)pthread_mutex_init(&s->mutex, NULL);
	rc = connect(s, name, params, err);
	if (rc < 0) {
		sq_close(&s->db);
		return rc;
	}
	s->busy_timeout_ms = busy_timeout(params->statement_timeout_ms);
	update_state(s);
	*out = &s->db;
	return 0;
}

/* Says what SQLite says of the code it returned. */
static int report(const struct statement *st, int code, struct err *err)
{
	sqlite3 *conn = st->s->conn;
	struct db_failure failure = {
		.severity = "ERROR",
		.message = sqlite3_errmsg(conn),
		.offset = sqlite3_error_offset(conn),
	};

	if ((code & 0xff) == SQLITE_AUTH)
		failure.hint = st->s->guard.refused;
	/* The wait for a lock was cut short. */
	if ((code & 0xff) == SQLITE_BUSY && is_cancelled(st->s)) {
		code = SQLITE_INTERRUPT;
		failure.message = sqlite3_errstr(code);
	}
	failure.code = sqlite_error_name(code);
	st->sink->failure(st->arg, &failure);
	if (failure.hint != NULL)
		return err_set(err, sqlite_error_errno(code), "%s: %s",
			       failure.message, failure.hint);
	return err_set(err, sqlite_error_errno(code), "%s", failure.message);
}

/* White space and comments, that is. */
static bool is_blank(const char *text)
{
	struct sql_splitter *splitter;
	struct sql_piece piece;
	bool blank;

	if (*text == '\0')
		return true;
	splitter = sql_splitter_create(SQL_SQLITE);
	if (splitter == NULL)
		return false;
	blank = sql_splitter_next(splitter, text, strlen(text), &piece, NULL) ==
			0 &&
		sql_splitter_blank(splitter);
	sql_splitter_destroy(splitter);
	return blank;
}

static int prepare(struct statement *st, struct err *err)
{
	const char *rest = NULL;
	int code;

	code = sqlite3_prepare_v3(st->s->conn, st->sql, -1, 0, &st->stmt,
				  &rest);
	if (code != SQLITE_OK)
		return report(st, code, err);
	if (st->stmt == NULL)
		return err_set(err, EINVAL, "the statement is empty");
	if (!is_blank(rest))
		return err_set(err, EINVAL, "more than one statement at once");
	return 0;
}

static void end(const struct statement *st)
{
	char tag[COMMAND_TAG_SIZE];
	int64_t affected;

	affected = command_tag(tag, SQL_SQLITE, st->sql, st->n_rows,
			       sqlite3_changes64(st->s->conn));
	st->sink->end(st->arg, *tag != '\0' ? tag : NULL, affected);
}

static int send_rows(struct statement *st, struct sqlite_row *row, int *code,
		     struct err *err)
{
	int rc = 0;

	while (rc == 0 && *code == SQLITE_ROW) {
		rc = sqlite_row_fetch(row, err);
		if (rc == 0)
			rc = st->sink->row(st->arg, row->cells, err);
		if (rc == 0) {
			st->n_rows++;
			*code = sqlite3_step(st->stmt);
		}
	}
	return rc;
}

static int run(struct statement *st, struct err *err)
{
	struct sqlite_row row = {0};
	int code = sqlite3_step(st->stmt), rc = 0;

	if ((code == SQLITE_ROW || code == SQLITE_DONE) &&
	    sqlite3_column_count(st->stmt) > 0) {
		rc = sqlite_row_init(&row, st->stmt, st->s->max_row, err);
		if (rc == 0)
			rc = st->sink->begin(st->arg, row.cols, row.n_cols,
					     err);
	}
	if (rc == 0)
		rc = send_rows(st, &row, &code, err);
	if (rc == 0 && code != SQLITE_DONE)
		rc = report(st, code, err);
	sqlite_row_finish(&row);
	if (rc == 0)
		end(st);
	return rc;
}

static int sq_exec(struct db *db, const char *sql, const struct db_args *args,
		   const struct db_sink *sink, void *arg, struct err *err)
{
	struct session *s = session_of(db);
	struct statement st = {.s = s, .sql = sql, .sink = sink, .arg = arg};
	int rc;

	s->guard.refused = NULL;
	/* PRAGMA busy_timeout put SQLite's own in its place. */
	(void)busy_handler(s);
	set_run(s, RUNNING);
	rc = prepare(&st, err);
	if (rc == 0)
		rc = sqlite_bind(st.stmt, args, err);
	if (rc == 0)
		rc = run(&st, err);
	(void)sqlite3_finalize(st.stmt);
	set_run(s, IDLE);
	update_state(s);
	return rc;
}

/*
 * A file that was replaced or removed is another server's: what is written to
 * the one that is open would be lost.
 */
static int sq_check(struct db *db, struct err *err)
{
	int moved = 0;

	(void)sqlite3_file_control(session_of(db)->conn, "main",
				   SQLITE_FCNTL_HAS_MOVED, &moved);
	if (moved != 0)
		return err_set(err, ENOTCONN,
			       "the database file was replaced or removed");
	return 0;
}

/*
 * Under the mutex, so that a statement that ends meanwhile is over only when
 * the interrupt has been given: it would meet the next one.
 */
static void sq_abort(struct db *db)
{
	struct session *s = session_of(db);

	auto_lock(&s->mutex);
	if (s->run == IDLE)
		return;
	s->run = CANCELLED;
	sqlite3_interrupt(s->conn);
}

static int sq_cancel(struct db *db, const struct db_params *params,
		     struct err *err)
{
	sq_abort(db);
	return 0;
}

/*
 * No reset: nothing undoes PRAGMAs, temporary tables and ATTACH, and to open
 * the file once more takes less than finding out what there is to undo.
 */
const struct backend sqlite_backend = {
	.name = "sqlite",
	.open = sq_open,
	.exec = sq_exec,
	.check = sq_check,
	.cancel = sq_cancel,
	.abort = sq_abort,
	.close = sq_close,
};
