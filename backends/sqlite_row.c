/* SPDX-License-Identifier: MIT */
#include "backends/sqlite_row.h"

#include <common/shortest_dec.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/err.h"
#include "common/utf8.h"

struct sqlite_cell {
	bool is_hex; /* the cell has the bytes as they are, so far */
	char number[SQLITE_NUMBER_SIZE];
};

_Static_assert(SQLITE_NUMBER_SIZE >= DOUBLE_SHORTEST_DECIMAL_LEN,
	       "a double fits");

static const char hex_prefix[] = {'\\', 'x'};

static const char digit_pairs[] =
	"00010203040506070809101112131415161718192021222324252627282930313233"
	"34353637383940414243444546474849505152535455565758596061626364656667"
	"6869707172737475767778798081828384858687888990919293949596979899";

size_t sqlite_put_integer(char out[SQLITE_NUMBER_SIZE], int64_t value)
{
	uint64_t left = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
	char digits[SQLITE_NUMBER_SIZE];
	char *end = digits + sizeof(digits), *p = end;
	size_t len;

	while (left >= 100) {
		p -= 2;
		memcpy(p, digit_pairs + 2 * (left % 100), 2);
		left /= 100;
	}
	if (left >= 10) {
		p -= 2;
		memcpy(p, digit_pairs + 2 * left, 2);
	} else {
		*--p = (char)('0' + left);
	}
	if (value < 0)
		*--p = '-';
	len = (size_t)(end - p);
	memcpy(out, p, len);
	return len;
}

size_t sqlite_put_real(char out[SQLITE_NUMBER_SIZE], double value)
{
	return (size_t)double_to_shortest_decimal_bufn(value, out);
}

static const char *type_name(int type)
{
	switch (type) {
	case SQLITE_INTEGER:
		return "INTEGER";
	case SQLITE_FLOAT:
		return "REAL";
	case SQLITE_TEXT:
		return "TEXT";
	case SQLITE_BLOB:
		return "BLOB";
	default:
		return "NULL";
	}
}

static int set_column(struct sqlite_row *row, int i)
{
	struct db_column *col = &row->cols[i];

	col->name = sqlite3_column_name(row->stmt, i);
	col->type = sqlite3_column_decltype(row->stmt, i);
	if (col->type == NULL || *col->type == '\0')
		col->type = type_name(sqlite3_column_type(row->stmt, i));
	/* Any value may stand in any column, whatever its declared type. */
	col->plain = false;
	/* A number is JSON as it is, so in such a column they need no mark. */
	col->shape = sqlite3_stricmp(col->type, "JSON") == 0 ? DB_SHAPE_JSON
							     : DB_SHAPE_VARIES;
	return col->name != NULL ? 0 : -ENOMEM;
}

int sqlite_row_init(struct sqlite_row *row, sqlite3_stmt *stmt, size_t max,
		    struct err *err)
{
	size_t n = (size_t)sqlite3_column_count(stmt);
	int rc = 0;

	*row = (struct sqlite_row){.stmt = stmt, .max = max, .n_cols = n};
	row->cols = calloc(n, sizeof(*row->cols));
	row->cells = calloc(n, sizeof(*row->cells));
	row->memory = calloc(n, sizeof(*row->memory));
	if (row->cols == NULL || row->cells == NULL || row->memory == NULL)
		return err_set(err, ENOMEM, "no memory for %zu columns", n);
	for (size_t i = 0; i < n && rc == 0; i++)
		rc = set_column(row, (int)i);
	if (rc < 0)
		return err_set(err, ENOMEM, "no memory for column names");
	return 0;
}

void sqlite_row_finish(struct sqlite_row *row)
{
	free(row->cols);
	free(row->cells);
	free(row->memory);
	free(row->hex);
	*row = (struct sqlite_row){0};
}

/* A NUL is a character like any other here. */
static bool is_text(const char *s, size_t len)
{
	size_t n = utf8_span(s, len);

	while (n < len && s[n] == '\0') {
		n++;
		n += utf8_span(s + n, len - n);
	}
	return n == len;
}

static size_t hex_len(size_t len)
{
	return sizeof(hex_prefix) + 2 * len;
}

static void put_hex(char *out, const char *data, size_t len)
{
	static const char digits[] = "0123456789abcdef";

	memcpy(out, hex_prefix, sizeof(hex_prefix));
	out += sizeof(hex_prefix);
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)data[i];

		*out++ = digits[c >> 4];
		*out++ = digits[c & 15];
	}
}

/* Turns the cells that are no text into hex, total bytes of it. */
static int add_hex(struct sqlite_row *row, size_t total, struct err *err)
{
	size_t used = 0;

	if (row->hex_cap < total) {
		free(row->hex);
		row->hex = malloc(total);
		row->hex_cap = row->hex != NULL ? total : 0;
		if (row->hex == NULL)
			return err_set(err, ENOMEM,
				       "no memory for a row of %zu bytes",
				       total);
	}
	for (size_t i = 0; i < row->n_cols; i++) {
		struct db_cell *cell = &row->cells[i];

		if (!row->memory[i].is_hex)
			continue;
		put_hex(row->hex + used, cell->data, cell->len);
		cell->data = row->hex + used;
		cell->len = hex_len(cell->len);
		used += cell->len;
		row->memory[i].is_hex = false;
	}
	return 0;
}

static int too_large(const struct sqlite_row *row, struct err *err)
{
	return err_set(err, EFBIG, "a row is larger than max_row, %zu bytes",
		       row->max);
}

static int no_memory(struct err *err)
{
	return err_set(err, ENOMEM, "no memory for a value");
}

static int lend_text(struct sqlite_row *row, size_t i, sqlite3_value *value,
		     struct err *err)
{
	struct db_cell *cell = &row->cells[i];

	/* First the text, for its length may change with the encoding. */
	cell->data = (const char *)sqlite3_value_text(value);
	cell->len = (size_t)sqlite3_value_bytes(value);
	if (cell->data == NULL)
		return no_memory(err);
	row->memory[i].is_hex = !is_text(cell->data, cell->len);
	return 0;
}

static int lend_blob(struct sqlite_row *row, size_t i, sqlite3_value *value,
		     struct err *err)
{
	struct db_cell *cell = &row->cells[i];

	/* First the length: zeroblob() takes no memory until it is read. */
	cell->len = (size_t)sqlite3_value_bytes(value);
	if (hex_len(cell->len) > row->max)
		return too_large(row, err);
	cell->data = cell->len > 0 ? sqlite3_value_blob(value) : "";
	if (cell->data == NULL)
		return no_memory(err);
	row->memory[i].is_hex = true;
	return 0;
}

static int lend(struct sqlite_row *row, size_t i, struct err *err)
{
	/*
	 * One look-up a column. The connection has no mutexes and one thread,
	 * so that such a value is as good as any.
	 */
	sqlite3_value *value = sqlite3_column_value(row->stmt, (int)i);
	struct db_cell *cell = &row->cells[i];
	char *number = row->memory[i].number;
	bool varies = row->cols[i].shape == DB_SHAPE_VARIES;

	cell->is_number = false;
	switch (sqlite3_value_type(value)) {
	case SQLITE_INTEGER:
		cell->is_number = varies;
		cell->data = number;
		cell->len =
			sqlite_put_integer(number, sqlite3_value_int64(value));
		return 0;
	case SQLITE_FLOAT:
		cell->is_number = varies;
		cell->data = number;
		cell->len =
			sqlite_put_real(number, sqlite3_value_double(value));
		return 0;
	case SQLITE_TEXT:
		return lend_text(row, i, value, err);
	case SQLITE_BLOB:
		return lend_blob(row, i, value, err);
	default:
		*cell = (struct db_cell){0};
		return 0;
	}
}

int sqlite_row_fetch(struct sqlite_row *row, struct err *err)
{
	size_t total = 0, hex = 0, len;
	int rc;

	for (size_t i = 0; i < row->n_cols; i++) {
		rc = lend(row, i, err);
		if (rc < 0)
			return rc;
		len = row->cells[i].len;
		if (row->memory[i].is_hex) {
			len = hex_len(len);
			hex += len;
		}
		total += len;
	}
	if (total > row->max)
		return too_large(row, err);
	return hex > 0 ? add_hex(row, hex, err) : 0;
}
