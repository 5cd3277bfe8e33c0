/* SPDX-License-Identifier: MIT */
/*
 * The session: open, check, reset, cancel, close. pg_connect.c logs in,
 * pg_run.c runs a statement, pg_rows.c reads its rows, pg_discard.c undoes
 * what they did.
 */
#include "backends/backend.h"

#include <errno.h>
#include <fcntl.h>
#include <libpq-fe.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "backends/pg_connect.h"
#include "backends/pg_session.h"
#include "backends/sql.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "common/err.h"

#define READ_ONLY_STATE "25006"

enum {
	CANCEL_TIMEOUT_MS = 5000,
	RESTORE_TIMEOUT_MS = 5000,
	CANCEL_TEXT_SIZE = 256,
	CHECK_MAX_READS = 64,
};

static struct pg_session *session_of(struct db *db)
{
	return (struct pg_session *)db;
}

void pg_session_cut(struct pg_session *s)
{
	(void)shutdown(s->fd, SHUT_RDWR);
}

int pg_session_cancel(struct pg_session *s, struct err *err)
{
	char text[CANCEL_TEXT_SIZE];

	if (s->cancel_key.address_len > 0)
		return pg_cancel_request(&s->cancel_key, CANCEL_TIMEOUT_MS,
					 err);
	if (!PQcancel(s->cancel, text, sizeof(text)))
		return err_set(err, EHOSTUNREACH, "cancel: %s", text);
	return 0;
}

/* The server ends the session, and says why. */
static void remember_farewell(struct pg_session *s, const PGresult *res)
{
	const char *severity =
		PQresultErrorField(res, PG_DIAG_SEVERITY_NONLOCALIZED);
	const char *text = PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY);
	const char *state = PQresultErrorField(res, PG_DIAG_SQLSTATE);

	if (severity == NULL || text == NULL || state == NULL)
		return;
	if (strcmp(severity, "FATAL") != 0 && strcmp(severity, "PANIC") != 0)
		return;
	(void)err_set(&s->lost, ENOTCONN, "%s", text);
	(void)snprintf(s->lost.sqlstate, sizeof(s->lost.sqlstate), "%s", state);
}

/* Between two statements libpq takes errors for notices. */
static void receive_notice(void *arg, const PGresult *res)
{
	struct pg_session *s = arg;
	const char *line = PQresultErrorMessage(res);
	size_t len = strlen(line);
	char *text;

	if (s->sink == NULL) {
		remember_farewell(s, res);
		return;
	}
	if (len > 0 && line[len - 1] == '\n')
		len--;
	text = strndup(line, len);
	if (text != NULL)
		s->sink->notice(s->sink_arg, text);
	free(text);
}

static void read_state(struct pg_session *s)
{
	PGTransactionStatusType status = PQtransactionStatus(s->conn);
	const char *strings =
		PQparameterStatus(s->conn, "standard_conforming_strings");
	PGnotify *notify;

	s->db.in_transaction =
		status == PQTRANS_INTRANS || status == PQTRANS_INERROR;
	s->db.sql_modes = strings != NULL && strcmp(strings, "on") == 0
				  ? SQL_PLAIN_BACKSLASH
				  : 0;
	while ((notify = PQnotifies(s->conn)) != NULL)
		PQfreemem(notify);
}

static struct pg_session *create(const struct pg_flavour *flavour,
				 const struct db_params *params)
{
	struct pg_session *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return NULL;
	s->fd = -1;
	s->flavour = flavour;
	s->only_reads = params->read_only && !flavour->has_settings;
	s->max_row = params->max_row;
	s->statement_timeout_ms = params->statement_timeout_ms;
	cancels_init(&s->cancels);
	return s;
}

static void pg_close(struct db *db)
{
	struct pg_session *s = session_of(db);
	struct pollfd pfd = {.fd = s->fd, .events = POLLOUT};

	/* Where libpq would have to wait before it could say good bye. */
	if (s->fd >= 0 && poll(&pfd, 1, 0) != 1)
		pg_session_cut(s);
	s->sink = NULL;
	PQfreeCancel(s->cancel);
	PQfinish(s->conn);
	if (s->fd >= 0)
		(void)close(s->fd);
	cancels_finish(&s->cancels);
	free(s);
}

static int quiet_begin(void *arg, const struct db_column *cols, size_t n_cols,
		       struct err *err)
{
	return 0;
}

static int quiet_row(void *arg, const struct db_cell *cells, struct err *err)
{
	return 0;
}

static int quiet_bytes(void *arg, const char *data, size_t len, struct err *err)
{
	return 0;
}

static void quiet_end(void *arg, const char *tag, int64_t affected)
{
}

static void quiet_notice(void *arg, const char *text)
{
}

static void quiet_failure(void *arg, const struct db_failure *failure)
{
}

static int quiet_idle(void *arg)
{
	return -1;
}

/* init_sql: nobody wants its rows. */
static const struct db_sink quiet_sink = {
	.begin = quiet_begin,
	.row = quiet_row,
	.bytes = quiet_bytes,
	.end = quiet_end,
	.notice = quiet_notice,
	.failure = quiet_failure,
	.idle = quiet_idle,
};

static int run_init_sql(struct pg_session *s, const char *sql,
			uint64_t deadline, struct err *err)
{
	const struct pg_job job = {
		.sql = sql,
		.script = true,
		.sink = &quiet_sink,
		.deadline = deadline,
	};
	struct err why;
	int rc;

	if (sql == NULL)
		return 0;
	rc = pg_run(s, &job, &why);
	if (rc < 0) {
		(void)err_set(err, why.code, "init_sql: %s", why.msg);
		memcpy(err->sqlstate, why.sqlstate, sizeof(err->sqlstate));
	}
	return rc;
}

static uint64_t connect_deadline(const struct db_params *params)
{
	if (params->connect_timeout_ms == 0)
		return 0;
	return clock_mono_ms() + params->connect_timeout_ms;
}

static int open_flavour(struct db **out, const struct pg_flavour *flavour,
			const struct db_params *params, struct err *err)
{
	uint64_t deadline = connect_deadline(params);
	struct pg_session *s;
	int rc;

	s = create(flavour, params);
	if (s == NULL)
		return err_set(err, ENOMEM, "out of memory");
	rc = pg_connect(&s->conn, flavour, params, deadline, err);
	if (rc < 0)
		goto fail;
	s->fd = fcntl(PQsocket(s->conn), F_DUPFD_CLOEXEC, 0);
	s->cancel = PQgetCancel(s->conn);
	if (s->fd < 0 || s->cancel == NULL) {
		rc = err_set(err, ENOMEM, "out of memory or descriptors");
		goto fail;
	}
	/* Terse, or an error in a long text costs eight times its length. */
	(void)PQsetErrorVerbosity(s->conn, PQERRORS_TERSE);
	(void)PQsetNoticeReceiver(s->conn, receive_notice, s);
	pg_rows_init(&s->rows, s->conn);
	s->cancel_key = pg_rows_cancel_key(&s->rows);
	rc = run_init_sql(s, params->init_sql, deadline, err);
	if (rc < 0)
		goto fail;
	s->db.server_pid = PQbackendPID(s->conn);
	read_state(s);
	*out = &s->db;
	return 0;
fail:
	pg_close(&s->db);
	return rc;
}

static int pg_open(struct db **out, const struct db_params *params,
		   struct err *err)
{
	return open_flavour(out, &pg_flavour_postgres, params, err);
}

static int redshift_open(struct db **out, const struct db_params *params,
			 struct err *err)
{
	return open_flavour(out, &pg_flavour_redshift, params, err);
}

static int dsql_open(struct db **out, const struct db_params *params,
		     struct err *err)
{
	return open_flavour(out, &pg_flavour_dsql, params, err);
}

/*
 * Sessions are always UTF-8: what the statement before has set is set back. In
 * a failed transaction that is refused, as all but its end is.
 */
static void restore_encoding(struct pg_session *s)
{
	const char *encoding = PQparameterStatus(s->conn, "client_encoding");
	const struct pg_job job = {
		.sql = "SET client_encoding TO 'UTF8'",
		.sink = &quiet_sink,
		.deadline = clock_mono_ms() + RESTORE_TIMEOUT_MS,
	};
	struct err ignored;

	if (encoding == NULL || !s->flavour->has_settings)
		return;
	/* UNICODE is what Redshift calls it. */
	if (strcmp(encoding, "UTF8") != 0 && strcmp(encoding, "UNICODE") != 0)
		(void)pg_run(s, &job, &ignored);
}

/*
 * Where the server cannot be told to keep read_only: by its words a statement
 * has to be one that only reads, or is about the transaction or a setting. What
 * a function does that a SELECT calls cannot be seen.
 */
static int check_reads(const char *sql, struct err *err)
{
	static const char *const others[] = {
		"BEGIN",    "START", "COMMIT", "END",
		"ROLLBACK", "ABORT", "SET",    "RESET",
	};
	char words[SQL_COMMAND_SIZE];
	size_t len = strlen(sql);
	int rc;

	if (sql_traits(SQL_POSTGRES, sql, len).reads_only)
		return 0;
	sql_command(SQL_POSTGRES, sql, len, words);
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		if (strcmp(words, others[i]) == 0)
			return 0;
	}
	rc = err_set(err, EACCES, "read_only: %s may write, and was not sent",
		     *words != '\0' ? words : "the statement");
	memcpy(err->sqlstate, READ_ONLY_STATE, sizeof(READ_ONLY_STATE));
	return rc;
}

static int pg_exec(struct db *db, const char *sql, const struct db_args *args,
		   const struct db_sink *sink, void *arg, struct err *err)
{
	struct pg_session *s = session_of(db);
	const struct pg_job job = {
		.sql = sql,
		.args = args,
		.sink = sink,
		.arg = arg,
	};
	int rc;

	if (s->only_reads) {
		rc = check_reads(sql, err);
		if (rc < 0)
			return rc;
	}
	restore_encoding(s);
	cancels_begin(&s->cancels);
	rc = pg_run(s, &job, err);
	if (!cancels_end(&s->cancels, PQstatus(s->conn) == CONNECTION_OK))
		pg_session_cut(s);
	read_state(s);
	return rc;
}

static int pg_check(struct db *db, struct err *err)
{
	struct pg_session *s = session_of(db);
	struct pollfd pfd = {.fd = s->fd, .events = POLLIN};
	bool open = PQstatus(s->conn) == CONNECTION_OK;

	for (int i = 0; open && i < CHECK_MAX_READS; i++) {
		if (!pg_rows_pending(&s->rows) && poll(&pfd, 1, 0) <= 0)
			break;
		open = pg_rows_read(&s->rows) >= 0;
		/* Looks at what came: notices, parameters, a farewell. */
		(void)PQisBusy(s->conn);
	}
	read_state(s);
	if (s->lost.code != 0) {
		*err = s->lost;
		return -ENOTCONN;
	}
	if (!open || PQstatus(s->conn) != CONNECTION_OK)
		return err_set(err, ENOTCONN,
			       "the server closed the connection");
	return 0;
}

static int pg_reset(struct db *db, const struct db_params *params,
		    struct err *err)
{
	struct pg_session *s = session_of(db);
	uint64_t deadline = connect_deadline(params);
	int rc;

	rc = pg_discard(s, params->application_name, deadline, err);
	if (rc == 0)
		rc = run_init_sql(s, params->init_sql, deadline, err);
	read_state(s);
	return rc;
}

static int pg_cancel(struct db *db, const struct db_params *params,
		     struct err *err)
{
	struct pg_session *s = session_of(db);
	int rc;

	if (!cancels_enter(&s->cancels))
		return 0;
	rc = pg_session_cancel(s, err);
	cancels_leave(&s->cancels);
	return rc;
}

static void pg_abort(struct db *db)
{
	pg_session_cut(session_of(db));
}

const struct backend pg_backend = {
	.name = "postgres",
	.open = pg_open,
	.exec = pg_exec,
	.check = pg_check,
	.reset = pg_reset,
	.cancel = pg_cancel,
	.abort = pg_abort,
	.close = pg_close,
};

/* Neither of them has DISCARD ALL. */
const struct backend redshift_backend = {
	.name = "redshift",
	.open = redshift_open,
	.exec = pg_exec,
	.check = pg_check,
	.cancel = pg_cancel,
	.abort = pg_abort,
	.close = pg_close,
};

const struct backend dsql_backend = {
	.name = "dsql",
	.open = dsql_open,
	.exec = pg_exec,
	.check = pg_check,
	.cancel = pg_cancel,
	.abort = pg_abort,
	.close = pg_close,
};
