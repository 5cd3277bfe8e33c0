/* SPDX-License-Identifier: MIT */
/*
 * What mariadb.c, mariadb_run.c and mariadb_stmt.c share: the state of one
 * session.
 *
 * The worker owns all of it. Other threads ask the server to cancel, and cut
 * the connection, by what does not change after open, and by what cancels
 * protects.
 */
#ifndef CONNFS_BACKENDS_MARIADB_SESSION_H
#define CONNFS_BACKENDS_MARIADB_SESSION_H

#include <mysql.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "backends/backend.h"
#include "backends/cancels.h"
#include "backends/mariadb_rows.h"
#include "backends/mariadb_wait.h"

struct my_session {
	struct db db; /* first */
	MYSQL *mysql;
	struct my_wait wait; /* of what the worker does */
	struct my_rows rows; /* of the result set at hand */
	size_t max_row;      /* bytes */
	size_t max_packet;   /* bytes, of the server; 0: was not asked */
	bool is_mariadb;     /* and not MySQL */
	bool ansi_quotes;    /* as the server last said */
	bool foreign_text;   /* a statement has set another than UTF-8 */

	/* Constant after open. */
	int fd; /* the socket once more: the connector closes its own */

	struct cancels cancels;
};

/* Shuts the socket: whoever waits for it is woken. Any thread. */
void my_session_cut(struct my_session *s);

/* Takes what the server last said of transactions and modes. */
void my_session_read_state(struct my_session *s);

/* Runs it to its end; db_exec() without what concerns cancelling. */
int my_run(struct my_session *s, const char *sql, const struct db_args *args,
	   const struct db_sink *sink, void *arg, struct err *err);

#endif
