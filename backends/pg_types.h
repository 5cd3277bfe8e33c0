/* SPDX-License-Identifier: MIT */
/* PostgreSQL's built-in types, whose OIDs never change. Any thread. */
#ifndef CONNFS_BACKENDS_PG_TYPES_H
#define CONNFS_BACKENDS_PG_TYPES_H

#include <stdbool.h>
#include <stdint.h>

#include "backends/db.h"

struct pg_type {
	const char *name; /* pg_type.typname; an array is "int4[]" */
	uint32_t oid;
	bool plain; /* see struct db_column */
};

/* Null for a type that is not built in. */
const struct pg_type *pg_type_find(uint32_t oid);

/* Of any type: text, where it is not known to be something else. */
enum db_shape pg_type_shape(uint32_t oid);

#endif
