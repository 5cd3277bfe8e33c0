/* SPDX-License-Identifier: MIT */
/*
 * Tokens of a text that grows. Private to sql_*.c.
 *
 * A lexer is a few words of state, all zero but the dialect at the start. Each
 * call returns the next whole token, text[start] to text[pos - 1], or SQL_MORE
 * when the text ends first; the same call with a longer text goes on from
 * there and looks again at no more than the last bytes: two, or those that may
 * be the start of a delimiter.
 */
#ifndef CONNFS_BACKENDS_SQL_LEX_H
#define CONNFS_BACKENDS_SQL_LEX_H

#include <stdbool.h>
#include <stddef.h>

#include "backends/sql.h"

enum sql_token {
	SQL_MORE,
	SQL_SPACE,        /* white space, or a part of it */
	SQL_LINE_COMMENT, /* without its newline */
	SQL_COMMENT,
	SQL_WORD,      /* a name or key word without quotes */
	SQL_NAME,      /* a quoted name; a doubled quote makes two of them */
	SQL_STRING,    /* the same holds for strings */
	SQL_SEMICOLON, /* or what a DELIMITER line put in its place */
	SQL_OPEN,      /* parentheses */
	SQL_CLOSE,
	SQL_BACKSLASH,
	SQL_MARK,  /* where a comment that MySQL executes begins or ends */
	SQL_OTHER, /* numbers, parameters, one or more bytes of an operator */
};

enum { SQL_MAX_DELIMITER = 15 }; /* bytes; the mariadb client's */

struct sql_delimiter {
	char text[SQL_MAX_DELIMITER];
	size_t len; /* 0: it is the semicolon */
};

struct sql_lex {
	enum sql_dialect dialect;
	size_t start;   /* of the token last returned or begun */
	size_t word;    /* of a SQL_WORD proper: a lone $ may come before it */
	size_t pos;     /* every byte before it is done with */
	unsigned state; /* the dialect's own; 0: between two tokens */
	unsigned modes; /* enum sql_mode */
	/* Comments: how deep; dollar quotes: bytes of the tag that match. */
	size_t count;
	size_t tag; /* $tag$: where it stands in the text, and its length */
	size_t tag_len;
	/* A string that just ended may go on in the next line. */
	unsigned string;   /* its state; 0: no string, or something followed */
	size_t string_end; /* the byte after its quote */
	bool newline;      /* seen since */
	/* MySQL's */
	struct sql_delimiter delimiter;
	bool begun;      /* something other than space and comments came */
	bool executable; /* within a comment that is executed */
};

/* A token is whole and ends before pos. */
static inline enum sql_token sql_lex_done(struct sql_lex *lex, size_t pos,
					  enum sql_token token)
{
	lex->pos = pos;
	lex->state = 0;
	return token;
}

/* The text ends within a token; what comes before pos is done with. */
static inline enum sql_token sql_lex_more(struct sql_lex *lex, size_t pos)
{
	lex->pos = pos;
	return SQL_MORE;
}

enum sql_token sql_lex_postgres(struct sql_lex *lex, const char *text,
				size_t len);
enum sql_token sql_lex_sqlite(struct sql_lex *lex, const char *text,
			      size_t len);
enum sql_token sql_lex_mysql(struct sql_lex *lex, const char *text, size_t len);

static inline enum sql_token sql_lex_next(struct sql_lex *lex, const char *text,
					  size_t len)
{
	switch (lex->dialect) {
	case SQL_POSTGRES:
		return sql_lex_postgres(lex, text, len);
	case SQL_MYSQL:
		return sql_lex_mysql(lex, text, len);
	default:
		return sql_lex_sqlite(lex, text, len);
	}
}

/* After SQL_MORE: what the text breaks off in; SQL_MORE: between tokens. */
enum sql_token sql_lex_postgres_open(const struct sql_lex *lex);
enum sql_token sql_lex_sqlite_open(const struct sql_lex *lex);
enum sql_token sql_lex_mysql_open(const struct sql_lex *lex);

static inline enum sql_token sql_lex_open(const struct sql_lex *lex)
{
	switch (lex->dialect) {
	case SQL_POSTGRES:
		return sql_lex_postgres_open(lex);
	case SQL_MYSQL:
		return sql_lex_mysql_open(lex);
	default:
		return sql_lex_sqlite_open(lex);
	}
}

/* The len bytes at s are this word, written in lower case, in any case. */
bool sql_word_is(const char *s, size_t len, const char *word);

#endif
