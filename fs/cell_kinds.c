/* SPDX-License-Identifier: MIT */
#include "fs/cell_kinds.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "backends/db.h"

enum {
	FIRST_CHUNK = 16, /* changes; each chunk holds twice as many */
	MAX_CHUNKS = 15,
};

_Static_assert(FIRST_CHUNK *((1 << MAX_CHUNKS) - 1) >= CELL_KINDS_MAX,
	       "all of them may be of one column");

/*
 * The rows in which one column changes, in order; it begins as text. What has
 * been counted neither moves nor changes, so readers need no lock.
 */
struct column {
	atomic_size_t n;
	uint64_t first;
	uint64_t **chunks; /* of the others; null: there are none */
};

struct cell_kinds {
	atomic_bool overflowed;
	size_t n_cols;
	struct column *cols;

	/* The writer's. */
	uint64_t n_rows;
	size_t n_changes;
	bool *now; /* per column: it is at numbers */
};

struct cell_kinds *cell_kinds_create(size_t n_cols)
{
	struct cell_kinds *k = calloc(1, sizeof(*k));

	if (k == NULL)
		return NULL;
	k->cols = calloc(n_cols + 1, sizeof(*k->cols));
	k->now = calloc(n_cols + 1, sizeof(*k->now));
	if (k->cols == NULL || k->now == NULL) {
		cell_kinds_destroy(k);
		return NULL;
	}
	k->n_cols = n_cols;
	return k;
}

void cell_kinds_destroy(struct cell_kinds *k)
{
	if (k == NULL)
		return;
	for (size_t i = 0; i < k->n_cols; i++) {
		for (size_t j = 0; k->cols[i].chunks != NULL && j < MAX_CHUNKS;
		     j++)
			free(k->cols[i].chunks[j]);
		free(k->cols[i].chunks);
	}
	free(k->cols);
	free(k->now);
	free(k);
}

/* Where a change but the first is: *i of all becomes its place in its chunk. */
static size_t find_chunk(size_t *i)
{
	size_t chunk =
		(size_t)(63 - __builtin_clzll((*i - 1) / FIRST_CHUNK + 1));

	*i -= 1 + FIRST_CHUNK * (((size_t)1 << chunk) - 1);
	return chunk;
}

static uint64_t change_at(const struct column *c, size_t i)
{
	size_t chunk;

	if (i == 0)
		return c->first;
	chunk = find_chunk(&i);
	return c->chunks[chunk][i];
}

/* Room for one more. Null: no memory. */
static uint64_t *reserve(struct column *c, size_t i)
{
	size_t chunk;

	if (i == 0)
		return &c->first;
	if (c->chunks == NULL)
		c->chunks = calloc(MAX_CHUNKS, sizeof(*c->chunks));
	if (c->chunks == NULL)
		return NULL;
	chunk = find_chunk(&i);
	if (c->chunks[chunk] == NULL)
		c->chunks[chunk] = calloc((size_t)FIRST_CHUNK << chunk,
					  sizeof(**c->chunks));
	return c->chunks[chunk] != NULL ? &c->chunks[chunk][i] : NULL;
}

static void change(struct cell_kinds *k, size_t col)
{
	struct column *c = &k->cols[col];
	size_t n = atomic_load_explicit(&c->n, memory_order_relaxed);
	uint64_t *place = NULL;

	if (k->n_changes < CELL_KINDS_MAX)
		place = reserve(c, n);
	if (place == NULL) {
		atomic_store_explicit(&k->overflowed, true,
				      memory_order_release);
		return;
	}
	*place = k->n_rows;
	atomic_store_explicit(&c->n, n + 1, memory_order_release);
	k->n_changes++;
	k->now[col] = !k->now[col];
}

static bool looks_like_number(const struct db_cell *cell)
{
	return cell->len > 0 &&
	       (cell->data[0] == '-' ||
		(cell->data[0] >= '0' && cell->data[0] <= '9'));
}

static bool matters(const struct cell_kinds *k, const struct db_cell *cell)
{
	if (cell->data == NULL)
		return false;
	return k->n_changes < CELL_KINDS_MAX / 2 || looks_like_number(cell);
}

static void take_changes(struct cell_kinds *k, const struct db_cell *cells)
{
	for (size_t i = 0; i < k->n_cols; i++) {
		if (cells[i].is_number != k->now[i] && matters(k, &cells[i]))
			change(k, i);
	}
}

void cell_kinds_add_row(struct cell_kinds *k, const struct db_cell *cells)
{
	bool differs = false;

	/* Without branches, as nearly every row is like the one before. */
	for (size_t i = 0; i < k->n_cols; i++)
		differs |= cells[i].is_number ^ k->now[i];
	if (differs)
		take_changes(k, cells);
	k->n_rows++;
}

bool cell_kinds_is_number(const struct cell_kinds *k, uint64_t row, size_t col)
{
	const struct column *c = &k->cols[col];
	size_t low = 0;
	size_t high = atomic_load_explicit(&c->n, memory_order_acquire);

	/* How many changes there were up to this row. */
	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (change_at(c, middle) <= row)
			low = middle + 1;
		else
			high = middle;
	}
	return low % 2 == 1;
}

bool cell_kinds_overflowed(const struct cell_kinds *k)
{
	return atomic_load_explicit(&k->overflowed, memory_order_acquire);
}
