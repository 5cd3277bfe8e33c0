/* SPDX-License-Identifier: MIT */
#include "backends/sql_client.h"

#include <errno.h>
#include <string.h>

#include "backends/sql_lex.h"
#include "common/err.h"

enum {
	MAX_NAME = 32, /* bytes shown of a command */
	MAX_LINE = 1024,
	MYSQL_NAME = 2, /* a backslash and a letter */
};

static bool graphic(char c)
{
	return c > ' ' && c < 0x7f;
}

static bool blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\f';
}

static bool filled(char c)
{
	return !blank(c);
}

static size_t skip(const char *line, size_t i, size_t len, bool (*is)(char))
{
	while (i < len && is(line[i]))
		i++;
	return i;
}

static const char *client_name(enum sql_dialect dialect)
{
	switch (dialect) {
	case SQL_POSTGRES:
		return "psql";
	case SQL_MYSQL:
		return "the mariadb client";
	default:
		return "the sqlite3 shell";
	}
}

static int refuse(const struct sql_lex *lex, const char *name, size_t len,
		  struct err *err)
{
	size_t max = lex->dialect == SQL_MYSQL ? MYSQL_NAME : MAX_NAME;

	return err_set(err, EINVAL,
		       "%.*s is a command of %s, which connfs does not run; "
		       "write SQL",
		       (int)skip(name, 0, len < max ? len : max, graphic), name,
		       client_name(lex->dialect));
}

/* What pg_dump writes around its output. */
static bool is_restrict(const char *name, size_t len)
{
	static const char *const known[] = {"\\restrict", "\\unrestrict"};

	for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++) {
		if (len == strlen(known[i]) && memcmp(name, known[i], len) == 0)
			return true;
	}
	return false;
}

/* The line, as far as it has come, is a command and one word. */
static bool has_one_word(const char *line, size_t name, size_t len)
{
	size_t word = skip(line, name, len, blank);
	size_t end = skip(line, word, len, graphic);

	return end > word && skip(line, end, len, blank) == len;
}

static int take_line(struct sql_client *c, struct sql_lex *lex,
		     const char *text, size_t len, struct err *err)
{
	const char *line = text + lex->start;
	const char *end = memchr(text + lex->pos, '\n', len - lex->pos);
	size_t n = (size_t)((end != NULL ? end : text + len) - line);
	size_t name = skip(line, 0, n, graphic);

	c->ok = false;
	if (end == NULL && name == n && n <= MAX_NAME)
		return 0;
	if (!c->alone || n > MAX_LINE || !is_restrict(line, name))
		return refuse(lex, line, n, err);
	c->ok = has_one_word(line, name, n);
	if (end == NULL)
		return 0;
	if (!c->ok)
		return refuse(lex, line, n, err);
	lex->pos = (size_t)(end - text);
	return 1;
}

/*
 * What a dump of MariaDB begins with, a comment for servers: up to the
 * backslash it is "!999999" or "M!999999" behind the slash and the asterisk.
 */
static bool is_sandbox(const struct sql_client *c, const struct sql_lex *lex,
		       const char *text)
{
	static const char *const starts[] = {"/*!999999", "/*M!999999"};
	size_t n = lex->start - c->body;

	if (!lex->executable || text[lex->pos] != '-')
		return false;
	for (size_t i = 0; i < sizeof(starts) / sizeof(*starts); i++) {
		if (n == strlen(starts[i]) &&
		    memcmp(text + c->body, starts[i], n) == 0)
			return true;
	}
	return false;
}

/* A backslash; the byte behind it has come. */
static int take_backslash(struct sql_client *c, struct sql_lex *lex,
			  const char *text, size_t len, struct err *err)
{
	const char *line = text + lex->start, *end;
	size_t n = len - lex->start;

	c->ok = false;
	if (n > MAX_LINE)
		n = MAX_LINE;
	if (!is_sandbox(c, lex, text))
		return refuse(lex, line, n, err);
	end = memmem(line, n, "*/", 2);
	if (end == NULL && n < MAX_LINE)
		return 0;
	if (end == NULL)
		return refuse(lex, line, n, err);
	lex->pos = (size_t)(end + 2 - text);
	return 1;
}

/* As the client: the first word or what is quoted, the rest is ignored. */
static int parse_delimiter(struct sql_delimiter *out, const char *line,
			   size_t len, struct err *err)
{
	size_t start = skip(line, sizeof("delimiter") - 1, len, blank);
	size_t end = skip(line, start, len, filled);
	const char *quote;

	if (start < len && strchr("'\"`", line[start]) != NULL) {
		start++;
		quote = memchr(line + start, line[start - 1], len - start);
		end = quote != NULL ? (size_t)(quote - line) : len;
	}
	if (memchr(line + start, '\\', end - start) != NULL)
		return err_set(err, EINVAL,
			       "DELIMITER cannot contain a backslash");
	if (end == start || end - start > SQL_MAX_DELIMITER ||
	    blank(line[start]) || !blank(line[sizeof("delimiter") - 1]))
		return err_set(err, EINVAL,
			       "DELIMITER must be followed by a space and a "
			       "delimiter of 1 to %d bytes",
			       SQL_MAX_DELIMITER);
	out->len = end - start;
	memcpy(out->text, line + start, out->len);
	return 0;
}

static int take_delimiter(struct sql_client *c, struct sql_lex *lex,
			  const char *text, size_t len, struct err *err)
{
	const char *line = text + lex->start;
	const char *end = memchr(text + lex->pos, '\n', len - lex->pos);
	size_t n = (size_t)((end != NULL ? end : text + len) - line);
	int rc;

	if (n > MAX_LINE)
		return err_set(err, EINVAL,
			       "a DELIMITER line of more than %d "
			       "bytes",
			       MAX_LINE);
	/* It counts although its line may not be complete yet. */
	rc = parse_delimiter(&lex->delimiter, line, n, err);
	c->ok = rc == 0;
	if (end == NULL || rc < 0)
		return end == NULL ? 0 : rc;
	lex->pos = (size_t)(end - text);
	return 1;
}

int sql_client_take(struct sql_client *c, struct sql_lex *lex, const char *text,
		    size_t len, struct err *err)
{
	int rc;

	if (lex->dialect != SQL_MYSQL)
		rc = take_line(c, lex, text, len, err);
	else if (text[lex->start] == '\\')
		rc = take_backslash(c, lex, text, len, err);
	else
		rc = take_delimiter(c, lex, text, len, err);
	if (rc == 1) {
		c->active = false;
		lex->begun = false;
		lex->executable = false;
	}
	return rc;
}

int sql_client_refuse(const struct sql_lex *lex, const char *text, size_t len,
		      struct err *err)
{
	const char *line = text + lex->start;
	size_t n = len - lex->start;
	struct sql_delimiter delimiter;

	if (lex->dialect == SQL_MYSQL && *line != '\\')
		return parse_delimiter(&delimiter, line, n, err);
	return refuse(lex, line, n, err);
}
