/* SPDX-License-Identifier: MIT */
/*
 * Whether a semicolon ends a statement of MariaDB or stands within the body of
 * a stored program or of BEGIN NOT ATOMIC and its like. Private to sql_*.c.
 *
 * Only where a statement of a body may begin do BEGIN, IF, CASE, LOOP, WHILE,
 * REPEAT and FOR begin a block; elsewhere they are functions, options, names.
 */
#ifndef CONNFS_BACKENDS_SQL_BLOCKS_H
#define CONNFS_BACKENDS_SQL_BLOCKS_H

#include <stdbool.h>
#include <stddef.h>

#include "backends/sql_lex.h"

/* All zero at the start of a statement. */
struct sql_blocks {
	unsigned place;   /* what may come next */
	unsigned program; /* the key word of what is created; 0: none */
	unsigned routine; /* the same, of one within a package */
	size_t depth;     /* blocks that are open */
	size_t parens;
	size_t cases;  /* CASE expressions that wait for END */
	bool type;     /* RETURNS, all parameters, or EACH came */
	bool declares; /* Oracle's AS came, and BEGIN not yet */
	bool head;     /* of WHILE or FOR: DO or LOOP ends it */
	bool until;    /* END ends the condition of a REPEAT */
	char last;     /* the byte before, if it was one of an operator */
};

/*
 * The next token, space and comments left out; word is its text. True when it
 * ends the statement.
 */
bool sql_blocks_take(struct sql_blocks *b, enum sql_token token,
		     const char *word, size_t len);

#endif
