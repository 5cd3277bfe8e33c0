/* SPDX-License-Identifier: MIT */
/*
 * MariaDB's lexical rules, as far as the ends of statements and their words
 * depend on them. Numbers are words. Where client and server differ, the
 * client's rule counts that decides about the end of a statement: a delimiter
 * ends it in the middle of a word, and in a comment that is executed.
 */
#include "backends/sql_lex.h"

#include <string.h>

enum state {
	BETWEEN,
	LINE_COMMENT,
	DASHES, /* which may begin one */
	COMMENT,
	SLASH_STAR, /* which may begin one that is executed */
	VERSION,    /* the number behind its start */
	WORD,
	/* Quoted: the state is the quote. */
	DOUBLE_QUOTED = '"',
	QUOTED = '\'',
	BACKQUOTED = '`',
};

enum { NAME_BYTE = 1, SPACE_BYTE };

static const unsigned char kinds[256] = {
	['0' ... '9'] = NAME_BYTE, ['A' ... 'Z'] = NAME_BYTE,
	['a' ... 'z'] = NAME_BYTE, ['_'] = NAME_BYTE,
	['$'] = NAME_BYTE,         [0x80 ... 0xff] = NAME_BYTE,
	[' '] = SPACE_BYTE,        ['\t'] = SPACE_BYTE,
	['\n'] = SPACE_BYTE,       ['\v'] = SPACE_BYTE,
	['\f'] = SPACE_BYTE,       ['\r'] = SPACE_BYTE,
};

static bool is_name(char c)
{
	return kinds[(unsigned char)c] == NAME_BYTE;
}

static bool is_space(char c)
{
	return kinds[(unsigned char)c] == SPACE_BYTE;
}

static bool is_control(char c)
{
	return (unsigned char)c < ' ' || c == 0x7f;
}

static enum sql_token inside(struct sql_lex *lex, const char *text, size_t len);

static enum sql_token enter(struct sql_lex *lex, const char *text, size_t pos,
			    size_t len, unsigned state)
{
	lex->pos = pos;
	lex->state = state;
	return inside(lex, text, len);
}

enum match { NO, PERHAPS, YES };

/* PERHAPS: the text ends within it. */
static enum match match_delimiter(const struct sql_lex *lex, const char *text,
				  size_t len)
{
	size_t n = lex->delimiter.len;

	if (n == 0)
		return *text == ';' ? YES : NO;
	if (*text != lex->delimiter.text[0] ||
	    memcmp(text, lex->delimiter.text, n < len ? n : len) != 0)
		return NO;
	return n <= len ? YES : PERHAPS;
}

static enum sql_token line_comment(struct sql_lex *lex, const char *text,
				   size_t len)
{
	const char *end = memchr(text + lex->pos, '\n', len - lex->pos);

	if (end == NULL)
		return sql_lex_more(lex, len);
	return sql_lex_done(lex, (size_t)(end - text), SQL_LINE_COMMENT);
}

/*
 * Two dashes and no space are operators, except where a statement would
 * begin: the client drops such lines.
 */
static enum sql_token dashes(struct sql_lex *lex, const char *text, size_t len)
{
	size_t i = lex->pos;

	if (i == len)
		return SQL_MORE;
	if (lex->begun && text[i] != ' ' && !is_control(text[i]))
		return sql_lex_done(lex, i - 1, SQL_OTHER);
	return enter(lex, text, i, len, LINE_COMMENT);
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
	return sql_lex_more(lex, p != NULL ? (size_t)(p - text) : len);
}

static enum sql_token slash_star(struct sql_lex *lex, const char *text,
				 size_t len)
{
	size_t i = lex->pos;

	if (i < len && text[i] == 'M')
		i++;
	if (i == len)
		return SQL_MORE;
	if (text[i] == '!')
		return enter(lex, text, i + 1, len, VERSION);
	return enter(lex, text, lex->pos, len, COMMENT);
}

static enum sql_token version(struct sql_lex *lex, const char *text, size_t len)
{
	size_t i = lex->pos;

	while (i < len && text[i] >= '0' && text[i] <= '9')
		i++;
	if (i == len)
		return sql_lex_more(lex, i);
	lex->executable = true;
	return sql_lex_done(lex, i, SQL_MARK);
}

static enum sql_token word(struct sql_lex *lex, const char *text, size_t len)
{
	bool ends_within = lex->delimiter.len > 0;
	enum match match = NO;
	size_t i = lex->pos;

	while (i < len && is_name(text[i])) {
		if (ends_within)
			match = match_delimiter(lex, text + i, len - i);
		if (match != NO)
			break;
		i++;
	}
	if (i == len || match == PERHAPS)
		return sql_lex_more(lex, i);
	return sql_lex_done(lex, i, SQL_WORD);
}

static bool has_escapes(const struct sql_lex *lex)
{
	return lex->state != BACKQUOTED &&
	       (lex->modes & SQL_PLAIN_BACKSLASH) == 0 &&
	       sql_lex_mysql_open(lex) == SQL_STRING;
}

static enum sql_token quoted(struct sql_lex *lex, const char *text, size_t len)
{
	enum sql_token token = sql_lex_mysql_open(lex);
	char quote = (char)lex->state;
	bool escapes = has_escapes(lex);
	size_t i = lex->pos;

	while (i < len && text[i] != quote) {
		if (!escapes || text[i] != '\\')
			i++;
		else if (i + 1 < len)
			i += 2;
		else
			return sql_lex_more(lex, i);
	}
	return i < len ? sql_lex_done(lex, i + 1, token) : sql_lex_more(lex, i);
}

static enum sql_token inside(struct sql_lex *lex, const char *text, size_t len)
{
	switch ((enum state)lex->state) {
	case LINE_COMMENT:
		return line_comment(lex, text, len);
	case DASHES:
		return dashes(lex, text, len);
	case COMMENT:
		return comment(lex, text, len);
	case SLASH_STAR:
		return slash_star(lex, text, len);
	case VERSION:
		return version(lex, text, len);
	case WORD:
		return word(lex, text, len);
	default:
		return quoted(lex, text, len);
	}
}

/* Tokens whose first byte does not tell what they are. */
static enum sql_token pair(struct sql_lex *lex, const char *text, size_t i,
			   size_t len)
{
	char next;

	if (i + 1 == len)
		return SQL_MORE;
	next = text[i + 1];
	switch (text[i]) {
	case '-':
		if (next == '-')
			return enter(lex, text, i + 2, len, DASHES);
		break;
	case '/':
		if (next == '*')
			return enter(lex, text, i + 2, len, SLASH_STAR);
		break;
	case '*':
		if (lex->executable && next == '/') {
			lex->executable = false;
			return sql_lex_done(lex, i + 2, SQL_MARK);
		}
		break;
	default: /* a backslash; \N is a NULL */
		if (next != 'N')
			return sql_lex_done(lex, i + 1, SQL_BACKSLASH);
		return sql_lex_done(lex, i + 2, SQL_OTHER);
	}
	return sql_lex_done(lex, i + 1, SQL_OTHER);
}

static enum sql_token special(struct sql_lex *lex, const char *text, size_t i,
			      size_t len)
{
	switch (text[i]) {
	case '\'':
	case '"':
	case '`':
		return enter(lex, text, i + 1, len, (unsigned char)text[i]);
	case '#':
		return enter(lex, text, i + 1, len, LINE_COMMENT);
	case '-':
	case '/':
	case '*':
	case '\\':
		return pair(lex, text, i, len);
	case '(':
		return sql_lex_done(lex, i + 1, SQL_OPEN);
	case ')':
		return sql_lex_done(lex, i + 1, SQL_CLOSE);
	default:
		return sql_lex_done(lex, i + 1, SQL_OTHER);
	}
}

static enum sql_token between(struct sql_lex *lex, const char *text, size_t len)
{
	size_t i = lex->pos, n = lex->delimiter.len;
	enum match match;

	if (i == len)
		return SQL_MORE;
	lex->start = i;
	lex->word = i;
	match = match_delimiter(lex, text + i, len - i);
	if (match == PERHAPS)
		return SQL_MORE;
	if (match == YES)
		return sql_lex_done(lex, i + (n > 0 ? n : 1), SQL_SEMICOLON);
	if (is_name(text[i]))
		return enter(lex, text, i + 1, len, WORD);
	if (!is_space(text[i]))
		return special(lex, text, i, len);
	while (i < len && is_space(text[i]))
		i++;
	return sql_lex_done(lex, i, SQL_SPACE);
}

enum sql_token sql_lex_mysql(struct sql_lex *lex, const char *text, size_t len)
{
	enum sql_token token = lex->state == BETWEEN ? between(lex, text, len)
						     : inside(lex, text, len);

	switch (token) {
	case SQL_MORE:
	case SQL_SPACE:
	case SQL_LINE_COMMENT:
	case SQL_COMMENT:
		break;
	default:
		lex->begun = true;
	}
	return token;
}

enum sql_token sql_lex_mysql_open(const struct sql_lex *lex)
{
	switch ((enum state)lex->state) {
	case BETWEEN:
		return SQL_MORE;
	case LINE_COMMENT:
	case DASHES:
		return SQL_LINE_COMMENT;
	case COMMENT:
	case SLASH_STAR:
		return SQL_COMMENT;
	case VERSION:
		return SQL_MARK;
	case WORD:
		return SQL_WORD;
	case QUOTED:
		return SQL_STRING;
	case DOUBLE_QUOTED:
		return (lex->modes & SQL_ANSI_QUOTES) != 0 ? SQL_NAME
							   : SQL_STRING;
	case BACKQUOTED:
		return SQL_NAME;
	}
	return SQL_OTHER;
}
