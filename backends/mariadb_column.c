/* SPDX-License-Identifier: MIT */
#include "backends/mariadb_column.h"

#include <common/shortest_dec.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	BINARY_CHARSET = 63,
	/* So many digits are the same decimal after a way through a double. */
	EXACT_DIGITS = 15,
	/* Of the text of a fixed number of decimals: 309 digits, 38 decimals. */
	DOUBLE_TEXT_SIZE = 512,
};

_Static_assert(MY_NUMBER_SIZE >= DOUBLE_SHORTEST_DECIMAL_LEN, "a double fits");

static const char hex_prefix[] = {'\\', 'x'};

/* Of the types whose name does not depend on anything else. */
static const struct {
	enum enum_field_types type;
	const char *name;
	bool plain;
} fixed_types[] = {
	{MYSQL_TYPE_TINY, "tinyint", true},
	{MYSQL_TYPE_SHORT, "smallint", true},
	{MYSQL_TYPE_INT24, "mediumint", true},
	{MYSQL_TYPE_LONG, "int", true},
	{MYSQL_TYPE_LONGLONG, "bigint", true},
	{MYSQL_TYPE_FLOAT, "float", true},
	{MYSQL_TYPE_DOUBLE, "double", true},
	{MYSQL_TYPE_DECIMAL, "decimal", true},
	{MYSQL_TYPE_NEWDECIMAL, "decimal", true},
	{MYSQL_TYPE_DATE, "date", true},
	{MYSQL_TYPE_NEWDATE, "date", true},
	{MYSQL_TYPE_TIME, "time", true},
	{MYSQL_TYPE_TIME2, "time", true},
	{MYSQL_TYPE_DATETIME, "datetime", true},
	{MYSQL_TYPE_DATETIME2, "datetime", true},
	{MYSQL_TYPE_TIMESTAMP, "timestamp", true},
	{MYSQL_TYPE_TIMESTAMP2, "timestamp", true},
	{MYSQL_TYPE_YEAR, "year", true},
	{MYSQL_TYPE_BIT, "bit", true},
	{MYSQL_TYPE_NULL, "null", true},
	{MYSQL_TYPE_JSON, "json", false},
	{MYSQL_TYPE_ENUM, "enum", false},
	{MYSQL_TYPE_SET, "set", false},
};

/* The server tells how long it can get, in bytes of utf8mb4. */
static const char *blob_name(const MYSQL_FIELD *field)
{
	static const struct {
		unsigned long len;
		const char *text;
		const char *blob;
	} sizes[] = {
		{255, "tinytext", "tinyblob"},
		{65535, "text", "blob"},
		{16777215, "mediumtext", "mediumblob"},
	};
	bool binary = field->charsetnr == BINARY_CHARSET;
	unsigned long width = binary ? 1 : 4;

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		if (field->length <= sizes[i].len * width)
			return binary ? sizes[i].blob : sizes[i].text;
	}
	return binary ? "longblob" : "longtext";
}

static const char *string_name(const MYSQL_FIELD *field)
{
	bool binary = field->charsetnr == BINARY_CHARSET;

	if ((field->flags & ENUM_FLAG) != 0)
		return "enum";
	if ((field->flags & SET_FLAG) != 0)
		return "set";
	switch (field->type) {
	case MYSQL_TYPE_STRING:
		return binary ? "binary" : "char";
	case MYSQL_TYPE_VARCHAR:
	case MYSQL_TYPE_VAR_STRING:
		return binary ? "varbinary" : "varchar";
	case MYSQL_TYPE_GEOMETRY:
		return "geometry";
	default:
		return blob_name(field);
	}
}

/* MariaDB names what is stored as something else: json, uuid, inet6, point. */
static const char *special_name(const MYSQL_FIELD *field,
				char type[MY_TYPE_SIZE])
{
	static const enum mariadb_field_attr_t kinds[] = {
		MARIADB_FIELD_ATTR_DATA_TYPE_NAME,
		MARIADB_FIELD_ATTR_FORMAT_NAME,
	};
	MARIADB_CONST_STRING name;

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (mariadb_field_attr(&name, field, kinds[i]) != 0 ||
		    name.length == 0 || name.length >= MY_TYPE_SIZE)
			continue;
		memcpy(type, name.str, name.length);
		type[name.length] = '\0';
		return type;
	}
	return NULL;
}

static bool is_integer(enum enum_field_types type)
{
	return type == MYSQL_TYPE_TINY || type == MYSQL_TYPE_SHORT ||
	       type == MYSQL_TYPE_INT24 || type == MYSQL_TYPE_LONG ||
	       type == MYSQL_TYPE_LONGLONG;
}

/*
 * Of MySQL's JSON, and of MariaDB's, which is a text that has this name. What
 * it stores is UTF-8 and is not shown in hex.
 */
static bool is_json(const MYSQL_FIELD *field, const char *type)
{
	return field->type == MYSQL_TYPE_JSON ||
	       (field->charsetnr != BINARY_CHARSET &&
		strcmp(type, "json") == 0);
}

static enum db_shape shape_of(const MYSQL_FIELD *field, const char *type)
{
	switch (field->type) {
	case MYSQL_TYPE_FLOAT:
	case MYSQL_TYPE_DOUBLE:
	case MYSQL_TYPE_DECIMAL:
	case MYSQL_TYPE_NEWDECIMAL:
	case MYSQL_TYPE_YEAR:
		return DB_SHAPE_NUMBER;
	default:
		if (is_integer(field->type))
			return DB_SHAPE_NUMBER;
		return is_json(field, type) ? DB_SHAPE_JSON : DB_SHAPE_TEXT;
	}
}

static enum my_form form_of(const MYSQL_FIELD *field, bool is_string)
{
	if (field->type == MYSQL_TYPE_DOUBLE)
		return MY_DOUBLE;
	if (field->type == MYSQL_TYPE_BIT ||
	    field->type == MYSQL_TYPE_GEOMETRY ||
	    (is_string && field->charsetnr == BINARY_CHARSET))
		return MY_HEX;
	return MY_AS_IT_IS;
}

enum my_form my_column_describe(struct db_column *col, const MYSQL_FIELD *field,
				char type[MY_TYPE_SIZE])
{
	bool is_string = true;

	col->name = field->name;
	col->plain = false;
	col->type = special_name(field, type);
	for (size_t i = 0; i < sizeof(fixed_types) / sizeof(fixed_types[0]);
	     i++) {
		if (fixed_types[i].type != field->type)
			continue;
		is_string = false;
		col->plain = fixed_types[i].plain;
		if (col->type == NULL)
			col->type = fixed_types[i].name;
		if (is_integer(field->type) &&
		    (field->flags & UNSIGNED_FLAG) != 0) {
			(void)snprintf(type, MY_TYPE_SIZE, "%s unsigned",
				       fixed_types[i].name);
			col->type = type;
		}
	}
	if (col->type == NULL)
		col->type = string_name(field);
	col->shape = shape_of(field, col->type);
	return form_of(field, is_string);
}

const char *my_column_double(const char *text, size_t *len,
			     char out[MY_NUMBER_SIZE])
{
	static const char zeros[] = "0.0000";
	const char *digits = text;
	size_t n = *len;
	char copy[DOUBLE_TEXT_SIZE];

	if (n > 0 && *digits == '-') {
		digits++;
		n--;
	}
	if (n <= EXACT_DIGITS && memchr(digits, 'e', n) == NULL &&
	    (n < sizeof(zeros) - 1 ||
	     memcmp(digits, zeros, sizeof(zeros) - 1) != 0)) {
		/* A fixed number of decimals leaves zeros at the end. */
		if (memchr(digits, '.', n) != NULL) {
			while (text[*len - 1] == '0')
				--*len;
			if (text[*len - 1] == '.')
				--*len;
		}
		return text;
	}
	if (*len >= sizeof(copy))
		return text;
	memcpy(copy, text, *len);
	copy[*len] = '\0';
	*len = (size_t)double_to_shortest_decimal_bufn(strtod(copy, NULL), out);
	return out;
}

size_t my_column_hex_len(size_t len)
{
	return sizeof(hex_prefix) + 2 * len;
}

void my_column_put_hex(char *out, const char *data, size_t len)
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
