/* SPDX-License-Identifier: MIT */
/*
 * Of result sets whose columns may hold numbers and text in turn (SQLite's):
 * which cells are numbers. What CSV does not tell, kept as the places where a
 * column changes from one to the other, of which there are few.
 *
 * A cell that does not look like a number (it begins with neither a digit nor
 * a minus) is none in any format, whatever is said of it here. So once half of
 * what is kept is used up, such cells are not told apart any more, and words
 * among numbers never use up the rest.
 *
 * One writer, the worker; any number of readers on any thread.
 */
#ifndef CONNFS_FS_CELL_KINDS_H
#define CONNFS_FS_CELL_KINDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cell_kinds;
struct db_cell;

/* Changes that are kept, of all columns together. */
enum { CELL_KINDS_MAX = 256 * 1024 };

struct cell_kinds *cell_kinds_create(size_t n_cols); /* null: no memory */
void cell_kinds_destroy(struct cell_kinds *k);       /* null is allowed */

/*
 * The writer, of every row, before any of it is committed. Cheap when nothing
 * changes.
 */
void cell_kinds_add_row(struct cell_kinds *k, const struct db_cell *cells);

/* Of a row that has been added, from 0, and a cell that is not NULL. */
bool cell_kinds_is_number(const struct cell_kinds *k, uint64_t row, size_t col);

/*
 * Changes were more than are kept (or there was no memory for them): what is
 * said of later rows is not to be relied on. Whoever asks after a row has been
 * committed is told of all up to that row.
 */
bool cell_kinds_overflowed(const struct cell_kinds *k);

#endif
