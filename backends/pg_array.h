/* SPDX-License-Identifier: MIT */
/* A list of values as the text of a PostgreSQL array. Any thread. */
#ifndef CONNFS_BACKENDS_PG_ARRAY_H
#define CONNFS_BACKENDS_PG_ARRAY_H

#include <stdbool.h>

struct buf;
struct db_value;
struct err;

struct pg_array_style {
	char delimiter; /* pg_type.typdelim of the elements: , but for box */
	/*
	 * The elements are json or jsonb: one dimension, and every item is its
	 * JSON text, lists included. Else strings are their characters, lists
	 * are further dimensions, and objects only are their JSON text.
	 */
	bool json;
};

/*
 * Appends array, which is a DB_ARRAY: {1,NULL,"a\"b",{..}}. Whether its
 * dimensions are even is for the server to say. -EINVAL when there are more of
 * them than a server can have; failures of out are its owner's to look at.
 */
int pg_array_put(struct buf *out, const struct db_value *array,
		 const struct pg_array_style *style, struct err *err);

#endif
