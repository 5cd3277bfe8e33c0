/* SPDX-License-Identifier: MIT */
/*
 * The encoder of CSV against the rules of PostgreSQL's CopyAttributeOutCSV(),
 * written down once more a byte at a time: every value of a table, and random
 * ones at every alignment, in one piece and in steps.
 *
 *     test_csv [ROUNDS]
 */
#include "fs/csv.h"

#include <stdint.h>

#include "tests/unit/check.h"

enum { DEFAULT_ROUNDS = 200000, MAX_LEN = 200, GUARD = 32 };

static uint64_t seed = 88172645463325252u;

static uint64_t random_bits(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed;
}

static bool slow_needs_quotes(const char *data, size_t len, bool alone)
{
	if (len == 0 || (alone && len == 2 && memcmp(data, "\\.", 2) == 0))
		return true;
	for (size_t i = 0; i < len; i++) {
		if (data[i] == ',' || data[i] == '"' || data[i] == '\n' ||
		    data[i] == '\r')
			return true;
	}
	return false;
}

static size_t slow_cell(char *out, const char *data, size_t len, bool alone)
{
	bool quotes = slow_needs_quotes(data, len, alone);
	size_t n = 0;

	if (quotes)
		out[n++] = '"';
	for (size_t i = 0; i < len; i++) {
		if (data[i] == '"')
			out[n++] = '"';
		out[n++] = data[i];
	}
	if (quotes)
		out[n++] = '"';
	return n;
}

/* In steps of n bytes, as a cell too large for one piece is written. */
static size_t stepped_cell(char *out, const char *data, size_t len, bool alone,
			   size_t step)
{
	bool quotes = csv_needs_quotes(data, len, alone);
	char *p = out;

	if (!quotes) {
		memcpy(out, data, len);
		return len;
	}
	*p++ = '"';
	for (size_t i = 0; i < len; i += step)
		p = csv_escape(p, data + i, len - i < step ? len - i : step);
	*p++ = '"';
	return (size_t)(p - out);
}

/* The cell lies at the end of its memory: a read behind it is caught. */
static void compare(const char *value, size_t len, bool alone)
{
	char expected[2 * MAX_LEN + 2], got[CSV_ROOM(MAX_LEN) + GUARD];
	size_t n = slow_cell(expected, value, len, alone), room = CSV_ROOM(len);
	char *data = malloc(len > 0 ? len : 1);
	char *end;

	CHECK(data != NULL);
	memmove(data, value, len);
	memset(got, '#', sizeof(got));
	end = csv_cell(got, data, len, alone);
	CHECK((size_t)(end - got) == n);
	CHECK(memcmp(got, expected, n) == 0);
	for (size_t i = room; i < sizeof(got); i++)
		CHECK(got[i] == '#');
	CHECK(csv_needs_quotes(data, len, alone) ==
	      slow_needs_quotes(data, len, alone));
	CHECK(stepped_cell(got, data, len, alone, 1 + len / 3) == n);
	CHECK(memcmp(got, expected, n) == 0);
	free(data);
}

static void test_known(void)
{
	static const struct {
		const char *value;
		const char *among; /* other columns */
		const char *alone;
	} cells[] = {
		{"", "\"\"", "\"\""},
		{"a", "a", "a"},
		{" ", " ", " "},
		{"\\.", "\\.", "\"\\.\""},
		{"\\.x", "\\.x", "\\.x"},
		{"\\", "\\", "\\"},
		{"\\N", "\\N", "\\N"},
		{",", "\",\"", "\",\""},
		{"\"", "\"\"\"\"", "\"\"\"\""},
		{"a\"b", "\"a\"\"b\"", "\"a\"\"b\""},
		{"\n", "\"\n\"", "\"\n\""},
		{"\r", "\"\r\"", "\"\r\""},
		{"\t'; ", "\t'; ", "\t'; "},
		{"\xc3\xa9,", "\"\xc3\xa9,\"", "\"\xc3\xa9,\""},
		{"\xac\xa2\x8a\x8d", "\xac\xa2\x8a\x8d", "\xac\xa2\x8a\x8d"},
	};

	for (size_t i = 0; i < COUNT(cells); i++) {
		const char *value = cells[i].value;
		size_t len = strlen(value);
		char got[256];

		*csv_cell(got, value, len, false) = '\0';
		CHECK_TEXT(got, cells[i].among);
		*csv_cell(got, value, len, true) = '\0';
		CHECK_TEXT(got, cells[i].alone);
		compare(value, len, false);
		compare(value, len, true);
	}
}

/* One special byte at each place of cells of each length. */
static void test_every_place(void)
{
	static const char specials[] = {',', '"', '\n', '\r', '\0', '\\', '#'};
	char value[MAX_LEN];

	for (size_t len = 1; len <= 70; len++) {
		for (size_t at = 0; at < len; at++) {
			for (size_t i = 0; i < COUNT(specials); i++) {
				memset(value, 'x', len);
				value[at] = specials[i];
				compare(value, len, i % 2 == 0);
			}
		}
	}
}

/* Few kinds of bytes, so that the special ones are neither rare nor rife. */
static void test_random(long rounds)
{
	static const char *const alphabets[] = {
		"ab,\"\n\r\\.", "abcdefghijklmnopqrstuvwxyz0123456789 -:.\"",
		"\"",           "a",
		"\\.",          "\xc3\xa9\xac\x8a,x"};
	char value[MAX_LEN];

	for (long round = 0; round < rounds; round++) {
		const char *alphabet =
			alphabets[random_bits() % COUNT(alphabets)];
		size_t n = strlen(alphabet);
		size_t len =
			random_bits() % (random_bits() % 4 > 0 ? 40 : MAX_LEN);

		for (size_t i = 0; i < len; i++)
			value[i] = alphabet[random_bits() % n];
		compare(value, len, random_bits() % 2 > 0);
	}
}

int main(int argc, char **argv)
{
	test_known();
	test_every_place();
	test_random(argc > 1 ? strtol(argv[1], NULL, 10) : DEFAULT_ROUNDS);
	return 0;
}
