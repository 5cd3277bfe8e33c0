/* SPDX-License-Identifier: MIT */
/* Text for eyes: what is shown of a value, how wide it is, and where it goes. */
#include <errno.h>

#include "fs/display.h"
#include "tests/unit/check.h"
#include "tests/unit/encode_run.h"

/* However the text is cut in two. */
static void check_display(const char *text, const char *shown, size_t expected)
{
	size_t len = strlen(text);

	for (size_t cut = 0; cut <= len; cut++) {
		char out[2 * DISPLAY_ROOM(32)], *end = out;
		struct display d = {.n_cut = 0};
		size_t width = 0, counted = 0;

		end = display_text(&d, end, text, cut, false, &width);
		end = display_text(&d, end, text + cut, len - cut, true,
				   &width);
		*end = '\0';
		CHECK_TEXT(out, shown);
		CHECK(width == expected && d.n_cut == 0);
		display_count(&d, text, cut, false, SIZE_MAX, &counted);
		display_count(&d, text + cut, len - cut, true, SIZE_MAX,
			      &counted);
		CHECK(counted == expected);
	}
}

static void test_display(void)
{
	static const struct {
		const char *text, *shown;
		size_t width;
	} texts[] = {
		{"", "", 0},
		{"a b~", "a b~", 4},
		{"\n\r\t\\", "\\n\\r\\t\\", 7},
		{"\x01\x1b[0m\x7f", "\\x01\\x1B[0m\\x7F", 15},
		{"\xc2\x80\xc2\x9f\xc2\xa0", "\\u0080\\u009F\xc2\xa0", 13},
		{"\xc3\xa9\xe4\xbd\xa0\xf0\x9f\x98\x80",
		 "\xc3\xa9\xe4\xbd\xa0\xf0\x9f\x98\x80", 5},
		{"e\xcc\x81", "e\xcc\x81", 1},
		/* Malformed: alone, overlong, half a pair, cut off. */
		{"\xff\x80", "\\xFF\\x80", 8},
		{"\xc0\xaf", "\\xC0\\xAF", 8},
		{"\xe0\x80\xaf", "\\xE0\\x80\\xAF", 12},
		{"\xed\xa0\x80", "\\xED\\xA0\\x80", 12},
		{"\xe4\xbd", "\\xE4\\xBD", 8},
		{"\xe4\xbd\xe4\xbd\xa0\xf0\x9f",
		 "\\xE4\\xBD\xe4\xbd\xa0\\xF0\\x9F", 18},
		{"\xf0\xf0\x9f\x98\x80z", "\\xF0\xf0\x9f\x98\x80z", 7},
	};

	for (size_t i = 0; i < COUNT(texts); i++)
		check_display(texts[i].text, texts[i].shown, texts[i].width);
}

static void check_txt(const char *columns, const char *csv,
		      const char *expected)
{
	struct format_head head;
	struct buf out;

	encode_head(&head, columns);
	buf_init(&out, ENCODE_MAX);
	encode_all_ways(FORMAT_TXT, &head, csv, strlen(csv), &out);
	CHECK_TEXT(buf_cstr(&out), expected);
	buf_finish(&out);
	format_head_finish(&head);
}

static void test_alignment(void)
{
	/* Wide and combining characters are counted in columns. */
	check_txt("name:t n:n x:t",
		  "name,n,x\n\xe4\xbd\xa0\xe5\xa5\xbd,1,a\n"
		  "e\xcc\x81,10,b\n\xf0\x9f\x98\x80,-3,c\n",
		  " name |  n | x\n------+----+---\n"
		  " \xe4\xbd\xa0\xe5\xa5\xbd |  1 | a\n"
		  " e\xcc\x81    | 10 | b\n \xf0\x9f\x98\x80   | -3 | c\n"
		  "(3 rows)\n");
	/* Names too, which are never cut, and stand with their values. */
	check_txt("\xe4\xbd\xa0:n long_name:n t:t",
		  "\xe4\xbd\xa0,long name,t\n1,2,x\n",
		  " \xe4\xbd\xa0 | long name | t\n----+-----------+---\n"
		  "  1 |         2 | x\n(1 row)\n");
	/* NULL is told from the text by nothing but its column's side. */
	check_txt("n:n t:t", "n,t\n,NULL\n12345,\n",
		  "     n | t\n-------+------\n  NULL | NULL\n"
		  " 12345 | NULL\n(2 rows)\n");
	/* What was shown as an escape is as wide as that. */
	check_txt("a:t b:t", "a,b\n\"1\n2\",x\n\t,\x1b\n",
		  " a    | b\n------+------\n 1\\n2 | x\n \\t   | \\x1B\n"
		  "(2 rows)\n");
	/* Numbers that hold more than digits. */
	check_txt("n:n", "n\nNaN\n-1.50\n\xc3\xa9\n",
		  "     n\n-------\n   NaN\n -1.50\n     \xc3\xa9\n(3 rows)\n");
	/* A character that is cut off ends with its value. */
	check_txt("a:t n:n", "a,n\nx\xe4\xbd,\xf0\x9f\nyz,1\n",
		  " a         |        n\n-----------+----------\n"
		  " x\\xE4\\xBD | \\xF0\\x9F\n yz        |        1\n"
		  "(2 rows)\n");
	/* The last column is not filled up, and an empty one leaves nothing. */
	check_txt("a:t n:n", "a,n\nx,\"\"\n\"\",100\n",
		  " a |   n\n---+-----\n x |\n   | 100\n(2 rows)\n");
}

static bool is_number(const void *arg, uint64_t row, size_t col)
{
	const char *rows = arg;

	CHECK(row < 3);
	return rows[row] == 'n' && col == 0;
}

/* A column that varies is to the right when all its values are numbers. */
static void test_varies(void)
{
	static const struct {
		const char *kinds, *expected;
	} cases[] = {
		{"nnn", "   v\n-----\n   1\n  22\n 333\n(3 rows)\n"},
		{"ntn", " v\n-----\n 1\n 22\n 333\n(3 rows)\n"},
		{"ttt", " v\n-----\n 1\n 22\n 333\n(3 rows)\n"},
	};
	static const char csv[] = "v\n1\n22\n333\n";

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct format_head head;
		struct buf out;

		encode_head(&head, "v:v");
		head.is_number = is_number;
		head.arg = cases[i].kinds;
		buf_init(&out, ENCODE_MAX);
		encode_all_ways(FORMAT_TXT, &head, csv, strlen(csv), &out);
		CHECK_TEXT(buf_cstr(&out), cases[i].expected);
		buf_finish(&out);
		format_head_finish(&head);
	}
}

/* Rows behind those that were looked at overflow, and nothing is cut. */
static void test_later_rows(void)
{
	struct buf csv, expected;

	buf_init(&csv, ENCODE_MAX);
	buf_init(&expected, ENCODE_MAX);
	buf_puts(&csv, "a,n\n");
	buf_puts(&expected, " a  | n\n----+---\n");
	for (int i = 0; i < LAYOUT_ROWS; i++) {
		buf_puts(&csv, "xy,1\n");
		buf_puts(&expected, " xy | 1\n");
	}
	buf_puts(&csv, "longer,12\n");
	buf_puts(&expected, " longer | 12\n(1001 rows)\n");
	check_txt("a:t n:n", buf_cstr(&csv), buf_cstr(&expected));
	buf_finish(&csv);
	buf_finish(&expected);
}

/* One long value does not fill all other rows with blanks. */
static void test_widest(void)
{
	enum { LONG = 70000 };
	static const char *const columns[] = {"a:t b:t", "a:n b:t"};

	for (size_t i = 0; i < COUNT(columns); i++) {
		bool right = i > 0;
		int pad = LAYOUT_MAX_WIDTH - 1;
		char *text = malloc(LONG + 1);
		struct buf csv, expected;

		CHECK(text != NULL);
		memset(text, 'x', LONG);
		text[LONG] = '\0';
		buf_init(&csv, ENCODE_MAX);
		buf_init(&expected, ENCODE_MAX);
		buf_printf(&csv, "a,b\n%s,1\nx,2\n", text);
		buf_printf(&expected, " %*s | b\n", right ? pad + 1 : -pad - 1,
			   "a");
		for (int n = 0; n < LAYOUT_MAX_WIDTH + 2; n++)
			buf_putc(&expected, '-');
		buf_printf(&expected, "+---\n %s | 1\n %*s | 2\n(2 rows)\n",
			   text, right ? pad + 1 : -pad - 1, "x");
		check_txt(columns[i], buf_cstr(&csv), buf_cstr(&expected));
		buf_finish(&csv);
		buf_finish(&expected);
		free(text);
	}
}

/* The line below the name, as the maker would have it. */
static void check_width(struct layout_maker *m, const struct format_head *head,
			const char *line)
{
	struct layout *layout = layout_maker_finish(m);
	struct encoder *e = encoder_create(FORMAT_TXT, head, layout);
	const char *p = "a\n";
	size_t len = 2;
	struct buf out, expected;

	buf_init(&out, ENCODE_MAX);
	buf_init(&expected, ENCODE_MAX);
	buf_printf(&expected, " a\n%s\n", line);
	CHECK(encoder_feed(e, &p, &len, &out, SIZE_MAX) == 0);
	CHECK_TEXT(buf_cstr(&out), buf_cstr(&expected));
	encoder_destroy(e);
	layout_unref(layout);
	buf_finish(&out);
	buf_finish(&expected);
}

/* Enough is enough: so many rows, or so many bytes of them. */
static void test_enough(void)
{
	struct format_head head;
	struct layout_maker *m;
	char *text = malloc(LAYOUT_BYTES + 1);

	CHECK(text != NULL);
	memset(text, 'x', LAYOUT_BYTES);
	encode_head(&head, "a:t");
	m = layout_maker_create(&head);
	CHECK(layout_maker_feed(m, "a\n", 2) == 0);
	for (int i = 0; i < LAYOUT_ROWS - 1; i++)
		CHECK(layout_maker_feed(m, "x\n", 2) == 0);
	CHECK(layout_maker_feed(m, "x", 1) == 0);
	CHECK(layout_maker_feed(m, "\n", 1) == 1);
	CHECK(layout_maker_feed(m, "x\n", 2) == 1);
	layout_maker_destroy(m);

	m = layout_maker_create(&head);
	CHECK(layout_maker_feed(m, "a\n", 2) == 0);
	CHECK(layout_maker_feed(m, text, LAYOUT_BYTES - 3) == 0);
	CHECK(layout_maker_feed(m, text, LAYOUT_BYTES) == 1);
	CHECK(layout_maker_feed(m, text, 1) == 1);
	layout_maker_destroy(m);

	/* However much more than that comes at once. */
	memcpy(text, "a\n", 2);
	text[LAYOUT_BYTES] = '\n';
	m = layout_maker_create(&head);
	CHECK(layout_maker_feed(m, text, LAYOUT_BYTES + 1) == 1);
	check_width(m, &head, "---");
	layout_maker_destroy(m);

	m = layout_maker_create(&head);
	CHECK(layout_maker_feed(m, text, LAYOUT_BYTES - 1) == 0);
	CHECK(layout_maker_feed(m, "\n", 1) == 1);
	CHECK(layout_maker_feed(m, "\n", 1) == 1);
	layout_maker_destroy(m);

	m = layout_maker_create(&head);
	CHECK(layout_maker_feed(m, "a,b\n", 4) == -EILSEQ);
	layout_maker_destroy(m);
	format_head_finish(&head);
	free(text);
}

int main(void)
{
	test_display();
	test_alignment();
	test_varies();
	test_later_rows();
	test_widest();
	test_enough();
	return 0;
}
