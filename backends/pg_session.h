/* SPDX-License-Identifier: MIT */
/*
 * What pg.c, pg_run.c and pg_discard.c share: the state of one PostgreSQL session.
 *
 * The worker owns all of it. Other threads ask the server to cancel, and cut
 * the connection, by what does not change after open, and by what cancels
 * protects.
 */
#ifndef CONNFS_BACKENDS_PG_SESSION_H
#define CONNFS_BACKENDS_PG_SESSION_H

#include <libpq-fe.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "backends/backend.h"
#include "backends/cancels.h"
#include "backends/pg_connect.h"
#include "backends/pg_rows.h"
#include "common/err.h"

struct pg_session {
	struct db db; /* first */
	PGconn *conn;
	const struct pg_flavour *flavour;
	bool only_reads; /* connfs's to keep, see pg_exec() */
	struct pg_rows rows;
	size_t max_row;                /* bytes */
	unsigned statement_timeout_ms; /* 0: none */
	struct err lost; /* what the server said when it ended the session */

	/* Where the notices of the statement that runs go; null between. */
	const struct db_sink *sink;
	void *sink_arg;

	/* Constant after open. */
	struct pg_cancel_key cancel_key;
	PGcancel *cancel; /* for want of the key */
	int fd; /* the socket once more: libpq closes its own when it likes */

	struct cancels cancels;
};

/* Asks the server to end what it does. Any thread; takes 5 s at the most. */
int pg_session_cancel(struct pg_session *s, struct err *err);

/* Shuts the socket: whoever waits for it is woken. Any thread. */
void pg_session_cut(struct pg_session *s);

struct pg_job {
	const char *sql;
	bool script; /* several statements: the simple protocol, no args */
	const struct db_args *args; /* null: none */
	const struct db_sink *sink;
	void *arg;
	uint64_t deadline; /* clock_mono_ms(), 0: none */
};

/* Runs it to its end; db_exec() without what concerns cancelling. */
int pg_run(struct pg_session *s, const struct pg_job *job, struct err *err);

/*
 * Makes the session what it was after login but for its application_name,
 * which becomes name (null: none was given): one round trip. After a failure
 * it is of no use. deadline as of a job. Without init_sql.
 */
int pg_discard(struct pg_session *s, const char *name, uint64_t deadline,
	       struct err *err);

#endif
