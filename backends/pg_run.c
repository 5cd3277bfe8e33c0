/* SPDX-License-Identifier: MIT */
/*
 * One statement, from its text to the end of what the server answers.
 *
 * The extended protocol, although the simple one is quicker (select 1 in 61 us
 * against 66 us over a Unix socket): with it a text of several statements,
 * should one ever get here, is refused by the server as a whole. What differs
 * from psql, which uses the simple one: rows that a rule adds to an INSERT,
 * UPDATE or DELETE are not returned, and the statement commits after its
 * CommandComplete. So that is not the end; ReadyForQuery is.
 */
#include "backends/pg_session.h"

#include <errno.h>
#include <libpq-fe.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "backends/pg_args.h"
#include "backends/pg_connect.h"
#include "backends/pg_types.h"
#include "backends/sqlstate.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "common/utf8.h"

enum {
	/*
	 * Behind this many bytes of one statement a pause lets the server run
	 * ahead. It sends 8 KiB at a time and is slowed down when it has to
	 * wake us for each: 2,000,000 rows of 8 columns took 1.14 s without a
	 * pause and 0.96 s with it (medians of 11).
	 */
	BULK_BYTES = 1024 * 1024,
	BULK_PAUSE_NS = 100 * 1000,
	/* The server's time to end what it was asked to cancel. */
	DRAIN_MS = 5000,
	TAG_SIZE = 64,
	TYPE_SIZE = 16,
	MESSAGE_MAX = 4096,
};

/* Of the three only the last, but for a list among the parameters. */
enum step { PREPARE, DESCRIBE, EXECUTE };

struct run {
	struct pg_session *s;
	const struct pg_job *job;
	struct err *err;
	struct pg_args args;
	enum step step;
	struct db_cell *cells; /* owned; of the result set that began */
	size_t n_cells;
	uint64_t started; /* clock_mono_ms() */
	uint64_t deadline;
	int rc;        /* the first failure */
	bool in_set;   /* sink->begin() was called for this result set */
	bool copying;  /* COPY .. TO STDOUT */
	bool drain;    /* it failed here: nothing goes to the sink any more */
	bool eof;      /* nothing comes any more, but something may be left */
	bool lost;     /* the connection is of no use any more */
	bool empty;    /* nothing but comments */
	bool complete; /* the server said what it has done: */
	char tag[TAG_SIZE];
	int64_t affected;
};

/* The statement failed on this side; what the server still sends is dropped. */
static void fail_here(struct run *r, int rc)
{
	r->rc = rc;
	r->drain = true;
	r->deadline = clock_mono_ms() + DRAIN_MS;
}

/* The same, and the server is asked to end it. */
static void stop(struct run *r, int rc)
{
	struct err ignored;

	if (r->drain)
		return;
	if (pg_session_cancel(r->s, &ignored) < 0)
		r->lost = true;
	fail_here(r, rc);
}

/* The server does not keep to the protocol: nothing it sends is of use. */
static void give_up(struct run *r, const char *why)
{
	if (r->rc == 0)
		r->rc = err_set(r->err, ENOTCONN, "%s", why);
	r->lost = true;
}

static void describe(struct db_column *col, char type_text[TYPE_SIZE],
		     const PGresult *res, int i)
{
	Oid oid = PQftype(res, i);
	const struct pg_type *type = pg_type_find(oid);

	col->name = PQfname(res, i);
	col->plain = type != NULL && type->plain;
	col->shape = pg_type_shape(oid);
	col->type = type_text;
	if (type != NULL)
		col->type = type->name;
	else
		(void)snprintf(type_text, TYPE_SIZE, "oid:%u", oid);
}

static int begin_set(struct run *r, const PGresult *res)
{
	size_t n = (size_t)PQnfields(res);
	struct db_column *cols = calloc(n + 1, sizeof(*cols) + TYPE_SIZE);
	char(*type_texts)[TYPE_SIZE];
	int rc;

	free(r->cells);
	r->cells = calloc(n + 1, sizeof(*r->cells));
	r->n_cells = n;
	if (cols == NULL || r->cells == NULL) {
		free(cols);
		return err_set(r->err, ENOMEM, "out of memory");
	}
	type_texts = (void *)(cols + n + 1);
	for (size_t i = 0; i < n; i++)
		describe(&cols[i], type_texts[i], res, (int)i);
	r->in_set = true;
	rc = r->job->sink->begin(r->job->arg, cols, n, r->err);
	free(cols);
	return rc;
}

/* The result set of res begins, unless it did before. */
static bool ensure_set(struct run *r, const PGresult *res)
{
	int rc;

	if (!r->in_set && !r->drain) {
		rc = begin_set(r, res);
		if (rc < 0)
			stop(r, rc);
	}
	return !r->drain;
}

static void take_row(struct run *r, const struct pg_row *row)
{
	const struct db_sink *sink = r->job->sink;
	int rc;

	if (r->drain)
		return;
	if (row->copy) {
		rc = sink->bytes(r->job->arg, row->data, row->len, r->err);
	} else {
		if (!r->in_set && !ensure_set(r, pg_rows_columns(&r->s->rows)))
			return;
		if (pg_rows_cells(row, r->cells, r->n_cells) < 0) {
			give_up(r, "the server sent a malformed row");
			return;
		}
		rc = sink->row(r->job->arg, r->cells, r->err);
	}
	if (rc < 0)
		stop(r, rc);
}

static void refuse_row(struct run *r, int rc)
{
	if (r->drain)
		return;
	if (rc == -EFBIG)
		(void)err_set(r->err, EFBIG,
			      "a row is longer than max_row, %zu bytes",
			      r->s->max_row);
	else
		(void)err_set(r->err, -rc, "out of memory");
	stop(r, rc);
}

/* A row as a PGresult, where pg_rows.c cannot read it in place. */
static void take_result_row(struct run *r, const PGresult *res)
{
	size_t size = 0;
	int rc;

	if (!ensure_set(r, res))
		return;
	for (size_t i = 0; i < r->n_cells; i++) {
		struct db_cell *cell = &r->cells[i];

		*cell = (struct db_cell){0};
		if (PQgetisnull(res, 0, (int)i))
			continue;
		cell->data = PQgetvalue(res, 0, (int)i);
		cell->len = (size_t)PQgetlength(res, 0, (int)i);
		size += cell->len;
	}
	if (size > r->s->max_row) {
		refuse_row(r, -EFBIG);
		return;
	}
	rc = r->job->sink->row(r->job->arg, r->cells, r->err);
	if (rc < 0)
		stop(r, rc);
}

/* PostgreSQL counts characters, from 1. */
static long byte_offset(const char *sql, const char *position)
{
	long n = position != NULL ? strtol(position, NULL, 10) : 0;
	const char *p = sql;

	if (n <= 0)
		return -1;
	while (--n > 0 && *p != '\0') {
		size_t len = utf8_char(p, strnlen(p, 4));

		p += len > 0 ? len : 1;
	}
	return p - sql;
}

/*
 * 57014 says that the statement was cancelled. By its time limit, if the
 * message says so (it may be in any language), or if the time was up and
 * nobody here had asked.
 */
static bool timed_out(struct run *r, const char *message)
{
	unsigned limit = r->s->statement_timeout_ms;

	if (strstr(message, "statement timeout") != NULL)
		return true;
	return !cancels_seen(&r->s->cancels) && limit > 0 &&
	       clock_mono_ms() - r->started >= limit;
}

/* Not the server: the connection is lost, or there is no memory. */
static void libpq_failed(struct run *r, const PGresult *res)
{
	char text[MESSAGE_MAX];

	pg_one_line(text, sizeof(text), PQresultErrorMessage(res));
	r->rc = err_set(r->err, EIO, "%s", text);
}

/* The server has counted the parameters. */
static bool wrong_count(const PGresult *res, const char *code)
{
	const char *by = PQresultErrorField(res, PG_DIAG_SOURCE_FUNCTION);

	return code != NULL && strcmp(code, "08P01") == 0 && by != NULL &&
	       strcmp(by, "exec_bind_message") == 0;
}

static void server_failed(struct run *r, const PGresult *res)
{
	const char *position =
		PQresultErrorField(res, PG_DIAG_STATEMENT_POSITION);
	struct db_failure f = {
		.severity =
			PQresultErrorField(res, PG_DIAG_SEVERITY_NONLOCALIZED),
		.code = PQresultErrorField(res, PG_DIAG_SQLSTATE),
		.message = PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY),
		.detail = PQresultErrorField(res, PG_DIAG_MESSAGE_DETAIL),
		.hint = PQresultErrorField(res, PG_DIAG_MESSAGE_HINT),
		.context = PQresultErrorField(res, PG_DIAG_CONTEXT),
	};
	int code = sqlstate_errno(f.code);

	if (r->rc < 0)
		return;
	if (f.message == NULL) {
		libpq_failed(r, res);
		return;
	}
	if (f.severity == NULL)
		f.severity = PQresultErrorField(res, PG_DIAG_SEVERITY);
	if (f.hint == NULL && wrong_count(res, f.code))
		f.hint = "params.json holds an array with one value for each "
			 "of $1, $2, ..";
	f.offset = r->job->script ? -1 : byte_offset(r->job->sql, position);
	if (code == ECANCELED && timed_out(r, f.message))
		code = ETIMEDOUT;
	r->rc = err_set(r->err, code, "%s", f.message);
	(void)snprintf(r->err->sqlstate, sizeof(r->err->sqlstate), "%s",
		       f.code != NULL ? f.code : "");
	r->job->sink->failure(r->job->arg, &f);
}

/* The last CommandComplete counts; it is not shown until it is committed. */
static void command_complete(struct run *r, PGresult *res)
{
	const char *affected = PQcmdTuples(res);

	r->in_set = false;
	r->complete = true;
	(void)snprintf(r->tag, sizeof(r->tag), "%s", PQcmdStatus(res));
	r->affected = *affected != '\0' ? strtoll(affected, NULL, 10) : -1;
}

static void refuse_copy_in(struct run *r)
{
	static const char why[] = "COPY .. FROM STDIN is not possible here; "
				  "INSERT, or COPY from a file at the server";

	if (!r->drain)
		fail_here(r, err_set(r->err, EOPNOTSUPP, "%s", why));
	if (PQputCopyEnd(r->s->conn, why) != 1)
		r->lost = true;
}

/* What a step before the last brings. */
static void take_answer(struct run *r, const PGresult *res)
{
	switch (PQresultStatus(res)) {
	case PGRES_COMMAND_OK:
		if (r->step == DESCRIBE)
			r->rc = pg_args_resolve(&r->args, res, r->err);
		break;
	case PGRES_FATAL_ERROR:
		server_failed(r, res);
		break;
	default:
		give_up(r, "the server does not answer what it was asked");
		break;
	}
}

static void take_result(struct run *r, PGresult *res)
{
	if (r->step != EXECUTE) {
		take_answer(r, res);
		return;
	}
	switch (PQresultStatus(res)) {
	case PGRES_SINGLE_TUPLE:
		take_result_row(r, res);
		break;
	case PGRES_TUPLES_OK:
		if (ensure_set(r, res))
			command_complete(r, res);
		break;
	case PGRES_COMMAND_OK:
		command_complete(r, res);
		break;
	case PGRES_EMPTY_QUERY:
		r->empty = true;
		break;
	case PGRES_COPY_OUT:
		r->copying = true;
		break;
	case PGRES_COPY_IN:
		refuse_copy_in(r);
		break;
	case PGRES_FATAL_ERROR:
		server_failed(r, res);
		break;
	default:
		give_up(r, "the server began something that is no statement");
		break;
	}
}

/* Lets the server run ahead. True when that brought something. */
static bool pause_for_bulk(struct run *r)
{
	const struct timespec pause = {.tv_nsec = BULK_PAUSE_NS};
	int n;

	if (r->s->rows.received < BULK_BYTES)
		return false;
	(void)nanosleep(&pause, NULL);
	n = pg_rows_read(&r->s->rows);
	r->eof = n < 0;
	return n != 0;
}

static void wait_input(struct run *r)
{
	struct pollfd pfd = {.fd = r->s->fd, .events = POLLIN};
	int timeout;

	if (r->eof) {
		r->lost = true;
		return;
	}
	if (pause_for_bulk(r))
		return;
	timeout = r->deadline != 0 ? clock_poll_timeout(r->deadline)
				   : r->job->sink->idle(r->job->arg);
	if (pg_rows_pending(&r->s->rows) || poll(&pfd, 1, timeout) > 0) {
		r->eof = pg_rows_read(&r->s->rows) < 0;
	} else if (r->deadline != 0 && clock_mono_ms() >= r->deadline) {
		if (r->rc == 0)
			r->rc = err_set(r->err, ETIMEDOUT, "timed out");
		r->lost = true;
	}
}

/* libpq needs more, unless it is a row that it came to. */
static void wait_libpq(struct run *r)
{
	if (!pg_rows_ahead(&r->s->rows))
		wait_input(r);
}

/* What libpq has for COPY .. TO STDOUT, where no row can be read in place. */
static void take_copy_data(struct run *r)
{
	struct pg_row row = {.copy = true};
	char *data;
	int n = pg_rows_copy_data(&r->s->rows, &data);

	if (n == 0) {
		wait_libpq(r);
	} else if (n == -1) {
		r->copying = false;
	} else if (n < 0) {
		give_up(r, "the data of COPY cannot be read");
	} else {
		row.data = data;
		row.len = (size_t)n;
		if (row.len <= r->s->max_row)
			take_row(r, &row);
		else
			refuse_row(r, -EFBIG);
		PQfreemem(data);
	}
}

/* False at the end of the statement. */
static bool step_libpq(struct run *r)
{
	PGresult *res;

	if (r->copying) {
		take_copy_data(r);
		return true;
	}
	if (pg_rows_busy(&r->s->rows)) {
		wait_libpq(r);
		return true;
	}
	res = pg_rows_result(&r->s->rows);
	if (res == NULL)
		return false;
	take_result(r, res);
	PQclear(res);
	return true;
}

static void receive(struct run *r)
{
	struct pg_rows *rows = &r->s->rows;
	struct pg_row row;
	int next;

	while (!r->lost) {
		next = pg_rows_next(rows, r->drain ? 0 : r->s->max_row, &row);
		if (next == PG_NEXT_ROW) {
			take_row(r, &row);
		} else if (next == PG_NEXT_INPUT) {
			wait_input(r);
		} else if (next == PG_NEXT_LIBPQ) {
			if (!step_libpq(r))
				break;
		} else {
			refuse_row(r, next);
		}
	}
}

static bool send_step(struct run *r)
{
	const struct pg_args *args = &r->args;
	PGconn *conn = r->s->conn;

	if (r->step == PREPARE)
		return PQsendPrepare(conn, "", r->job->sql, 0, NULL);
	if (r->step == DESCRIBE)
		return PQsendDescribePrepared(conn, "");
	if (r->job->script)
		return PQsendQuery(conn, r->job->sql);
	if (args->has_list)
		return PQsendQueryPrepared(conn, "", args->n, args->values,
					   NULL, NULL, 0);
	return PQsendQueryParams(conn, r->job->sql, args->n, NULL, args->values,
				 NULL, NULL, 0);
}

static void run_step(struct run *r, enum step step)
{
	r->step = step;
	if (send_step(r)) {
		if (step == EXECUTE)
			(void)PQsetSingleRowMode(r->s->conn);
		receive(r);
	} else if (PQstatus(r->s->conn) == CONNECTION_OK) {
		r->rc = err_set(r->err, ENOMEM, "out of memory");
	} else {
		r->lost = true;
	}
}

static void run_steps(struct run *r)
{
	r->rc = pg_args_init(&r->args, r->job->args, r->err);
	if (r->args.has_list) {
		if (r->rc == 0)
			run_step(r, PREPARE);
		if (r->rc == 0 && !r->lost)
			run_step(r, DESCRIBE);
	}
	if (r->rc == 0 && !r->lost)
		run_step(r, EXECUTE);
	pg_args_finish(&r->args);
}

/* The outcome, by what the server said and whether it is still there. */
static int conclude(struct run *r)
{
	char text[MESSAGE_MAX];

	if (r->lost)
		pg_session_cut(r->s);
	if (r->drain)
		return r->rc;
	if (r->lost || PQstatus(r->s->conn) != CONNECTION_OK) {
		if (r->rc == 0) {
			pg_one_line(text, sizeof(text),
				    PQerrorMessage(r->s->conn));
			return err_set(r->err, ENOTCONN, "%s",
				       *text != '\0'
					       ? text
					       : "the connection is lost");
		}
		/* The server's last words; a timeout of ours stays one. */
		if (r->err->code != ETIMEDOUT)
			r->err->code = ENOTCONN;
		return -r->err->code;
	}
	/* Any function can raise 57P01, and the session lives on. */
	if (r->rc == -ENOTCONN) {
		r->err->code = EIO;
		return -EIO;
	}
	if (r->rc < 0 || r->empty)
		return r->rc;
	if (!r->complete)
		return err_set(r->err, EIO, "the server gave no answer");
	r->job->sink->end(r->job->arg, r->tag, r->affected);
	return 0;
}

int pg_run(struct pg_session *s, const struct pg_job *job, struct err *err)
{
	struct run r = {
		.s = s,
		.job = job,
		.err = err,
		.started = clock_mono_ms(),
		.deadline = job->deadline,
		.affected = -1,
	};
	int rc;

	s->sink = job->sink;
	s->sink_arg = job->arg;
	run_steps(&r);
	rc = conclude(&r);
	s->sink = NULL;
	free(r.cells);
	pg_rows_trim(&s->rows);
	return rc;
}
