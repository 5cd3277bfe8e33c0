/* SPDX-License-Identifier: MIT */
/*
 * The formats that are made of CSV: every rule by its example.
 */
#include "fs/encoder.h"

#include <errno.h>

#include "fs/jsontext.h"
#include "tests/unit/check.h"
#include "tests/unit/encode_run.h"

static void check_encoded(enum format format, const struct format_head *head,
			  const char *csv, size_t len, const char *expected)
{
	struct buf out;

	buf_init(&out, ENCODE_MAX);
	encode_all_ways(format, head, csv, len, &out);
	CHECK_TEXT(buf_cstr(&out), expected);
	buf_finish(&out);
}

/* Whole results in all formats. */
static void test_formats(void)
{
	static const struct {
		const char *columns, *csv, *tsv, *jsonl, *json, *txt;
	} results[] = {
		{"id:n name:t ok:b", /* of three shapes, and NULL */
		 "id,name,ok\n1,one,t\n-22,,f\n,\"\",\n",
		 "id\tname\tok\n1\tone\tt\n-22\t\\N\tf\n\\N\t\t\\N\n",
		 "{\"id\":1,\"name\":\"one\",\"ok\":true}\n"
		 "{\"id\":-22,\"name\":null,\"ok\":false}\n"
		 "{\"id\":null,\"name\":\"\",\"ok\":null}\n",
		 "[\n{\"id\":1,\"name\":\"one\",\"ok\":true},\n"
		 "{\"id\":-22,\"name\":null,\"ok\":false},\n"
		 "{\"id\":null,\"name\":\"\",\"ok\":null}\n]\n",
		 "   id | name | ok\n"
		 "------+------+------\n"
		 "    1 | one  | t\n"
		 "  -22 | NULL | f\n"
		 " NULL |      | NULL\n"
		 "(3 rows)\n"},
		{"n:n a:t", "n,a\n", "n\ta\n", "", "[]\n",
		 " n | a\n---+---\n(0 rows)\n"},
		{"n:n", "n\n1\n", "n\n1\n", "{\"n\":1}\n", "[\n{\"n\":1}\n]\n",
		 " n\n---\n 1\n(1 row)\n"},
		/* One column: NULL, an empty text, the mark of COPY's end. */
		{"a:t", "a\n\n\"\"\n\"\\.\"\n", "a\n\\N\n\n\\\\.\n",
		 "{\"a\":null}\n{\"a\":\"\"}\n{\"a\":\"\\\\.\"}\n",
		 "[\n{\"a\":null},\n{\"a\":\"\"},\n{\"a\":\"\\\\.\"}\n]\n",
		 " a\n------\n NULL\n\n \\.\n(3 rows)\n"},
		/* No column at all, as of PostgreSQL's SELECT alone. */
		{"", "\n\n\n", "\n\n\n", "{}\n{}\n", "[\n{},\n{}\n]\n",
		 "--\n(2 rows)\n"},
		{"", "\n", "\n", "", "[]\n", "--\n(0 rows)\n"},
		/* An empty text at the end of a line leaves no blank there. */
		{"n:n a:t", "n,a\n1,\"\"\n10,x\n", "n\ta\n1\t\n10\tx\n",
		 "{\"n\":1,\"a\":\"\"}\n{\"n\":10,\"a\":\"x\"}\n",
		 "[\n{\"n\":1,\"a\":\"\"},\n{\"n\":10,\"a\":\"x\"}\n]\n",
		 "  n | a\n----+---\n  1 |\n 10 | x\n(2 rows)\n"},
		/* Names are escaped as values are. */
		{"a\tb\\c\nd:t \\N:t \\.:t", "\"a\tb\\c\nd\",\\N,\\.\n1,2,3\n",
		 "a\\tb\\\\c\\nd\t\\\\N\t\\\\.\n1\t2\t3\n",
		 "{\"a\\tb\\\\c\\nd\":\"1\",\"\\\\N\":\"2\",\"\\\\.\":\"3\"}\n",
		 "[\n{\"a\\tb\\\\c\\nd\":\"1\",\"\\\\N\":\"2\",\"\\\\.\":\"3\"}"
		 "\n]\n",
		 " a\\tb\\c\\nd | \\N | \\.\n-----------+----+----\n"
		 " 1         | 2  | 3\n(1 row)\n"},
		/* Everything that CSV quotes, and columns of one name. */
		{"a:t a:t", "a,a\n\"x,\"\"y\"\"\",\"1\n2\r\"\n",
		 "a\ta\nx,\"y\"\t1\\n2\\r\n",
		 "{\"a\":\"x,\\\"y\\\"\",\"a_2\":\"1\\n2\\r\"}\n",
		 "[\n{\"a\":\"x,\\\"y\\\"\",\"a_2\":\"1\\n2\\r\"}\n]\n",
		 " a     | a\n-------+--------\n x,\"y\" | 1\\n2\\r\n(1 row)\n"},
	};

	for (size_t i = 0; i < COUNT(results); i++) {
		const char *csv = results[i].csv;
		struct format_head head;
		size_t len = strlen(csv);

		encode_head(&head, results[i].columns);
		check_encoded(FORMAT_TSV, &head, csv, len, results[i].tsv);
		check_encoded(FORMAT_JSONL, &head, csv, len, results[i].jsonl);
		check_encoded(FORMAT_JSON, &head, csv, len, results[i].json);
		check_encoded(FORMAT_TXT, &head, csv, len, results[i].txt);
		format_head_finish(&head);
	}
}

/* One value, alone in its row, in a column v of that shape. */
static void check_value(enum format format, const char *shape,
			const char *value, size_t len, const char *expected)
{
	struct encode_cell cell = {.data = value, .len = len};
	struct format_head head;
	struct buf csv, line;

	encode_head(&head, shape);
	buf_init(&csv, ENCODE_MAX);
	buf_init(&line, ENCODE_MAX);
	encode_csv(&csv, &head, &cell, 1);
	if (format == FORMAT_JSONL)
		buf_printf(&line, "{\"v\":%s}\n", expected);
	else
		buf_printf(&line, "v\n%s\n", expected);
	check_encoded(format, &head, csv.data, csv.len, buf_cstr(&line));
	buf_finish(&line);
	buf_finish(&csv);
	format_head_finish(&head);
}

static void test_json_values(void)
{
	static const struct {
		const char *shape, *value, *expected;
	} values[] = {
		/* The server's own digits, where JSON has them. */
		{"v:n", "0", "0"},
		{"v:n", "-0.00", "-0.00"},
		{"v:n", "123456789012345678901234567890.10",
		 "123456789012345678901234567890.10"},
		{"v:n", "1e+20", "1e+20"},
		{"v:n", "1.5E-7", "1.5E-7"},
		{"v:n", "NaN", "\"NaN\""},
		{"v:n", "-Infinity", "\"-Infinity\""},
		{"v:n", "007", "\"007\""},
		{"v:n", "+1", "\"+1\""},
		{"v:n", ".5", "\".5\""},
		{"v:n", "5.", "\"5.\""},
		{"v:n", "1e", "\"1e\""},
		{"v:n", "-", "\"-\""},
		{"v:n", "", "\"\""},
		{"v:n", "1 ", "\"1 \""},
		{"v:n", "1,5", "\"1,5\""},
		{"v:b", "t", "true"},
		{"v:b", "f", "false"},
		{"v:b", "true", "\"true\""},
		{"v:b", "", "\"\""},
		{"v:b", "x", "\"x\""},
		{"v:b", "tt", "\"tt\""},
		/* Text: what must be escaped and nothing else. */
		{"v:t", "1", "\"1\""},
		{"v:t", "\"\\/", "\"\\\"\\\\/\""},
		{"v:t", "\b\f\n\r\t\v\x01\x1f\x7f",
		 "\"\\b\\f\\n\\r\\t\\u000b\\u0001\\u001f\x7f\""},
		{"v:t", "\xe2\x80\xa8 \xe2\x80\xa9 \xf0\x9f\x98\x80 <&>'",
		 "\"\xe2\x80\xa8 \xe2\x80\xa9 \xf0\x9f\x98\x80 <&>'\""},
		{"v:t", "\xff\xc3", "\"\xff\xc3\""},
	};

	for (size_t i = 0; i < COUNT(values); i++)
		check_value(FORMAT_JSONL, values[i].shape, values[i].value,
			    strlen(values[i].value), values[i].expected);
	check_value(FORMAT_JSONL, "v:t", "a\0b", 3, "\"a\\u0000b\"");
}

/* JSON is embedded, on one line. */
static void test_embedded(void)
{
	static const struct {
		const char *value, *expected;
	} values[] = {
		{"{\"a\": [1, {\"b\":null}]}", "{\"a\": [1, {\"b\":null}]}"},
		{"\r\n[1,\n\t2]\n", "  [1,  2] "},
		{" 1.50 ", " 1.50 "},
		{"\"a\\nb\"", "\"a\\nb\""},
		{"[{\"a\":1},[1,2],{\"b\":[]}]",
		 "[{\"a\":1},[1,2],{\"b\":[]}]"},
		{"true", "true"},
		{"null", "null"},
		{"{}", "{}"},
		{"[[],[[]]]", "[[],[[]]]"},
		{"\"\\ud83d\\ude00\\u0000\"", "\"\\ud83d\\ude00\\u0000\""},
		{"\"\xf0\x9f\x98\x80\"", "\"\xf0\x9f\x98\x80\""},
		/* What is none is a text. */
		{"", "\"\""},
		{" ", "\" \""},
		{"{a:1}", "\"{a:1}\""},
		{"[1,]", "\"[1,]\""},
		{"[1]]", "\"[1]]\""},
		{"[1}", "\"[1}\""},
		{"[{},[1}]", "\"[{},[1}]\""},
		{"[[],{1}]", "\"[[],{1}]\""},
		{"[", "\"[\""},
		{"{\"a\"}", "\"{\\\"a\\\"}\""},
		{"{\"a\":1,}", "\"{\\\"a\\\":1,}\""},
		{"1 2", "\"1 2\""},
		{"truex", "\"truex\""},
		{"NaN", "\"NaN\""},
		{"01", "\"01\""},
		{"\"a\nb\"", "\"\\\"a\\nb\\\"\""},
		{"\"a", "\"\\\"a\""},
		{"\"\\x\"", "\"\\\"\\\\x\\\"\""},
		{"\"\\ud800\"", "\"\\\"\\\\ud800\\\"\""},
		{"\"\\ude00\\ud83d\"", "\"\\\"\\\\ude00\\\\ud83d\\\"\""},
		{"\"\\ud83d\\u0041\"", "\"\\\"\\\\ud83d\\\\u0041\\\"\""},
		{"\"\\ude00\\ude00\"", "\"\\\"\\\\ude00\\\\ude00\\\"\""},
		{"\"\\u12\"", "\"\\\"\\\\u12\\\"\""},
		{"\"\xc3\"", "\"\\\"\xc3\\\"\""},
	};

	for (size_t i = 0; i < COUNT(values); i++)
		check_value(FORMAT_JSONL, "v:j", values[i].value,
			    strlen(values[i].value), values[i].expected);
	check_value(FORMAT_JSONL, "v:j", "\"\0\"", 3, "\"\\\"\\u0000\\\"\"");
}

/* As deep as it may be, and a level more. */
static void test_deep(void)
{
	enum { MAX = JSONTEXT_MAX_DEPTH };
	char text[2 * (MAX + 1)], quoted[2 * (MAX + 1) + 3];

	memset(text, '[', MAX + 1);
	memset(text + MAX + 1, ']', MAX + 1);
	(void)snprintf(quoted, sizeof(quoted), "%.*s", 2 * MAX, text + 1);
	check_value(FORMAT_JSONL, "v:j", text + 1, 2 * (size_t)MAX, quoted);
	(void)snprintf(quoted, sizeof(quoted), "\"%.*s\"", 2 * (MAX + 1), text);
	check_value(FORMAT_JSONL, "v:j", text, sizeof(text), quoted);
}

/* COPY's escapes, as the server writes them. */
static void test_tsv_values(void)
{
	static const struct {
		const char *value, *expected;
	} values[] = {
		{"", ""},
		{"\\N", "\\\\N"},
		{"\\.", "\\\\."},
		{"a\tb\nc\rd\be\ff\vg\\h", "a\\tb\\nc\\rd\\be\\ff\\vg\\\\h"},
		{"\x01\x07\x0e\x1b\x7f\xc2\x85\"',", "\x01\x07\x0e\x1b\x7f"
						     "\xc2\x85\"',"},
		{"\xff", "\xff"},
	};

	for (size_t i = 0; i < COUNT(values); i++)
		check_value(FORMAT_TSV, "v:t", values[i].value,
			    strlen(values[i].value), values[i].expected);
}

/* One special byte at each place of cells of each length. */
static void test_every_place(void)
{
	char value[40], json[80], tsv[60];

	for (size_t len = 1; len < sizeof(value); len++) {
		for (size_t at = 0; at < len; at++) {
			memset(value, 'x', len);
			value[at] = '\t';
			(void)snprintf(tsv, sizeof(tsv), "%.*s\\t%.*s", (int)at,
				       value, (int)(len - at - 1),
				       value + at + 1);
			(void)snprintf(json, sizeof(json), "\"%s\"", tsv);
			check_value(FORMAT_TSV, "v:t", value, len, tsv);
			check_value(FORMAT_JSONL, "v:t", value, len, json);
		}
	}
}

/* Keys are unique, and a name that a column has stays with that column. */
static void test_keys(void)
{
	static const struct {
		const char *columns, *expected;
	} heads[] = {
		{"a:t b:t", "{\"a\":null,\"b\":null}\n"},
		{"a:t a:t a:t", "{\"a\":null,\"a_2\":null,\"a_3\":null}\n"},
		{"a:t a:t a~2:t a:t",
		 "{\"a\":null,\"a_3\":null,\"a_2\":null,\"a_4\":null}\n"},
		{"a~2:t a:t a:t a~2:t a~2~2:t",
		 "{\"a_2\":null,\"a\":null,\"a_3\":null,\"a_2_3\":null,"
		 "\"a_2_2\":null}\n"},
		{"A:t a:t", "{\"A\":null,\"a\":null}\n"},
		{":t :t", "{\"\":null,\"_2\":null}\n"},
		{"?column?:t ?column?:t",
		 "{\"?column?\":null,\"?column?_2\":null}\n"},
		{"a\"\n\xc3\xa9_b:t b:t",
		 "{\"a\\\"\\n\xc3\xa9 b\":null,\"b\":null}\n"},
	};

	for (size_t i = 0; i < COUNT(heads); i++) {
		struct encode_cell cells[8] = {{NULL, 0, false}};
		struct format_head head;
		struct buf csv;

		encode_head(&head, heads[i].columns);
		buf_init(&csv, ENCODE_MAX);
		encode_csv(&csv, &head, cells, 1);
		check_encoded(FORMAT_JSONL, &head, csv.data, csv.len,
			      heads[i].expected);
		buf_finish(&csv);
		format_head_finish(&head);
	}
}

/* Odd rows hold numbers, even ones (from 0) text. */
static bool odd(const void *arg, uint64_t row, size_t col)
{
	CHECK(arg == odd && col == 1);
	return row % 2 == 1;
}

static void test_varies(void)
{
	static const char csv[] = "a,v\n1,1\n2,2\n3,\n4,NaN\n5,x\n";
	struct format_head head;

	encode_head(&head, "a:t v:v");
	head.is_number = odd;
	head.arg = odd;
	check_encoded(FORMAT_JSONL, &head, csv, strlen(csv),
		      "{\"a\":\"1\",\"v\":\"1\"}\n{\"a\":\"2\",\"v\":2}\n"
		      "{\"a\":\"3\",\"v\":null}\n{\"a\":\"4\",\"v\":\"NaN\"}\n"
		      "{\"a\":\"5\",\"v\":\"x\"}\n");
	format_head_finish(&head);
}

/* What is no such CSV is refused, at the latest at its end. */
static void test_broken(void)
{
	static const char *const broken[] = {
		"",
		"a",
		"a,b",
		"a,b\n1",
		"a,b\n1\n",
		"a,b\n1,2,3\n",
		"a,b\n1,2",
		"a,b\n1,\"2\n",
		"a\n",
		"a,\n",
		"a,b\n1,2\n3",
		"a,b\n1,\"2\"3\n",
		"\n",
		"a,b\n1,2\"\n",
		"a,b\n\n",
		"a,b\n1,\"2\"",
	};
	struct format_head head;
	struct buf out;

	encode_head(&head, "a:t b:n");
	for (size_t i = 0; i < COUNT(broken) * FORMATS; i++) {
		const char *text = broken[i / FORMATS];
		enum format format = (enum format)(i % FORMATS);

		if (format == FORMAT_CSV)
			continue;
		buf_init(&out, ENCODE_MAX);
		CHECK(encode_once(format, &head, text, strlen(text), &out) ==
		      -EILSEQ);
		buf_finish(&out);
	}
	format_head_finish(&head);
}

/* Asks for little at a time; what comes is part of the whole. */
static void check_bounds(enum format format, const struct format_head *head,
			 const struct buf *csv)
{
	enum { LITTLE = 1000, SLACK = 128 * 1024 };
	struct layout *layout = encode_layout(head, csv->data, csv->len);
	struct encoder *e = encoder_create(format, head, layout);
	const char *p = csv->data;
	size_t len = csv->len, total = 0;
	struct buf whole, out;

	buf_init(&whole, ENCODE_MAX);
	buf_init(&out, ENCODE_MAX);
	CHECK(encode_once(format, head, csv->data, csv->len, &whole) == 0);
	while (len > 0) {
		CHECK(encoder_feed(e, &p, &len, &out, LITTLE) == 0);
		CHECK(out.len <= LITTLE + SLACK);
		CHECK(total + out.len <= whole.len);
		CHECK(memcmp(out.data, whole.data + total, out.len) == 0);
		total += out.len;
		buf_reset(&out);
	}
	CHECK(encoder_end(e, &out) == 0);
	CHECK(total + out.len == whole.len);
	CHECK(out.len < SLACK);
	encoder_destroy(e);
	layout_unref(layout);
	buf_finish(&whole);
	buf_finish(&out);
}

/*
 * However little is asked for and however long the cells: one call writes
 * little more than that, and the caller is never left with nothing to feed
 * while something is to be written.
 */
static void test_bounds(void)
{
	enum { CELL = 3 * 512 * 1024 };
	static const struct {
		const char *shape;
		char fill;
	} cases[] = {{"v:t", 'x'},  {"v:t", '\n'}, {"v:n", '1'},
		     {"v:n", '\n'}, {"v:j", '1'},  {"v:j", '\n'}};
	char *text = malloc(CELL);

	CHECK(text != NULL);
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct encode_cell cell = {.data = text, .len = CELL};
		struct encode_cell cells[] = {cell, cell, cell};
		struct format_head head;
		struct buf csv;

		memset(text, cases[i].fill, CELL);
		encode_head(&head, cases[i].shape);
		buf_init(&csv, ENCODE_MAX);
		encode_csv(&csv, &head, cells, COUNT(cells));
		for (int f = FORMAT_TSV; f < FORMATS; f++)
			check_bounds((enum format)f, &head, &csv);
		buf_finish(&csv);
		format_head_finish(&head);
	}
	free(text);
}

/* A row of nothing but commas is all keys. */
static void test_long_keys(void)
{
	enum { COLS = 300, KEY = 10000, SLACK = 128 * 1024 };
	struct db_column cols[COLS];
	struct format_head head;
	char name[KEY + 1], row[COLS];
	struct encoder *e;
	struct buf csv, out;
	const char *p;
	size_t len;

	memset(name, 'k', KEY);
	name[KEY] = '\0';
	for (size_t i = 0; i < COLS; i++)
		cols[i] = (struct db_column){.name = name};
	CHECK(format_head_init(&head, cols, COLS) == 0);
	buf_init(&csv, ENCODE_MAX);
	buf_init(&out, ENCODE_MAX);
	encode_csv(&csv, &head, NULL, 0);
	memset(row, ',', COLS);
	row[COLS - 1] = '\n';
	buf_put(&csv, row, COLS);
	e = encoder_create(FORMAT_JSONL, &head, NULL);
	p = csv.data;
	len = csv.len;
	while (len > 0) {
		CHECK(encoder_feed(e, &p, &len, &out, 1) == 0);
		CHECK(out.len < SLACK);
		buf_reset(&out);
	}
	CHECK(encoder_end(e, &out) == 0);
	encoder_destroy(e);
	buf_finish(&csv);
	buf_finish(&out);
	format_head_finish(&head);
}

int main(void)
{
	test_formats();
	test_json_values();
	test_embedded();
	test_deep();
	test_tsv_values();
	test_every_place();
	test_keys();
	test_varies();
	test_broken();
	test_bounds();
	test_long_keys();
	return 0;
}
