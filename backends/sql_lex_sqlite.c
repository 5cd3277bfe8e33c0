/* SPDX-License-Identifier: MIT */
/*
 * SQLite's lexical rules as sqlite3_complete() has them: coarser than those
 * of its parser, in that numbers, parameters and blobs are words and strings.
 */
#include "backends/sql_lex.h"

#include <string.h>

enum state {
	BETWEEN,
	LINE_COMMENT,
	COMMENT,
	WORD,
	/* Quoted: the state is the quote that ends it. */
	STRING = '\'',
	NAME = '"',
	BACKQUOTED = '`',
	BRACKETED = ']',
};

enum { NAME_BYTE = 1, SPACE_BYTE };

static const unsigned char kinds[256] = {
	['0' ... '9'] = NAME_BYTE, ['A' ... 'Z'] = NAME_BYTE,
	['a' ... 'z'] = NAME_BYTE, ['_'] = NAME_BYTE,
	['$'] = NAME_BYTE,         [0x80 ... 0xff] = NAME_BYTE,
	[' '] = SPACE_BYTE,        ['\t'] = SPACE_BYTE,
	['\n'] = SPACE_BYTE,       ['\r'] = SPACE_BYTE,
	['\f'] = SPACE_BYTE,
};

static bool is_name(char c)
{
	return kinds[(unsigned char)c] == NAME_BYTE;
}

static bool is_space(char c)
{
	return kinds[(unsigned char)c] == SPACE_BYTE;
}

/* Up to the byte, which belongs to the token when with is 1. */
static enum sql_token until(struct sql_lex *lex, const char *text, size_t len,
			    char end, size_t with)
{
	const char *p = memchr(text + lex->pos, end, len - lex->pos);
	enum sql_token token = sql_lex_sqlite_open(lex);

	lex->pos = len;
	if (p == NULL)
		return SQL_MORE;
	return sql_lex_done(lex, (size_t)(p - text) + with, token);
}

static enum sql_token comment(struct sql_lex *lex, const char *text, size_t len)
{
	const char *p = text + lex->pos;

	for (;;) {
		p = memchr(p, '*', len - (size_t)(p - text));
		if (p == NULL || p + 1 == text + len)
			break;
		p++;
		if (*p == '/')
			return sql_lex_done(lex, (size_t)(p - text) + 1,
					    SQL_COMMENT);
	}
	lex->pos = p != NULL ? (size_t)(p - text) : len;
	return SQL_MORE;
}

static enum sql_token word(struct sql_lex *lex, const char *text, size_t len)
{
	size_t i = lex->pos;

	while (i < len && is_name(text[i]))
		i++;
	lex->pos = i;
	return i < len ? sql_lex_done(lex, i, SQL_WORD) : SQL_MORE;
}

static enum sql_token inside(struct sql_lex *lex, const char *text, size_t len)
{
	switch ((enum state)lex->state) {
	case LINE_COMMENT:
		return until(lex, text, len, '\n', 0);
	case COMMENT:
		return comment(lex, text, len);
	case WORD:
		return word(lex, text, len);
	default:
		return until(lex, text, len, (char)lex->state, 1);
	}
}

static enum sql_token enter(struct sql_lex *lex, const char *text, size_t pos,
			    size_t len, unsigned state)
{
	lex->pos = pos;
	lex->state = state;
	return inside(lex, text, len);
}

static enum sql_token special(struct sql_lex *lex, const char *text, size_t i,
			      size_t len)
{
	switch (text[i]) {
	case '\'':
	case '"':
	case '`':
		return enter(lex, text, i + 1, len, (unsigned char)text[i]);
	case '[':
		return enter(lex, text, i + 1, len, BRACKETED);
	case '-':
	case '/':
		if (i + 1 == len)
			return SQL_MORE;
		if (text[i] == '-' && text[i + 1] == '-')
			return enter(lex, text, i + 2, len, LINE_COMMENT);
		if (text[i] == '/' && text[i + 1] == '*')
			return enter(lex, text, i + 2, len, COMMENT);
		return sql_lex_done(lex, i + 1, SQL_OTHER);
	case ';':
		return sql_lex_done(lex, i + 1, SQL_SEMICOLON);
	case '(':
		return sql_lex_done(lex, i + 1, SQL_OPEN);
	case ')':
		return sql_lex_done(lex, i + 1, SQL_CLOSE);
	default:
		return sql_lex_done(lex, i + 1, SQL_OTHER);
	}
}

enum sql_token sql_lex_sqlite(struct sql_lex *lex, const char *text, size_t len)
{
	size_t i = lex->pos;

	if (lex->state != BETWEEN)
		return inside(lex, text, len);
	if (i == len)
		return SQL_MORE;
	lex->start = i;
	lex->word = i;
	if (is_name(text[i])) {
		lex->state = WORD;
		lex->pos = i + 1;
		return word(lex, text, len);
	}
	if (!is_space(text[i]))
		return special(lex, text, i, len);
	while (i < len && is_space(text[i]))
		i++;
	return sql_lex_done(lex, i, SQL_SPACE);
}

enum sql_token sql_lex_sqlite_open(const struct sql_lex *lex)
{
	switch ((enum state)lex->state) {
	case BETWEEN:
		return SQL_MORE;
	case LINE_COMMENT:
		return SQL_LINE_COMMENT;
	case COMMENT:
		return SQL_COMMENT;
	case WORD:
		return SQL_WORD;
	case STRING:
		return SQL_STRING;
	default:
		return SQL_NAME;
	}
}
