/* SPDX-License-Identifier: MIT */
/* Bind parameters, for initializers in tests. Their texts are literals. */
#ifndef CONNFS_TESTS_UNIT_VALUES_H
#define CONNFS_TESTS_UNIT_VALUES_H

#include "backends/value.h"

#define VALUE(k, text)                                               \
	{                                                            \
		.kind = (k), .data = (text), .len = sizeof(text) - 1 \
	}

#define NOTHING                 \
	{                       \
		.kind = DB_NULL \
	}
#define BOOL(text)   VALUE(DB_BOOL, text)
#define NUMBER(text) VALUE(DB_NUMBER, text)
#define TEXT(text)   VALUE(DB_TEXT, text)
#define OBJECT(json) VALUE(DB_OBJECT, json)

/* A list of at least one item, and its JSON text; not for static storage. */
#define LIST(json, ...)                                                     \
	{                                                                   \
		.kind = DB_ARRAY, .data = (json), .len = sizeof(json) - 1,  \
		.items = (const struct db_value[]){__VA_ARGS__},            \
		.n_items = sizeof((const struct db_value[]){__VA_ARGS__}) / \
			   sizeof(struct db_value)                          \
	}

#define EMPTY_LIST VALUE(DB_ARRAY, "[]")

/* Of an array of values, or of members that were given names. */
#define ARGS(array)                                                      \
	{                                                                \
		.values = (array), .n = sizeof(array) / sizeof(*(array)) \
	}

#define NAMED_ARGS(array)                                                 \
	{                                                                 \
		.values = (array), .n = sizeof(array) / sizeof(*(array)), \
		.named = true                                             \
	}

#endif
