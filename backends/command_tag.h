/* SPDX-License-Identifier: MIT */
/* What a statement has done, in PostgreSQL's words. Any thread. */
#ifndef CONNFS_BACKENDS_COMMAND_TAG_H
#define CONNFS_BACKENDS_COMMAND_TAG_H

#include <stdint.h>

#include "backends/sql.h"

enum { COMMAND_TAG_SIZE = SQL_COMMAND_SIZE + 24 };

/*
 * The tag of a complete statement that delivered n_rows and changed n_changes:
 * "SELECT 2", "INSERT 0 3", "CREATE TABLE"; "" when the text has no word.
 * Returns how many rows it affected, -1 where that does not apply.
 */
int64_t command_tag(char out[COMMAND_TAG_SIZE], enum sql_dialect dialect,
		    const char *sql, int64_t n_rows, int64_t n_changes);

#endif
