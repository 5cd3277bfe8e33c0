/* SPDX-License-Identifier: MIT */
/*
 * Random tables, written as CSV, encoded in all ways and read back: JSON with
 * jansson, TSV by the rules of PostgreSQL's CopyReadAttributesText().
 *
 *     test_encoder_random [ROUNDS]
 */
#include <jansson.h>

#include "tests/unit/check.h"
#include "tests/unit/encode_run.h"

enum { DEFAULT_ROUNDS = 300, MAX_COLS = 6, MAX_ROWS = 8 };

struct table {
	struct format_head head;
	size_t n_rows;
	struct encode_cell cells[MAX_COLS * MAX_ROWS];
	struct buf text; /* of the cells */
};

/* Few kinds of pieces, so that the special ones are neither rare nor rife. */
static void put_random_text(struct buf *b)
{
	static const char *const pieces[] = {
		"a",
		"bc",
		",",
		"\"",
		"\n",
		"\r",
		"\t",
		"\\",
		"\\N",
		"\\.",
		"\x01",
		"\xc3\xa9",
		"\xe4\xbd\xa0",
		"\xf0\x9f\x98\x80",
		" ",
		"0123456789abcdefghijklmnopqrstuvwxyz",
	};
	uint64_t kinds = encode_random();
	size_t n = encode_random() % (encode_random() % 4 > 0 ? 5 : 25);

	for (size_t i = 0; i < n; i++) {
		size_t piece = encode_random() % COUNT(pieces);

		if ((kinds >> piece & 1) != 0)
			buf_puts(b, pieces[piece]);
	}
}

static void put_random_value(struct buf *b, enum db_shape shape)
{
	static const char *const documents[] = {
		"{\"a\": [1, 2.5, {\"b\": \"c\\n\"}]}",
		"[]",
		" [null , true ]",
		"\"x\"",
		"1",
		"{",
		"[1 2]"};

	switch (shape) {
	case DB_SHAPE_NUMBER:
		buf_printf(b, "%lld", (long long)encode_random() / 3);
		break;
	case DB_SHAPE_BOOL:
		buf_puts(b, encode_random() % 2 > 0 ? "t" : "f");
		break;
	case DB_SHAPE_JSON:
		buf_puts(b, documents[encode_random() % COUNT(documents)]);
		break;
	default:
		put_random_text(b);
	}
}

static void make_table(struct table *t)
{
	static const char *const columns[] = {"a:t", "a:n",     "b:b",
					      "j:j", "x\"_y:t", "v:t"};
	size_t ends[MAX_COLS * MAX_ROWS], n, start = 0;
	char spec[100] = "";

	for (n = 1 + encode_random() % MAX_COLS; n > 0; n--) {
		size_t len = strlen(spec);

		(void)snprintf(spec + len, sizeof(spec) - len, " %s",
			       columns[encode_random() % COUNT(columns)]);
	}
	encode_head(&t->head, spec);
	t->n_rows = encode_random() % MAX_ROWS;
	n = t->head.n_cols * t->n_rows;
	buf_init(&t->text, ENCODE_MAX);
	for (size_t i = 0; i < n; i++) {
		put_random_value(&t->text,
				 t->head.cols[i % t->head.n_cols].shape);
		ends[i] = t->text.len;
	}
	CHECK(buf_cstr(&t->text) != NULL);
	for (size_t i = 0; i < n; start = ends[i++]) {
		t->cells[i].data = t->text.data + start;
		t->cells[i].len = ends[i] - start;
		if (encode_random() % 6 == 0)
			t->cells[i].data = NULL;
	}
}

static void check_json_cell(const struct encode_cell *cell, enum db_shape shape,
			    json_t *got)
{
	enum { FLAGS = JSON_DECODE_ANY | JSON_ALLOW_NUL };
	json_t *expected = NULL;

	CHECK(got != NULL);
	if (cell->data == NULL)
		expected = json_null();
	else if (shape == DB_SHAPE_BOOL)
		expected = json_boolean(*cell->data == 't');
	else if (shape == DB_SHAPE_NUMBER || shape == DB_SHAPE_JSON)
		expected = json_loadb(cell->data, cell->len, FLAGS, NULL);
	if (expected == NULL)
		expected = json_stringn(cell->data, cell->len);
	CHECK(expected != NULL && json_equal(got, expected));
	json_decref(expected);
}

/* The keys are made unique in the order of the columns, so the order tells. */
static void check_object(const struct table *t, size_t row, json_t *object)
{
	const struct encode_cell *cell = &t->cells[row * t->head.n_cols];
	const struct format_column *col = t->head.cols;
	const char *key;
	json_t *value;

	CHECK(json_object_size(object) == t->head.n_cols);
	json_object_foreach (object, key, value) {
		CHECK(strncmp(key, col->name, strlen(col->name)) == 0);
		check_json_cell(cell, col->shape, value);
		cell++;
		col++;
	}
}

static void check_jsonl(const struct table *t, const char *text, size_t len)
{
	for (size_t row = 0; row < t->n_rows; row++) {
		const char *end = memchr(text, '\n', len);
		json_t *object;

		CHECK(end != NULL);
		object = json_loadb(text, (size_t)(end - text),
				    JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL,
				    NULL);
		check_object(t, row, object);
		json_decref(object);
		len -= (size_t)(end + 1 - text);
		text = end + 1;
	}
	CHECK(len == 0);
}

static void check_json(const struct table *t, const char *text, size_t len)
{
	json_t *array = json_loadb(text, len, JSON_ALLOW_NUL, NULL);
	size_t lines = 0;

	CHECK(json_array_size(array) == t->n_rows);
	for (size_t row = 0; row < t->n_rows; row++)
		check_object(t, row, json_array_get(array, row));
	json_decref(array);
	for (size_t i = 0; i < len; i++)
		lines += text[i] == '\n';
	CHECK(lines == (t->n_rows > 0 ? t->n_rows + 2 : 1));
}

/* The character that stands for a letter behind a backslash. */
static char unescape(char letter)
{
	static const char letters[] = "btnvfr\\", meant[] = "\b\t\n\v\f\r\\";
	const char *found = strchr(letters, letter);

	CHECK(letter != '\0' && found != NULL);
	return meant[found - letters];
}

/* Takes a cell from *text up to the separator; returns its length, -1: NULL. */
static ssize_t take_tsv(const char **text, char separator, char *out)
{
	const char *p = *text;
	ssize_t n = 0;

	if (p[0] == '\\' && p[1] == 'N') {
		CHECK(p[2] == separator);
		*text = p + 3;
		return -1;
	}
	while (*p != separator) {
		CHECK(*p != '\t' && *p != '\n' && *p != '\0');
		out[n] = *p++;
		if (out[n] == '\\')
			out[n] = unescape(*p++);
		n++;
	}
	*text = p + 1;
	return n;
}

static void check_tsv_row(const struct encode_cell *cells, size_t n,
			  const char **text, char *room)
{
	for (size_t i = 0; i < n; i++) {
		const struct encode_cell *cell = &cells[i];
		ssize_t len = take_tsv(text, i + 1 < n ? '\t' : '\n', room);

		CHECK((len < 0) == (cell->data == NULL));
		CHECK(len < 0 || ((size_t)len == cell->len &&
				  memcmp(room, cell->data, cell->len) == 0));
	}
}

static void check_tsv(const struct table *t, const char *text, size_t len)
{
	struct encode_cell names[MAX_COLS] = {{NULL, 0, false}};
	size_t n = t->head.n_cols;
	const char *end = text + len;
	char *room = malloc(len + 1);

	CHECK(room != NULL && n <= MAX_COLS);
	for (size_t i = 0; i < n; i++) {
		names[i].data = t->head.cols[i].name;
		names[i].len = strlen(names[i].data);
	}
	check_tsv_row(names, n, &text, room);
	for (size_t row = 0; row < t->n_rows; row++)
		check_tsv_row(t->cells + row * n, n, &text, room);
	CHECK(text == end);
	free(room);
}

/* As many lines as rows, and a bar between all columns. */
static void check_txt(const struct table *t, const char *text, size_t len)
{
	size_t lines = 0;

	for (size_t i = 0; i < len; i++) {
		CHECK((unsigned char)text[i] >= ' ' || text[i] == '\n');
		lines += text[i] == '\n';
	}
	CHECK(text[len - 1] == '\n');
	CHECK(lines == t->n_rows + 3);
}

static void round_trip(void)
{
	static void (*const checks[FORMATS])(const struct table *t,
					     const char *text, size_t len) = {
		[FORMAT_TSV] = check_tsv,
		[FORMAT_JSONL] = check_jsonl,
		[FORMAT_JSON] = check_json,
		[FORMAT_TXT] = check_txt,
	};
	struct table t;
	struct buf csv, out;

	make_table(&t);
	buf_init(&csv, ENCODE_MAX);
	encode_csv(&csv, &t.head, t.cells, t.n_rows);
	for (int f = FORMAT_TSV; f < FORMATS; f++) {
		buf_init(&out, ENCODE_MAX);
		encode_all_ways((enum format)f, &t.head, csv.data, csv.len,
				&out);
		CHECK(buf_cstr(&out) != NULL);
		checks[f](&t, out.data, out.len);
		buf_finish(&out);
	}
	buf_finish(&csv);
	buf_finish(&t.text);
	format_head_finish(&t.head);
}

int main(int argc, char **argv)
{
	long rounds = argc > 1 ? strtol(argv[1], NULL, 10) : DEFAULT_ROUNDS;

	while (rounds-- > 0)
		round_trip();
	return 0;
}
