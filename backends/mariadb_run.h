/* SPDX-License-Identifier: MIT */
/*
 * A statement that runs: what the text protocol (mariadb_run.c) and prepared
 * statements (mariadb_stmt.c) have in common. Belongs to the worker.
 */
#ifndef CONNFS_BACKENDS_MARIADB_RUN_H
#define CONNFS_BACKENDS_MARIADB_RUN_H

#include <mysql.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "backends/mariadb_session.h"
#include "backends/mariadb_set.h"

struct my_run {
	struct my_session *s;
	const char *sql;
	const struct db_sink *sink;
	void *arg;
	struct err *err;
	int rc;     /* the first failure */
	bool drain; /* it failed here: nothing goes to the sink any more */
};

/* The statement failed on this side; what the server still sends is dropped. */
void my_run_fail(struct my_run *r, int rc);

/* The server, or the connector, says that it failed. */
void my_run_server_failed(struct my_run *r, unsigned number,
			  const char *sqlstate, const char *text);

/* A result set has these columns. */
void my_run_take_columns(struct my_run *r, struct my_set *set,
			 const MYSQL_FIELD *fields, size_t n);

/*
 * The next row of the set that is not dropped. False at the end of the set,
 * however it ended. The columns come before the server has looked for a row:
 * the sink hears of the set when there is one, or an end that is no failure.
 */
bool my_run_next_row(struct my_run *r, struct my_set *set, unsigned char **row,
		     size_t *len);

/*
 * A result is complete, the last one or not: n_rows of a set, or n_changes
 * without one. A procedure's last is that of CALL itself.
 */
void my_run_end_result(struct my_run *r, bool last, int64_t n_rows,
		       int64_t n_changes);

/* Whether the server takes so many bytes at once: 0, -EFBIG, or a failure. */
int my_run_check_size(struct my_run *r, size_t size);

/* Runs it as a prepared statement; what failed is in r. */
void my_stmt_run(struct my_run *r, const struct db_args *args);

#endif
