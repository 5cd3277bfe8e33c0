/* SPDX-License-Identifier: MIT */
/*
 * CSV taken apart: known texts, and random cells as csv_cell() writes them,
 * whatever pieces they come in.
 *
 *     test_csv_reader [ROUNDS]
 */
#include "fs/csv_reader.h"

#include <errno.h>
#include <stdint.h>

#include "common/buf.h"
#include "fs/csv.h"
#include "tests/unit/check.h"
#include "tests/unit/encode_run.h"

enum { DEFAULT_ROUNDS = 20000, STEP_RANDOM = 0 };

struct run {
	struct csv_reader reader;
	bool in_cell; /* some of a cell was given */
	struct buf *out;
};

static void put_piece(struct run *run, const struct csv_piece *piece)
{
	size_t n_cols = run->reader.n_cols;
	bool ended = piece->end != CSV_GOES_ON;

	CHECK(piece->first == !run->in_cell);
	CHECK(piece->len <= CSV_PIECE_MAX);
	CHECK(piece->data + piece->len <= piece->limit);
	CHECK(piece->col < (n_cols > 0 ? n_cols : 1));
	CHECK(csv_reader_at_row(&run->reader) == (piece->end == CSV_ROW_END));
	if (piece->null)
		buf_puts(run->out, "<null>");
	else if (piece->first)
		buf_putc(run->out, '[');
	buf_put(run->out, piece->data, piece->len);
	if (!piece->null && ended)
		buf_putc(run->out, ']');
	if (piece->end == CSV_ROW_END)
		buf_putc(run->out, '\n');
	run->in_cell = !ended;
}

/* In memory of its own, so that a read behind it is seen. */
static int take_piece(struct run *run, const char *text, size_t len)
{
	struct csv_piece piece;
	char *copy = malloc(len);
	const char *p = copy;
	int rc;

	CHECK(copy != NULL);
	memcpy(copy, text, len);
	while ((rc = csv_reader_next(&run->reader, &p, copy + len, &piece)) > 0)
		put_piece(run, &piece);
	CHECK(rc < 0 || p == copy + len);
	free(copy);
	return rc;
}

/*
 * Reads text in pieces of step bytes and writes what it finds: cells in
 * brackets, <null>, LF behind a row. 1: it ends inside of a row.
 */
static int take_apart(const char *text, size_t len, size_t n_cols, size_t step,
		      struct buf *out)
{
	struct run run = {.out = out};
	int rc = 0;

	csv_reader_init(&run.reader, n_cols);
	CHECK(csv_reader_at_row(&run.reader));
	while (len > 0 && rc == 0) {
		size_t n =
			step != STEP_RANDOM ? step : 1 + encode_random() % 40;

		n = n < len ? n : len;
		rc = take_piece(&run, text, n);
		text += n;
		len -= n;
	}
	if (rc < 0)
		CHECK(take_piece(&run, "a", 1) == rc);
	return rc == 0 && !csv_reader_at_row(&run.reader) ? 1 : rc;
}

/* However it is cut. */
static void check_apart(const char *text, size_t len, size_t n_cols, int rc,
			const char *expected)
{
	static const size_t steps[] = {1,  2,  3,        7,          16,
				       17, 64, SIZE_MAX, STEP_RANDOM};

	for (size_t i = 0; i < COUNT(steps); i++) {
		struct buf out;

		buf_init(&out, ENCODE_MAX);
		CHECK(take_apart(text, len, n_cols, steps[i], &out) == rc);
		if (rc == 0)
			CHECK_TEXT(buf_cstr(&out), expected);
		buf_finish(&out);
	}
}

static void test_known(void)
{
	static const struct {
		const char *text;
		size_t n_cols;
		const char *expected;
	} texts[] = {
		{"", 1, ""},
		{"a\n", 1, "[a]\n"},
		{"\n", 1, "<null>\n"},
		{"\"\"\n", 1, "[]\n"},
		{"\"\\.\"\n", 1, "[\\.]\n"},
		{"\n\n", 0, "<null>\n<null>\n"},
		{",,\n", 3, "<null><null><null>\n"},
		{"a,,b\n,\"\",\n", 3, "[a]<null>[b]\n<null>[]<null>\n"},
		{"\"a,b\",\"c\nd\"\n", 2, "[a,b][c\nd]\n"},
		{"\"\"\"\",\"a\"\"b\"\n", 2, "[\"][a\"b]\n"},
		{"\"\"\"\"\"\",\"x\"\"\"\n", 2, "[\"\"][x\"]\n"},
		{"\xc3\xa9,\"\xc3\xa9,\"\n", 2, "[\xc3\xa9][\xc3\xa9,]\n"},
		{"exactly 16 bytes,0123456789abcde,0123456789abcdef0\n", 3,
		 "[exactly 16 bytes][0123456789abcde][0123456789abcdef0]\n"},
		{"\r\n", 1, "[\r]\n"},
	};

	for (size_t i = 0; i < COUNT(texts); i++)
		check_apart(texts[i].text, strlen(texts[i].text),
			    texts[i].n_cols, 0, texts[i].expected);
}

static void test_broken(void)
{
	static const struct {
		const char *text;
		size_t n_cols;
		int rc;
	} texts[] = {
		{"a,b\n", 1, -EILSEQ},
		{"a\n", 2, -EILSEQ},
		{"\n", 2, -EILSEQ},
		{",\n", 1, -EILSEQ},
		{"a\n", 0, -EILSEQ},
		{"\"\"\n", 0, -EILSEQ},
		{",\n", 0, -EILSEQ},
		{"a,0123456789abcdef\n", 0, -EILSEQ},
		{"a,0123456789abcdef\n", 1, -EILSEQ},
		{"a\n0123456789abcdef\n", 2, -EILSEQ},
		{"a\"\n", 1, -EILSEQ},
		{"a\"b\"\n", 1, -EILSEQ},
		{"\"a\"b\n", 1, -EILSEQ},
		{"\"a\" \n", 1, -EILSEQ},
		{"0123456789abcdef\"\n", 1, -EILSEQ},
		{"a", 1, 1},
		{"\"", 1, 1},
		{"\"a", 1, 1},
		{"\"a\"", 1, 1},
		{"\"a\"\"", 1, 1},
		{"\"a\n", 1, 1},
		{"a,", 2, 1},
	};

	for (size_t i = 0; i < COUNT(texts); i++)
		check_apart(texts[i].text, strlen(texts[i].text),
			    texts[i].n_cols, texts[i].rc, NULL);
}

/* Longer than a piece may be, with and without quotes. */
static void test_long(void)
{
	enum { LEN = 5 * CSV_PIECE_MAX / 2 };
	struct buf csv, expected, out;

	for (int quotes = 0; quotes < 2; quotes++) {
		buf_init(&csv, ENCODE_MAX);
		buf_init(&expected, ENCODE_MAX);
		buf_init(&out, ENCODE_MAX);
		buf_puts(&csv, quotes ? "\"" : "");
		buf_puts(&expected, "[");
		for (size_t i = 0; i < LEN; i++) {
			bool quote = quotes && i % 1000 == 999;

			buf_puts(&csv, quote ? "\"\"" : "x");
			buf_putc(&expected, quote ? '"' : 'x');
		}
		buf_puts(&csv, quotes ? "\"\n" : "\n");
		buf_puts(&expected, "]\n");
		CHECK(take_apart(csv.data, csv.len, 1, SIZE_MAX, &out) == 0);
		CHECK_TEXT(buf_cstr(&out), buf_cstr(&expected));
		buf_finish(&csv);
		buf_finish(&expected);
		buf_finish(&out);
	}
}

static void put_random_cell(struct buf *csv, struct buf *expected, bool alone)
{
	static const char letters[] = "ab,\"\n\rcdefgh\\.";
	char value[50], cell[CSV_ROOM(sizeof(value))];
	size_t len = encode_random() % sizeof(value);
	size_t kinds = 1 + encode_random() % (sizeof(letters) - 1);

	if (encode_random() % 5 == 0) {
		buf_puts(expected, "<null>");
		return;
	}
	for (size_t i = 0; i < len; i++)
		value[i] = letters[encode_random() % kinds];
	buf_put(csv, cell, (size_t)(csv_cell(cell, value, len, alone) - cell));
	buf_putc(expected, '[');
	buf_put(expected, value, len);
	buf_putc(expected, ']');
}

static void test_random(long rounds)
{
	struct buf csv, expected;

	buf_init(&csv, ENCODE_MAX);
	buf_init(&expected, ENCODE_MAX);
	while (rounds-- > 0) {
		size_t n_cols = 1 + encode_random() % 5;
		size_t n_rows = encode_random() % 5;

		for (size_t i = 0; i < n_rows * n_cols; i++) {
			bool last = i % n_cols == n_cols - 1;

			put_random_cell(&csv, &expected, n_cols == 1);
			buf_putc(&csv, last ? '\n' : ',');
			buf_puts(&expected, last ? "\n" : "");
		}
		CHECK(buf_cstr(&csv) != NULL);
		check_apart(csv.data, csv.len, n_cols, 0, buf_cstr(&expected));
		buf_reset(&csv);
		buf_reset(&expected);
	}
	buf_finish(&csv);
	buf_finish(&expected);
}

int main(int argc, char **argv)
{
	test_known();
	test_broken();
	test_long();
	test_random(argc > 1 ? strtol(argv[1], NULL, 10) : DEFAULT_ROUNDS);
	return 0;
}
