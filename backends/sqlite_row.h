/* SPDX-License-Identifier: MIT */
/*
 * The columns and the current row of a statement as the sink wants them:
 * text. Integers and reals are printed as PostgreSQL prints them. What is not
 * text is shown as \x and hex: blobs, and TEXT that is not UTF-8. Private to
 * sqlite*.c.
 */
#ifndef CONNFS_BACKENDS_SQLITE_ROW_H
#define CONNFS_BACKENDS_SQLITE_ROW_H

#include <sqlite3.h>
#include <stddef.h>
#include <stdint.h>

#include "backends/db.h"

struct err;
struct sqlite_cell;

struct sqlite_row {
	sqlite3_stmt *stmt;
	size_t max; /* bytes of all cells together */
	size_t n_cols;
	struct db_column *cols;
	struct db_cell *cells;      /* after sqlite_row_fetch() */
	struct sqlite_cell *memory; /* where printed cells are */
	char *hex;
	size_t hex_cap;
};

/*
 * After the first sqlite3_step() of stmt, which must outlive it. The types of
 * columns that are no table's are those of the first row, NULL without one.
 * 0 or -ENOMEM; finish in both cases.
 */
int sqlite_row_init(struct sqlite_row *row, sqlite3_stmt *stmt, size_t max,
		    struct err *err);
void sqlite_row_finish(struct sqlite_row *row);

/*
 * Fills row->cells; they are good until the next step. -EFBIG: the row is
 * larger than max; -ENOMEM.
 */
int sqlite_row_fetch(struct sqlite_row *row, struct err *err);

enum { SQLITE_NUMBER_SIZE = 32 };

/* Print a number, without a terminator; return the bytes written. */
size_t sqlite_put_integer(char out[SQLITE_NUMBER_SIZE], int64_t value);
size_t sqlite_put_real(char out[SQLITE_NUMBER_SIZE], double value);

#endif
