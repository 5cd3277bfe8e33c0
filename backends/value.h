/* SPDX-License-Identifier: MIT */
/*
 * Bind parameters of one statement. Borrowed for the length of a call; a value
 * is bound as what it is, and never becomes a part of the statement's text.
 */
#ifndef CONNFS_BACKENDS_VALUE_H
#define CONNFS_BACKENDS_VALUE_H

#include <stdbool.h>
#include <stddef.h>

enum db_kind {
	DB_NULL,
	DB_BOOL,   /* data: "true" or "false" */
	DB_NUMBER, /* data: the digits as they were written, JSON's grammar */
	DB_TEXT,   /* data: UTF-8 without NUL */
	DB_ARRAY,  /* data: its JSON text; items */
	DB_OBJECT, /* data: its JSON text */
};

struct db_value {
	enum db_kind kind;
	const char *name; /* of an object's member; null in a list */
	const char *data; /* followed by a NUL; null for DB_NULL */
	size_t len;       /* bytes, without that NUL */
	const struct db_value *items; /* of an array, which may hold arrays */
	size_t n_items;
};

struct db_args {
	const struct db_value *values; /* in the order of the text */
	size_t n;
	bool named; /* every value has a name, without :, @ or $ */
};

#endif
