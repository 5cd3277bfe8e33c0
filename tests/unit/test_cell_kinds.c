/* SPDX-License-Identifier: MIT */
/*
 * Which cells are numbers, where columns change between them and text: against
 * the kinds themselves, up to the limit, and read while it is written.
 */
#include "fs/cell_kinds.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "backends/db.h"
#include "tests/unit/check.h"

enum { MANY = 100000, COLS = 5, READERS = 2 };

enum cell { NUMBER, DIGITS, MINUS, WORDS, EMPTY, NOTHING, INFINITE, CELLS };

static const struct db_cell cells_of[CELLS] = {
	[NUMBER] = {.data = "7", .len = 1, .is_number = true},
	[DIGITS] = {.data = "7", .len = 1},
	[MINUS] = {.data = "-x", .len = 2},
	[WORDS] = {.data = "x7", .len = 2},
	[EMPTY] = {.data = "", .len = 0},
	[NOTHING] = {.data = NULL},
	[INFINITE] = {.data = "Infinity", .len = 8, .is_number = true},
};

static void check_column(const enum cell *column, size_t n)
{
	struct cell_kinds *k = cell_kinds_create(1);

	CHECK(k != NULL);
	for (size_t i = 0; i < n; i++)
		cell_kinds_add_row(k, &cells_of[column[i]]);
	for (size_t i = 0; i < n; i++) {
		if (column[i] != NOTHING)
			CHECK(cell_kinds_is_number(k, i, 0) ==
			      cells_of[column[i]].is_number);
	}
	CHECK(!cell_kinds_overflowed(k));
	cell_kinds_destroy(k);
}

/* All columns of six cells. */
static void test_changes(void)
{
	size_t n = (size_t)CELLS * CELLS * CELLS * CELLS * CELLS * CELLS;
	enum cell column[6];

	for (size_t i = 0; i < n; i++) {
		size_t left = i;

		for (size_t j = 0; j < COUNT(column); j++) {
			column[j] = (enum cell)(left % CELLS);
			left /= CELLS;
		}
		check_column(column, COUNT(column));
	}
}

/* Of that row and column, in a table that changes at very different rates. */
static bool kind_at(uint64_t row, size_t col)
{
	static const uint64_t every[COLS] = {1, 3, 1000, 49999, MANY};

	return (row / every[col]) % 2 == (col == 4 ? 0 : 1);
}

static void add_row(struct cell_kinds *k, uint64_t row)
{
	struct db_cell cells[COLS];

	for (size_t i = 0; i < COLS; i++)
		cells[i] =
			kind_at(row, i) ? cells_of[NUMBER] : cells_of[DIGITS];
	cell_kinds_add_row(k, cells);
}

static void check_row(const struct cell_kinds *k, uint64_t row)
{
	for (size_t col = 0; col < COLS; col++)
		CHECK(cell_kinds_is_number(k, row, col) == kind_at(row, col));
}

static void test_columns_do_not_mix(void)
{
	struct cell_kinds *k = cell_kinds_create(COLS);

	CHECK(k != NULL);
	for (uint64_t row = 0; row < MANY; row++)
		add_row(k, row);
	for (uint64_t row = MANY; row-- > 0;)
		check_row(k, row);
	CHECK(!cell_kinds_overflowed(k));
	cell_kinds_destroy(k);
}

/* The last one that is kept is good, and so is what was before it. */
static void test_limit(size_t n_cols)
{
	struct cell_kinds *k = cell_kinds_create(n_cols);
	struct db_cell *cells = calloc(n_cols, sizeof(*cells));
	uint64_t rows = CELL_KINDS_MAX / n_cols;

	CHECK(k != NULL && cells != NULL);
	for (uint64_t row = 0; row < rows; row++) {
		for (size_t i = 0; i < n_cols; i++)
			cells[i] = row % 2 == 0 ? cells_of[NUMBER]
						: cells_of[DIGITS];
		cell_kinds_add_row(k, cells);
	}
	CHECK(!cell_kinds_overflowed(k));
	/* The same again, and what does not count, is no change. */
	cell_kinds_add_row(k, cells);
	for (size_t i = 0; i < n_cols; i++)
		cells[i] = cells_of[INFINITE];
	cell_kinds_add_row(k, cells);
	CHECK(!cell_kinds_overflowed(k));
	cells[n_cols - 1] = rows % 2 == 0 ? cells_of[NUMBER] : cells_of[DIGITS];
	cell_kinds_add_row(k, cells);
	CHECK(cell_kinds_overflowed(k));
	for (uint64_t row = 0; row < rows; row++)
		CHECK(cell_kinds_is_number(k, row, n_cols - 1) ==
		      (row % 2 == 0));
	free(cells);
	cell_kinds_destroy(k);
}

/* However often they change, if only what looks like numbers is told apart. */
static void test_words_among_numbers(void)
{
	static const enum cell turns[] = {NUMBER, WORDS, NOTHING, INFINITE,
					  EMPTY};
	struct cell_kinds *k = cell_kinds_create(1);
	uint64_t rows = 4 * (uint64_t)CELL_KINDS_MAX;

	CHECK(k != NULL);
	for (uint64_t row = 0; row < rows; row++)
		cell_kinds_add_row(
			k,
			&cells_of[row % 1000 == 0 ? DIGITS : turns[row % 5]]);
	CHECK(!cell_kinds_overflowed(k));
	for (uint64_t row = 0; row < rows; row++) {
		if (row % 1000 == 0)
			CHECK(!cell_kinds_is_number(k, row, 0));
		else if (turns[row % 5] == NUMBER)
			CHECK(cell_kinds_is_number(k, row, 0));
	}
	cell_kinds_destroy(k);
}

/* They use up nothing, so that words are still told apart behind them. */
static void test_nulls_among_numbers(void)
{
	struct cell_kinds *k = cell_kinds_create(1);

	CHECK(k != NULL);
	for (int i = 0; i < CELL_KINDS_MAX; i++)
		cell_kinds_add_row(k, &cells_of[i % 2 ? NOTHING : NUMBER]);
	cell_kinds_add_row(k, &cells_of[WORDS]);
	CHECK(cell_kinds_is_number(k, 0, 0));
	CHECK(!cell_kinds_is_number(k, CELL_KINDS_MAX, 0));
	cell_kinds_destroy(k);
}

struct shared {
	struct cell_kinds *k;
	_Atomic uint64_t committed; /* rows */
};

static void *read_rows(void *arg)
{
	struct shared *s = arg;
	uint64_t row = 0, end;

	do {
		end = atomic_load_explicit(&s->committed, memory_order_acquire);
		for (; row < end; row++) {
			check_row(s->k, row);
			check_row(s->k, row * 7919 % (row + 1));
		}
		CHECK(!cell_kinds_overflowed(s->k));
	} while (end < MANY);
	return NULL;
}

static void test_readers_beside_the_writer(void)
{
	struct shared s = {.k = cell_kinds_create(COLS)};
	pthread_t readers[READERS];

	CHECK(s.k != NULL);
	for (size_t i = 0; i < READERS; i++)
		CHECK(pthread_create(&readers[i], NULL, read_rows, &s) == 0);
	for (uint64_t row = 0; row < MANY; row++) {
		add_row(s.k, row);
		atomic_store_explicit(&s.committed, row + 1,
				      memory_order_release);
	}
	for (size_t i = 0; i < READERS; i++)
		CHECK(pthread_join(readers[i], NULL) == 0);
	cell_kinds_destroy(s.k);
}

int main(void)
{
	test_changes();
	test_columns_do_not_mix();
	test_words_among_numbers();
	test_nulls_among_numbers();
	test_limit(1);
	test_limit(2);
	test_limit(2048);
	test_readers_beside_the_writer();
	cell_kinds_destroy(NULL);
	return 0;
}
