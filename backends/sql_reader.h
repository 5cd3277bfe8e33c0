/* SPDX-License-Identifier: MIT */
/*
 * The tokens of a whole statement, without space and comments, and what their
 * words say it does. Private to sql_traits*.c.
 */
#ifndef CONNFS_BACKENDS_SQL_READER_H
#define CONNFS_BACKENDS_SQL_READER_H

#include <stdbool.h>
#include <stddef.h>

#include "backends/sql_lex.h"

enum sql_effect {
	SQL_NONE = 0,
	SQL_WRITES = 1,
	SQL_KEEPS = 2,
	SQL_PREFIX = 4, /* of a name, not a whole one */
};

struct sql_effect_of {
	const char *word; /* in lower case */
	unsigned effects;
};

struct sql_reader {
	struct sql_lex lex;
	const char *text;
	size_t len;
	enum sql_token token; /* SQL_MORE: none is left */
	const char *word;     /* SQL_WORD: itself; SQL_NAME: what is quoted */
	size_t word_len;
	bool hash;   /* a # was among them */
	bool skip;   /* pass over what is in MySQL's executable comments */
	bool marked; /* such a comment begins or ends before the token */
};

/* The reader is at the first token then. text must outlive it. */
void sql_reader_start(struct sql_reader *r, enum sql_dialect dialect,
		      const char *text, size_t len, unsigned modes, bool skip);

void sql_reader_advance(struct sql_reader *r);

/* It is at this word, given in lower case and not quoted. */
bool sql_reader_at(const struct sql_reader *r, const char *word);
bool sql_reader_at_any(const struct sql_reader *r, const char *const *words,
		       size_t n);

bool sql_reader_at_byte(const struct sql_reader *r, char c);

/* The effects the table has for the word, otherwise when it has none. */
unsigned sql_reader_effects(const struct sql_reader *r,
			    const struct sql_effect_of *table, size_t n,
			    unsigned otherwise);

/* Of a statement of MySQL, enum sql_effect. */
unsigned sql_effects_mysql(const char *text, size_t len);

#endif
