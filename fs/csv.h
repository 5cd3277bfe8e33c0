/* SPDX-License-Identifier: MIT */
/*
 * CSV as PostgreSQL's COPY .. (FORMAT csv, HEADER) writes it: comma, LF, a
 * cell quoted only when it holds a comma, a quote, CR or LF, or would be taken
 * for NULL (it is empty) or for the end of data (`\.` alone on its line).
 *
 * Pure: works on the caller's memory and knows nothing of rows.
 */
#ifndef CONNFS_FS_CSV_H
#define CONNFS_FS_CSV_H

#include <stdbool.h>
#include <stddef.h>

/* Room csv_cell() needs for a cell of len bytes. */
#define CSV_ROOM(len) (2 * (len) + 2 + 16)

/*
 * Writes one cell and returns the byte after it. alone: it is the only column
 * of its row.
 */
char *csv_cell(char *out, const char *data, size_t len, bool alone);

/* For cells too large for one piece: the same in steps. */
bool csv_needs_quotes(const char *data, size_t len, bool alone);

/* Writes len bytes with quotes doubled; out has room for 2 * len + 16. */
char *csv_escape(char *out, const char *data, size_t len);

#endif
