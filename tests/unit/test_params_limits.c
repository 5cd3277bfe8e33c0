/* SPDX-License-Identifier: MIT */
/*
 * How much params.json takes, and how long that takes.
 *
 *     test_params_limits
 */
#include "fs/params.h"

#include <errno.h>
#include <stdint.h>
#include <time.h>

#include "common/err.h"
#include "fs/params_check.h"
#include "tests/unit/check.h"
#include "tests/unit/params_feed.h"

enum { MIB = 1024 * 1024, LONG_TEXT = 15 * MIB };

/* n times what stands between two ends. */
static char *repeat(const char *head, const char *unit, size_t n,
		    const char *tail, size_t *len)
{
	size_t at = strlen(head), size = strlen(unit);
	char *text;

	*len = at + n * size + strlen(tail);
	text = malloc(*len + 1);
	CHECK(text != NULL);
	memcpy(text, head, at + 1);
	for (size_t i = 0; i < n * size; i++)
		text[at++] = unit[i % size];
	memcpy(text + at, tail, strlen(tail) + 1);
	return text;
}

struct limit {
	const char *head, *unit;
	size_t n; /* the most that are taken */
	const char *tail;
	int rc; /* of one more */
	const char *why;
};

static void check_limit(const struct limit *l, size_t n, int expected,
			const char *why)
{
	struct params *p = params_create();
	struct err err = {0};
	size_t len;
	char *text = repeat(l->head, l->unit, n, l->tail, &len);

	CHECK(feed(p, text, len, 4096, 4096, &err) == expected);
	CHECK(strstr(err.msg, why) != NULL);
	params_unref(p);
	free(text);
}

static void test_limits(void)
{
	static const struct limit limits[] = {
		{"[0", ",0", PARAMS_MAX - 1, "]", -EINVAL,
		 "more than 65535 parameters"},
		{"[[0", ",0", PARAMS_MAX_VALUES - 2, "]]", -EFBIG,
		 "more than 1000000 values"},
		{"[\"", "a", PARAMS_MAX_TEXT - 4, "\"]", -EFBIG,
		 "16 MiB of text at most"},
	};

	for (size_t i = 0; i < COUNT(limits); i++) {
		check_limit(&limits[i], limits[i].n, 1, "");
		check_limit(&limits[i], limits[i].n + 1, limits[i].rc,
			    limits[i].why);
	}
}

static void check_depth(const char *open, const char *close, size_t depth,
			int expected)
{
	struct params *p = params_create();
	struct err err = {0};
	size_t len;
	char *text = repeat("", open, depth, "null", &len);
	int rc = feed(p, text, len, len, len, &err);

	free(text);
	text = repeat("", close, depth, "", &len);
	if (rc == 0)
		rc = feed(p, text, len, 7, 7, &err);
	CHECK(rc == expected);
	if (rc < 0)
		CHECK(strstr(err.msg, "nested deeper than 100 levels") != NULL);
	free(text);
	params_unref(p);
}

static void test_depth(void)
{
	check_depth("[", "]", PARAMS_MAX_DEPTH, 1);
	check_depth("[", "]", PARAMS_MAX_DEPTH + 1, -EINVAL);
	check_depth("{\"a\":", "}", PARAMS_MAX_DEPTH, 1);
	check_depth("{\"a\":", "}", PARAMS_MAX_DEPTH + 1, -EINVAL);
}

/* The text of an array stands in that of the array around it, and so on. */
static void test_copies_are_bounded(void)
{
	static const char *const heads[] = {"[[[[[[\"", "[{\"a\":[[[[\""};
	static const char *const tails[] = {"\"]]]]]]", "\"]]]]}]"};

	for (size_t i = 0; i < COUNT(heads); i++) {
		struct params *p = params_create();
		struct err err = {0};
		size_t len;
		char *text = repeat(heads[i], "a", LONG_TEXT, tails[i], &len);
		int rc = feed(p, text, len, len, len, &err);

		/* Within an object there is one text for all. */
		CHECK(rc == (i == 0 ? -EFBIG : 1));
		if (rc < 0)
			CHECK(strstr(err.msg, "nested too deeply") != NULL);
		params_unref(p);
		free(text);
	}
}

static uint64_t cpu_ms(void)
{
	struct timespec t;

	CHECK(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t) == 0);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static double time_scale(void)
{
	const char *scale = getenv("CONNFS_TIME_SCALE");

	return scale != NULL ? strtod(scale, NULL) : 1;
}

/* It runs on the thread of the loop. */
static void test_time(void)
{
	static const struct {
		const char *head, *unit, *tail;
	} shapes[] = {
		{"[\"", "abcdefgh", "\"]"},
		{"[\"", "\\u00e9\\n", "\"]"},
		{"[\"", "\xc3\xa9\xe2\x82\xac", "\"]"},
		{"[[1", ",12345678901234567890", "]]"},
		{"[{\"a\":[1", ",{\"b\":true}", "]}]"},
		{"[1", "1234567890", "]"},
	};

	for (size_t i = 0; i < COUNT(shapes); i++) {
		size_t n = (16 * MIB - 16) / strlen(shapes[i].unit), len;
		char *text = repeat(shapes[i].head, shapes[i].unit, n,
				    shapes[i].tail, &len);
		struct params *p = params_create();
		struct err err;
		uint64_t before = cpu_ms(), took;

		CHECK(feed(p, text, len, 4096, 4096, &err) == 1);
		took = cpu_ms() - before;
		(void)printf("%zu bytes of %s: %lu ms\n", len, shapes[i].unit,
			     (unsigned long)took);
		CHECK((double)took < 500 * time_scale());
		params_unref(p);
		free(text);
	}
}

int main(void)
{
	test_limits();
	test_depth();
	test_copies_are_bounded();
	test_time();
	return 0;
}
