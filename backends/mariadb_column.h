/* SPDX-License-Identifier: MIT */
/*
 * A column of a result: what its type is called, and how its text is shown.
 * Private to mariadb*.c.
 *
 * Binary strings, BIT and geometries are shown as \x and hex. A DOUBLE has the
 * shortest digits that read back to the same number, in PostgreSQL's form; one
 * with a fixed number of decimals is rounded to them before. Everything else is
 * as the server prints it.
 */
#ifndef CONNFS_BACKENDS_MARIADB_COLUMN_H
#define CONNFS_BACKENDS_MARIADB_COLUMN_H

#include <mysql.h>
#include <stddef.h>

#include "backends/db.h"

enum my_form { MY_AS_IT_IS, MY_HEX, MY_DOUBLE };

enum { MY_TYPE_SIZE = 64, MY_NUMBER_SIZE = 32 };

/*
 * Describes the column; the name of its type is put into type where it is not
 * a constant. What it points to lives as long as field and type.
 */
enum my_form my_column_describe(struct db_column *col, const MYSQL_FIELD *field,
				char type[MY_TYPE_SIZE]);

/*
 * A double as the server prints it, len bytes: the same number in our form.
 * Returns text (and len as it is, or shorter), or out.
 */
const char *my_column_double(const char *text, size_t *len,
			     char out[MY_NUMBER_SIZE]);

/* The bytes of \x and hex for len bytes; puts them. */
size_t my_column_hex_len(size_t len);
void my_column_put_hex(char *out, const char *data, size_t len);

#endif
