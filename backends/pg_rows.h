/* SPDX-License-Identifier: MIT */
/*
 * The server's rows, read where libpq received them. libpq's own way makes a
 * PGresult of each row and copies every cell into it, which takes twice the
 * processor time. All use of libpq's internals is in pg_rows.c.
 *
 * Everything but rows (and the data of COPY) is left to libpq. While rows are
 * read in place libpq must not see them: its functions that look at the input
 * are called through this module.
 *
 * With a libpq whose internals are not those this was compiled for, `direct`
 * is false: no row is found here and libpq returns them as PGresults.
 *
 * Belongs to the session's worker.
 */
#ifndef CONNFS_BACKENDS_PG_ROWS_H
#define CONNFS_BACKENDS_PG_ROWS_H

#include <libpq-fe.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "backends/pg_cancel.h"

struct db_cell;

struct pg_rows {
	PGconn *conn;      /* borrowed */
	bool direct;       /* libpq's internals are known */
	uint64_t received; /* bytes since pg_rows_trim(); 0 unless direct */
	size_t skip;       /* bytes of a row that are still to be dropped */
};

/* Lent until the next call of a function of this module. */
struct pg_row {
	bool copy;        /* data of COPY, not a row */
	const char *data; /* for pg_rows_cells(), or the bytes of COPY */
	size_t len;
};

enum pg_next {
	PG_NEXT_ROW,   /* *out is filled */
	PG_NEXT_INPUT, /* pg_rows_read() is needed to go on */
	PG_NEXT_LIBPQ, /* what comes next is libpq's */
};

/* After login, while nothing runs. */
void pg_rows_init(struct pg_rows *rows, PGconn *conn);

/*
 * Finds the next row. -EFBIG: its cells are longer than max together; -ENOMEM:
 * there is no memory for it. Such a row is dropped as it comes, and never held.
 */
int pg_rows_next(struct pg_rows *rows, size_t max, struct pg_row *out);

/* The input begins with a row, or so much of one that its length is known. */
bool pg_rows_ahead(const struct pg_rows *rows);

/*
 * Cuts a row into n cells, which point into it. -EPROTO when it is not made of
 * that many, or a length in it leads out of it.
 */
int pg_rows_cells(const struct pg_row *row, struct db_cell *cells, size_t n);

/* The columns of the row pg_rows_next() found; null unless direct. */
const PGresult *pg_rows_columns(const struct pg_rows *rows);

/* PQconsumeInput(). 1: bytes came, 0: none did, -1: the connection is gone. */
int pg_rows_read(struct pg_rows *rows);

/* The TLS layer holds bytes that poll() does not know of. */
bool pg_rows_pending(const struct pg_rows *rows);

/* PQisBusy(), PQgetResult(), PQgetCopyData(). */
bool pg_rows_busy(struct pg_rows *rows);
PGresult *pg_rows_result(struct pg_rows *rows);
int pg_rows_copy_data(struct pg_rows *rows, char **data);

/* At the end of a statement: gives back the memory a large row needed. */
void pg_rows_trim(struct pg_rows *rows);

/* To be asked for once, after login. */
struct pg_cancel_key pg_rows_cancel_key(const struct pg_rows *rows);

/*
 * libpq makes copies of a password that it is given as a parameter, and wipes
 * only one of them. So it is put where that one is. Before the connection is
 * polled the first time; null: there is none. False: there is no memory, or
 * libpq's internals are not known.
 */
bool pg_rows_give_password(PGconn *conn, const char *password);

/*
 * Between two polls of a login: SCRAM's copy of the password is overwritten as
 * soon as it has been used, as libpq frees it without that.
 */
void pg_rows_wipe_scram(PGconn *conn);

/* The login is over: what is left of its password is overwritten. */
void pg_rows_wipe_password(PGconn *conn);

/* SQLSTATE of the last failure of this connection, "" when not known. */
const char *pg_rows_sqlstate(const PGconn *conn);

#endif
