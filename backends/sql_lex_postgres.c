/* SPDX-License-Identifier: MIT */
/*
 * PostgreSQL's lexical rules as psql 15 applies them to find the end of a
 * statement, odd corners included: what follows a number ("1e'" begins no
 * escape string), which letters before a quote are no name, where an operator
 * ends and a comment begins.
 *
 * In one point it keeps to the server instead, which psql cannot because it
 * lexes line by line: E'..' that goes on in the next line keeps its escapes.
 */
#include "backends/sql_lex.h"

#include <string.h>

enum state {
	BETWEEN,
	LINE_COMMENT,
	COMMENT,
	WORD,
	NAME,
	PLAIN,  /* '..' where two quotes are one */
	BITS,   /* b'..' and x'..', where they are not */
	ESCAPE, /* E'..', or '..' without standard_conforming_strings */
	TAG,    /* of a dollar quote */
	DOLLAR,
	INTEGER,
	DECIMAL,
	TAIL, /* the digits behind an exponent's sign, or of $1 */
	JUNK, /* letters behind a number */
	VARIABLE,
};

enum kind {
	K_OTHER,
	K_SPACE,
	K_LETTER, /* may begin a name */
	K_DIGIT,
	K_QUOTE,
	K_NAME,
	K_DOLLAR,
	K_DASH,
	K_SLASH,
	K_DOT,
	K_COLON,
	K_SEMICOLON,
	K_OPEN,
	K_CLOSE,
	K_BACKSLASH,
};

static const unsigned char kinds[256] = {
	[' '] = K_SPACE,
	['\t'] = K_SPACE,
	['\n'] = K_SPACE,
	['\r'] = K_SPACE,
	['\f'] = K_SPACE,
	['A' ... 'Z'] = K_LETTER,
	['a' ... 'z'] = K_LETTER,
	['_'] = K_LETTER,
	[0x80 ... 0xff] = K_LETTER,
	['0' ... '9'] = K_DIGIT,
	['\''] = K_QUOTE,
	['"'] = K_NAME,
	['$'] = K_DOLLAR,
	['-'] = K_DASH,
	['/'] = K_SLASH,
	['.'] = K_DOT,
	[':'] = K_COLON,
	[';'] = K_SEMICOLON,
	['('] = K_OPEN,
	[')'] = K_CLOSE,
	['\\'] = K_BACKSLASH,
};

static enum kind kind_of(char c)
{
	return (enum kind)kinds[(unsigned char)c];
}

static bool is_digit(char c)
{
	return kind_of(c) == K_DIGIT;
}

/* In a dollar quote's tag and in the name of a psql variable. */
static bool is_tag(char c)
{
	return kind_of(c) == K_LETTER || kind_of(c) == K_DIGIT;
}

static bool is_name(char c)
{
	return is_tag(c) || c == '$';
}

static enum sql_token line_comment(struct sql_lex *lex, const char *text,
				   size_t len)
{
	size_t i = lex->pos;

	while (i < len && text[i] != '\n' && text[i] != '\r')
		i++;
	return i < len ? sql_lex_done(lex, i, SQL_LINE_COMMENT)
		       : sql_lex_more(lex, i);
}

static enum sql_token comment(struct sql_lex *lex, const char *text, size_t len)
{
	size_t i = lex->pos;

	for (;;) {
		while (i < len && text[i] != '*' && text[i] != '/')
			i++;
		if (i + 1 >= len)
			return sql_lex_more(lex, i);
		if (text[i] == '/' && text[i + 1] == '*') {
			lex->count++;
			i += 2;
		} else if (text[i] == '*' && text[i + 1] == '/') {
			i += 2;
			if (--lex->count == 0)
				return sql_lex_done(lex, i, SQL_COMMENT);
		} else {
			i++;
		}
	}
}

static enum sql_token name(struct sql_lex *lex, const char *text, size_t len)
{
	const char *end = memchr(text + lex->pos, '"', len - lex->pos);

	if (end == NULL)
		return sql_lex_more(lex, len);
	return sql_lex_done(lex, (size_t)(end - text) + 1, SQL_NAME);
}

/* Remembers the string, for a quote behind it may take it up again. */
static enum sql_token string_end(struct sql_lex *lex, size_t pos)
{
	lex->string = lex->state;
	lex->string_end = pos;
	lex->newline = false;
	return sql_lex_done(lex, pos, SQL_STRING);
}

static enum sql_token plain(struct sql_lex *lex, const char *text, size_t len)
{
	const char *end = memchr(text + lex->pos, '\'', len - lex->pos);

	if (end == NULL)
		return sql_lex_more(lex, len);
	return string_end(lex, (size_t)(end - text) + 1);
}

static enum sql_token escape(struct sql_lex *lex, const char *text, size_t len)
{
	size_t i = lex->pos;

	while (i < len && text[i] != '\'') {
		if (text[i] != '\\')
			i++;
		else if (i + 1 < len)
			i += 2;
		else
			return sql_lex_more(lex, i);
	}
	return i < len ? string_end(lex, i + 1) : sql_lex_more(lex, i);
}

static enum sql_token dollar(struct sql_lex *lex, const char *text, size_t len)
{
	const char *tag = text + lex->tag;
	size_t i = lex->pos, n = lex->count;

	while (i < len && n < lex->tag_len) {
		if (n == 0) {
			const char *p = memchr(text + i, '$', len - i);

			i = p != NULL ? (size_t)(p - text) : len;
			if (p == NULL)
				break;
		}
		/* Within a tag the only dollars are its first and its last. */
		if (text[i] == tag[n])
			n++;
		else
			n = text[i] == '$' ? 1 : 0;
		i++;
	}
	lex->count = n;
	return n == lex->tag_len ? sql_lex_done(lex, i, SQL_STRING)
				 : sql_lex_more(lex, i);
}

static enum sql_token dollar_body(struct sql_lex *lex, const char *text,
				  size_t pos, size_t len)
{
	lex->tag = lex->start;
	lex->tag_len = pos - lex->start;
	lex->count = 0;
	lex->state = DOLLAR;
	lex->pos = pos;
	return dollar(lex, text, len);
}

static enum sql_token begin_string(struct sql_lex *lex, const char *text,
				   size_t pos, size_t len, enum state state)
{
	lex->pos = pos;
	lex->state = state;
	return state == ESCAPE ? escape(lex, text, len) : plain(lex, text, len);
}

/* A name of one letter and a quote, or u&, are the start of something else. */
static enum sql_token prefixed(struct sql_lex *lex, const char *text, size_t i,
			       size_t len)
{
	char letter = (char)(text[lex->word] | 0x20), next = text[i];

	if (next == '\'' && letter == 'e')
		return begin_string(lex, text, i + 1, len, ESCAPE);
	if (next == '\'' && (letter == 'b' || letter == 'x'))
		return begin_string(lex, text, i + 1, len, BITS);
	if (next == '\'' && letter == 'n')
		return sql_lex_done(lex, i, SQL_OTHER);
	if (next != '&' || letter != 'u')
		return sql_lex_done(lex, i, SQL_WORD);
	if (i + 1 == len)
		return sql_lex_more(lex, i);
	if (text[i + 1] == '\'')
		return begin_string(lex, text, i + 2, len, PLAIN);
	if (text[i + 1] == '"') {
		lex->state = NAME;
		lex->pos = i + 2;
		return name(lex, text, len);
	}
	/* psql does not count such a letter as a word. */
	return sql_lex_done(lex, i, SQL_OTHER);
}

static enum sql_token word(struct sql_lex *lex, const char *text, size_t len)
{
	size_t i = lex->pos;

	while (i < len && is_name(text[i]))
		i++;
	if (i == len)
		return sql_lex_more(lex, i);
	if (i == lex->word + 1)
		return prefixed(lex, text, i, len);
	return sql_lex_done(lex, i, SQL_WORD);
}

static enum sql_token dollar_tag(struct sql_lex *lex, const char *text,
				 size_t len)
{
	size_t i = lex->pos;

	while (i < len && is_tag(text[i]))
		i++;
	if (i == len)
		return sql_lex_more(lex, i);
	if (text[i] == '$')
		return dollar_body(lex, text, i + 1, len);
	/* No dollar quote: a lone dollar and a name, which ends here. */
	lex->word = lex->start + 1;
	lex->pos = i;
	lex->state = WORD;
	return word(lex, text, len);
}

static enum sql_token number(struct sql_lex *lex, const char *text, size_t len);

/* Letters that follow a number at once belong to it, dollars included. */
static enum sql_token junk(struct sql_lex *lex, const char *text, size_t len)
{
	size_t i = lex->pos;

	while (i < len && is_name(text[i]))
		i++;
	return i < len ? sql_lex_done(lex, i, SQL_OTHER) : sql_lex_more(lex, i);
}

/* At text[i], behind digits: a letter that may be the e of an exponent. */
static enum sql_token suffix(struct sql_lex *lex, const char *text, size_t i,
			     size_t len)
{
	bool exponent = lex->state != TAIL && (text[i] | 0x20) == 'e';

	if (exponent && i + 1 == len)
		return sql_lex_more(lex, i);
	if (!exponent || (text[i + 1] != '+' && text[i + 1] != '-')) {
		lex->state = JUNK; /* digits may follow the e in there */
		lex->pos = i;
		return junk(lex, text, len);
	}
	if (i + 2 == len)
		return sql_lex_more(lex, i);
	if (!is_digit(text[i + 2]))
		return sql_lex_done(lex, i + 2, SQL_OTHER);
	lex->state = TAIL;
	lex->pos = i + 2;
	return number(lex, text, len);
}

static enum sql_token number(struct sql_lex *lex, const char *text, size_t len)
{
	size_t i = lex->pos;

	for (;;) {
		while (i < len && is_digit(text[i]))
			i++;
		if (i == len)
			return sql_lex_more(lex, i);
		if (kind_of(text[i]) == K_LETTER)
			return suffix(lex, text, i, len);
		if (lex->state != INTEGER || text[i] != '.')
			return sql_lex_done(lex, i, SQL_OTHER);
		if (i + 1 == len)
			return sql_lex_more(lex, i);
		if (text[i + 1] == '.') /* 1..10 has no fractions */
			return sql_lex_done(lex, i, SQL_OTHER);
		lex->state = DECIMAL;
		i++;
	}
}

static enum sql_token variable(struct sql_lex *lex, const char *text,
			       size_t len)
{
	size_t i = lex->pos;

	while (i < len && is_tag(text[i]))
		i++;
	return i < len ? sql_lex_done(lex, i, SQL_OTHER) : sql_lex_more(lex, i);
}

static enum sql_token inside(struct sql_lex *lex, const char *text, size_t len)
{
	switch ((enum state)lex->state) {
	case LINE_COMMENT:
		return line_comment(lex, text, len);
	case COMMENT:
		return comment(lex, text, len);
	case WORD:
		return word(lex, text, len);
	case NAME:
		return name(lex, text, len);
	case PLAIN:
	case BITS:
		return plain(lex, text, len);
	case ESCAPE:
		return escape(lex, text, len);
	case TAG:
		return dollar_tag(lex, text, len);
	case DOLLAR:
		return dollar(lex, text, len);
	case INTEGER:
	case DECIMAL:
	case TAIL:
		return number(lex, text, len);
	case JUNK:
		return junk(lex, text, len);
	case VARIABLE:
		return variable(lex, text, len);
	case BETWEEN:
		break;
	}
	return SQL_MORE;
}

static enum sql_token enter(struct sql_lex *lex, const char *text, size_t pos,
			    size_t len, enum state state)
{
	lex->pos = pos;
	lex->state = state;
	return inside(lex, text, len);
}

static enum sql_token space(struct sql_lex *lex, const char *text, size_t len)
{
	size_t i = lex->pos;

	for (; i < len && kind_of(text[i]) == K_SPACE; i++) {
		if (text[i] == '\n' || text[i] == '\r')
			lex->newline = true;
	}
	return sql_lex_done(lex, i, SQL_SPACE);
}

static enum sql_token quote(struct sql_lex *lex, const char *text, size_t len)
{
	enum state last = (enum state)lex->string;
	bool again =
		lex->newline || (lex->string_end == lex->pos && last != BITS);

	if (last == BETWEEN || !again)
		last = (lex->modes & SQL_PLAIN_BACKSLASH) != 0 ? PLAIN : ESCAPE;
	return begin_string(lex, text, lex->pos + 1, len, last);
}

/* Tokens whose first byte does not tell what they are. next is the second. */
static enum sql_token pair(struct sql_lex *lex, const char *text, size_t len,
			   enum kind first)
{
	size_t i = lex->pos;
	char next;

	if (i + 1 == len)
		return sql_lex_more(lex, i);
	next = text[i + 1];
	if (first == K_DASH && next == '-')
		return enter(lex, text, i + 2, len, LINE_COMMENT);
	lex->string = BETWEEN;
	if (first == K_SLASH && next == '*') {
		lex->count = 1;
		return enter(lex, text, i + 2, len, COMMENT);
	}
	if (first == K_DOLLAR && next == '$')
		return dollar_body(lex, text, i + 2, len);
	if (first == K_DOLLAR && is_digit(next))
		return enter(lex, text, i + 1, len, TAIL);
	if (first == K_DOLLAR && kind_of(next) == K_LETTER)
		return enter(lex, text, i + 1, len, TAG);
	if (first == K_DOT && is_digit(next))
		return enter(lex, text, i + 1, len, DECIMAL);
	if (first == K_COLON && is_tag(next))
		return enter(lex, text, i + 1, len, VARIABLE);
	if ((first == K_DOT && next == '.') ||
	    (first == K_COLON && next == ':'))
		return sql_lex_done(lex, i + 2, SQL_OTHER);
	return sql_lex_done(lex, i + 1, SQL_OTHER);
}

enum sql_token sql_lex_postgres(struct sql_lex *lex, const char *text,
				size_t len)
{
	size_t i = lex->pos;
	enum kind first;

	if (lex->state != BETWEEN)
		return inside(lex, text, len);
	if (i == len)
		return SQL_MORE;
	lex->start = i;
	first = kind_of(text[i]);
	switch (first) {
	case K_SPACE:
		return space(lex, text, len);
	case K_QUOTE:
		return quote(lex, text, len);
	case K_DOLLAR:
	case K_DASH:
	case K_SLASH:
	case K_DOT:
	case K_COLON:
		return pair(lex, text, len, first);
	default:
		break;
	}
	lex->string = BETWEEN;
	switch (first) {
	case K_LETTER:
		lex->word = i;
		lex->state = WORD;
		lex->pos = i + 1;
		return word(lex, text, len);
	case K_DIGIT:
		return enter(lex, text, i + 1, len, INTEGER);
	case K_NAME:
		return enter(lex, text, i + 1, len, NAME);
	case K_SEMICOLON:
		return sql_lex_done(lex, i + 1, SQL_SEMICOLON);
	case K_OPEN:
		return sql_lex_done(lex, i + 1, SQL_OPEN);
	case K_CLOSE:
		return sql_lex_done(lex, i + 1, SQL_CLOSE);
	case K_BACKSLASH:
		return sql_lex_done(lex, i + 1, SQL_BACKSLASH);
	default:
		return sql_lex_done(lex, i + 1, SQL_OTHER);
	}
}

enum sql_token sql_lex_postgres_open(const struct sql_lex *lex)
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
	case NAME:
		return SQL_NAME;
	case PLAIN:
	case BITS:
	case ESCAPE:
	case DOLLAR:
		return SQL_STRING;
	default:
		return SQL_OTHER;
	}
}
