/* SPDX-License-Identifier: MIT */
/*
 * The session handed over: everything a client did to it is undone, and it
 * carries the name of the next one.
 *
 * What no command undoes stays, as it would with any pool: libraries that were
 * loaded, what procedural languages keep for themselves (%_SHARED, GD, named
 * connections of dblink), and that a setting of a name of one's own once
 * existed (it is empty, not unknown).
 *
 * A client that says RESET application_name finds the name the connection was
 * opened with, that of its first client: only the startup packet sets what
 * RESET goes back to, and there it must stand, for the first client is to be
 * seen from its login on. It betrays nothing, since every login sees the names
 * of its own sessions in pg_stat_activity, and it says no more than any name a
 * client gives itself: it identifies, and never authorizes.
 */
#include "backends/pg_session.h"

#include <errno.h>
#include <libpq-fe.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "backends/pg_connect.h"
#include "backends/sqlstate.h"
#include "common/chance.h"
#include "common/clock.h"

enum {
	/*
	 * Redshift, which may be taken for a PostgreSQL, says 8.0.2 and has no
	 * DISCARD. Others without it have a version like any server: they show
	 * when they refuse it, by a syntax error or as a feature they lack.
	 */
	MIN_VERSION = 90000,
	N_SYNCS = 2,
	/* Two for each of four commands, and one for each Sync. */
	MAX_RESULTS = 10,
	SEED_SIZE = 16,
	MESSAGE_MAX = 4096,
};

static bool send_command(PGconn *conn, const char *sql, int n_args,
			 const char *const *args)
{
	return PQsendQueryParams(conn, sql, n_args, NULL, args, NULL, NULL,
				 0) != 0;
}

/* From 0 to 1, other than what setseed() of the last client leads to. */
static void make_seed(char out[SEED_SIZE])
{
	(void)snprintf(out, SEED_SIZE, "0.%09u", chance_up_to(999999999));
}

/*
 * DISCARD ALL stands alone before its Sync, because it wants a transaction of
 * its own. Older servers than 15.20 are reported to be left with the role none
 * by it; RESET ROLE finds the one that ALTER ROLE .. SET role gave the login.
 */
static bool send_all(struct pg_session *s, const char *name)
{
	PGconn *conn = s->conn;
	char app_name[PG_APP_NAME_SIZE];
	char seed[SEED_SIZE];
	const char *const args[] = {app_name, seed};

	pg_app_name(app_name, s->flavour, name);
	make_seed(seed);
	if (PQtransactionStatus(conn) != PQTRANS_IDLE &&
	    !send_command(conn, "ROLLBACK", 0, NULL))
		return false;
	return send_command(conn, "DISCARD ALL", 0, NULL) &&
	       PQpipelineSync(conn) &&
	       send_command(conn, "RESET ROLE", 0, NULL) &&
	       send_command(conn,
			    "SELECT pg_catalog.set_config('application_name', "
			    "$1, false), pg_catalog.setseed($2)",
			    2, args) &&
	       PQpipelineSync(conn);
}

static int lost(const struct pg_session *s, struct err *err)
{
	char text[MESSAGE_MAX];

	pg_one_line(text, sizeof(text), PQerrorMessage(s->conn));
	return err_set(err, ENOTCONN, "reset: %s",
		       *text != '\0' ? text : "the connection is lost");
}

static int refused(const struct pg_session *s, const PGresult *res,
		   struct err *err)
{
	const char *state = PQresultErrorField(res, PG_DIAG_SQLSTATE);
	const char *text = PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY);
	int code = sqlstate_errno(state);

	if (state == NULL || text == NULL)
		return lost(s, err);
	if (strcmp(state, "42601") == 0) /* no such command */
		code = EOPNOTSUPP;
	(void)err_set(err, code, "reset: %s", text);
	(void)snprintf(err->sqlstate, sizeof(err->sqlstate), "%s", state);
	return -code;
}

/* libpq does all the reading: no row is looked for in its buffer meanwhile. */
static int wait_result(struct pg_session *s, uint64_t deadline, struct err *err)
{
	struct pollfd pfd = {.fd = s->fd, .events = POLLIN};

	while (PQisBusy(s->conn)) {
		int timeout = clock_poll_timeout(deadline);

		if (pg_rows_pending(&s->rows) || poll(&pfd, 1, timeout) > 0) {
			if (pg_rows_read(&s->rows) < 0)
				return lost(s, err);
		} else if (deadline != 0 && clock_mono_ms() >= deadline) {
			return err_set(err, ETIMEDOUT, "reset: timed out");
		}
	}
	return 0;
}

static int receive_all(struct pg_session *s, uint64_t deadline, struct err *err)
{
	int n_syncs = 0;

	for (int i = 0; i < MAX_RESULTS; i++) {
		PGresult *res;
		int rc = wait_result(s, deadline, err);

		if (rc < 0)
			return rc;
		res = PQgetResult(s->conn);
		switch (PQresultStatus(res)) {
		case PGRES_PIPELINE_SYNC:
			n_syncs++;
			break;
		case PGRES_COMMAND_OK:
		case PGRES_TUPLES_OK:
			break;
		default:
			/* Null, which is no failure, ends each command. */
			rc = res != NULL ? refused(s, res, err) : 0;
			break;
		}
		PQclear(res);
		if (rc < 0 || n_syncs == N_SYNCS)
			return rc;
	}
	return err_set(err, EIO, "reset: the server gave no answer");
}

int pg_discard(struct pg_session *s, const char *name, uint64_t deadline,
	       struct err *err)
{
	int rc;

	/* Of a lost connection libpq does not know the version either. */
	if (PQstatus(s->conn) != CONNECTION_OK)
		return lost(s, err);
	if (PQserverVersion(s->conn) < MIN_VERSION)
		return err_set(err, EOPNOTSUPP,
			       "the server has no DISCARD ALL");
	if (PQenterPipelineMode(s->conn) && send_all(s, name))
		rc = receive_all(s, deadline, err);
	else
		rc = lost(s, err);
	if (rc == 0 && !PQexitPipelineMode(s->conn))
		rc = lost(s, err);
	/* Nobody may go on with what was undone in part. */
	if (rc < 0)
		pg_session_cut(s);
	pg_rows_trim(&s->rows);
	return rc;
}
