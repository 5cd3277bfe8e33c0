/* SPDX-License-Identifier: MIT */
/* A sink that writes down what a driver delivers, and checks for tests. */
#ifndef CONNFS_TESTS_UNIT_PG_SINK_H
#define CONNFS_TESTS_UNIT_PG_SINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "backends/db.h"
#include "common/buf.h"
#include "common/err.h"
#include "tests/unit/check.h"

#define CHECK_INT(got, expected) \
	check_int(__FILE__, __LINE__, #got, (got), (expected))

void check_int(const char *file, int line, const char *what, long got,
	       long expected);

struct seen {
	struct buf cols;    /* "a:int4+ b:text ", + for plain */
	struct buf shapes;  /* a letter for each column: tnbjv */
	struct buf rows;    /* "1|<null>\n"; of COPY the bytes */
	struct buf numbers; /* "+-\n", + for cells that are numbers */
	struct buf notices; /* one a line */
	struct buf tag;     /* "SELECT 2/2"; -1 where it does not apply */
	struct buf failure; /* "ERROR 42601 message", detail and hint by / */
	long offset;        /* of the failure */
	size_t n_cols;
	size_t n_rows;
	size_t n_begins;
	size_t n_ends;
	size_t n_idles;
	size_t longest; /* cell, in bytes */
	struct err err;

	/* What to do. */
	size_t stop_at;  /* this row is answered with -ENOSPC; 0: none */
	bool count_only; /* rows are not written down */
	int idle_ms;     /* what idle() returns */
	void (*on_row)(void *arg, size_t n_rows);
	void *on_row_arg;
};

extern const struct db_sink seen_sink;

void seen_init(struct seen *seen);
void seen_finish(struct seen *seen);

/* Runs sql, with *seen as it is (but empty), and returns what db_exec() did. */
int run_sql(struct db *db, struct seen *seen, const char *sql);
int run_sql_args(struct db *db, struct seen *seen, const char *sql,
		 const struct db_args *args);

/* The first cell of what sql finds, for free(); "" when it failed. */
char *ask(struct db *db, const char *sql);

#endif
