/* SPDX-License-Identifier: MIT */
/*
 * Places to resume from: the nearest one before an offset is found, they are
 * never too many, and only the first who got to the end is believed.
 */
#include "fs/format_index.h"

#include "tests/unit/check.h"

#define KIB UINT64_C(1024)
#define MIB (1024 * KIB)

/* One row a KiB of output, and half of that of CSV. */
static struct format_point place(uint64_t row)
{
	return (struct format_point){
		.row = row,
		.in = row * 512,
		.out = row * KIB,
	};
}

static void take_down(struct format_points *p, uint64_t n_rows)
{
	for (uint64_t row = 0; row < n_rows; row++) {
		struct format_point at = place(row);

		if (format_points_due(p, at.out))
			format_points_add(p, &at);
	}
}

static void finds(struct format_index *index, uint64_t out, uint64_t row)
{
	struct format_point at;

	format_index_find(index, FORMAT_JSON, out, &at);
	CHECK(at.row == row);
	CHECK(at.in == row * 512);
	CHECK(at.out == row * KIB);
}

static void test_the_nearest_place_before_is_found(void)
{
	struct format_index *index = format_index_create();
	struct format_points points = {0};
	uint64_t size;

	CHECK(index != NULL);
	finds(index, 5 * MIB, 0);
	take_down(&points, 1000);
	CHECK(points.n == 3);
	format_index_publish(index, FORMAT_JSON, 1000 * KIB, &points);
	CHECK(points.all == NULL);
	finds(index, 0, 0);
	finds(index, FORMAT_STEP - 1, 0);
	finds(index, FORMAT_STEP, 256);
	finds(index, 3 * FORMAT_STEP - 1, 512);
	finds(index, 5 * MIB, 768);
	CHECK(format_index_size(index, FORMAT_JSON, &size));
	CHECK(size == 1000 * KIB);
	CHECK(!format_index_size(index, FORMAT_TSV, &size));
	format_index_destroy(index);
}

static void test_the_first_one_counts(void)
{
	struct format_index *index = format_index_create();
	struct format_points first = {0}, second = {0};
	uint64_t size;

	CHECK(index != NULL);
	take_down(&first, 1000);
	take_down(&second, 300);
	format_index_publish(index, FORMAT_JSON, 1, &first);
	format_index_publish(index, FORMAT_JSON, 2, &second);
	CHECK(format_index_size(index, FORMAT_JSON, &size));
	CHECK(size == 1);
	finds(index, 5 * MIB, 768);
	format_index_destroy(index);
}

/* 20 GiB: what is kept stays small, and close enough. */
static void test_they_never_become_many(void)
{
	struct format_index *index = format_index_create();
	struct format_points points = {0};
	uint64_t n_rows = 20 * MIB;

	CHECK(index != NULL);
	take_down(&points, n_rows);
	CHECK(points.n <= 16 * KIB);
	CHECK(points.n > 8 * KIB);
	for (size_t i = 1; i < points.n; i++)
		CHECK(points.all[i].out - points.all[i - 1].out <= 2 * MIB);
	format_index_publish(index, FORMAT_JSON, n_rows * KIB, &points);
	for (uint64_t out = 0; out < n_rows * KIB; out += 77 * MIB) {
		struct format_point at;

		format_index_find(index, FORMAT_JSON, out, &at);
		CHECK(at.out <= out);
		CHECK(out - at.out <= 2 * MIB);
		CHECK(at.in * 2 == at.out);
	}
	format_index_destroy(index);
}

static void test_one_at_a_time_counts(void)
{
	struct format_index *index = format_index_create();

	CHECK(index != NULL);
	CHECK(format_index_claim(index, FORMAT_TSV, FORMAT_IN_TURN));
	CHECK(!format_index_claim(index, FORMAT_TSV, FORMAT_IN_TURN));
	CHECK(format_index_claim(index, FORMAT_TSV, FORMAT_AT_ONCE));
	CHECK(format_index_claim(index, FORMAT_TXT, FORMAT_IN_TURN));
	format_index_unclaim(index, FORMAT_TSV, FORMAT_IN_TURN);
	CHECK(format_index_claim(index, FORMAT_TSV, FORMAT_IN_TURN));
	format_index_destroy(index);
}

int main(void)
{
	test_the_nearest_place_before_is_found();
	test_the_first_one_counts();
	test_they_never_become_many();
	test_one_at_a_time_counts();
	return 0;
}
