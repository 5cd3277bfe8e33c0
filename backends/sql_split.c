/* SPDX-License-Identifier: MIT */
#include "backends/sql.h"

#include <stdlib.h>
#include <string.h>

#include "backends/sql_blocks.h"
#include "backends/sql_client.h"
#include "backends/sql_lex.h"

/*
 * Where a text stands between two semicolons for sqlite3_complete(): a
 * trigger's body goes on until a semicolon, END and a semicolon.
 */
enum stage {
	START,
	PLAIN,
	EXPLAIN, /* may come before CREATE */
	CREATE,
	TRIGGER,
	TRIGGER_SEMICOLON,
	TRIGGER_END,
};

struct sql_splitter {
	struct sql_lex lex;
	unsigned modes; /* of the next statement */

	bool has_body;  /* something other than space and line comments */
	bool has_token; /* something other than comments */
	size_t body;
	bool held; /* bytes at the end of the text wait for what follows */

	struct sql_client client;

	/* PostgreSQL's */
	size_t parens;
	size_t begins; /* BEGIN and CASE that wait for END */
	size_t n_words;
	char words[4]; /* initials of the first words, if they matter */

	enum stage stage;         /* SQLite's */
	struct sql_blocks blocks; /* MySQL's */
};

static void restart(struct sql_splitter *s)
{
	struct sql_lex lex = {.dialect = s->lex.dialect,
			      .modes = s->modes,
			      .delimiter = s->lex.delimiter};

	*s = (struct sql_splitter){.lex = lex, .modes = s->modes};
}

unsigned sql_default_modes(enum sql_dialect dialect)
{
	return dialect == SQL_MYSQL ? 0 : SQL_PLAIN_BACKSLASH;
}

struct sql_splitter *sql_splitter_create(enum sql_dialect dialect)
{
	struct sql_splitter *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return NULL;
	s->lex.dialect = dialect;
	s->modes = sql_default_modes(dialect);
	restart(s);
	return s;
}

void sql_splitter_destroy(struct sql_splitter *s)
{
	free(s);
}

void sql_splitter_set_modes(struct sql_splitter *s, unsigned modes)
{
	s->modes = modes;
	if (s->lex.pos == 0)
		s->lex.modes = modes;
}

void sql_splitter_reset(struct sql_splitter *s)
{
	restart(s);
}

static char lower(char c)
{
	if (c >= 'A' && c <= 'Z')
		c = (char)(c | 0x20);
	return c;
}

bool sql_word_is(const char *s, size_t len, const char *word)
{
	size_t i = 0;

	while (i < len && word[i] != '\0' && lower(s[i]) == word[i])
		i++;
	return i == len && word[i] == '\0';
}

/* CREATE [OR REPLACE] FUNCTION or PROCEDURE, by the initials. */
static bool makes_routine(const struct sql_splitter *s)
{
	const char *w = s->words;

	if (w[0] != 'c')
		return false;
	if (w[1] == 'o' && w[2] == 'r')
		return w[3] == 'f' || w[3] == 'p';
	return w[1] == 'f' || w[1] == 'p';
}

/*
 * psql does not parse either: a routine's body is what stands between BEGIN
 * and END, and within it CASE has an END, too. Words in parentheses are no
 * part of that.
 */
static void count_word(struct sql_splitter *s, const char *word, size_t len)
{
	static const char *const known[] = {"create", "or", "replace",
					    "function", "procedure"};

	if (s->parens > 0)
		return;
	if (s->n_words < sizeof(s->words)) {
		for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++) {
			if (sql_word_is(word, len, known[i]))
				s->words[s->n_words] = known[i][0];
		}
		s->n_words++;
	}
	if (!makes_routine(s))
		return;
	if (sql_word_is(word, len, "begin") ||
	    (s->begins > 0 && sql_word_is(word, len, "case")))
		s->begins++;
	else if (s->begins > 0 && sql_word_is(word, len, "end"))
		s->begins--;
}

/* True when the token ends the statement. */
static bool take_postgres(struct sql_splitter *s, enum sql_token token,
			  const char *word, size_t len)
{
	switch (token) {
	case SQL_WORD:
		count_word(s, word, len);
		return false;
	case SQL_OPEN:
		s->parens++;
		return false;
	case SQL_CLOSE:
		if (s->parens > 0)
			s->parens--;
		return false;
	case SQL_SEMICOLON:
		return s->parens == 0 && s->begins == 0;
	default:
		return false;
	}
}

static enum stage after_create(const char *word, size_t len)
{
	if (sql_word_is(word, len, "temp") ||
	    sql_word_is(word, len, "temporary"))
		return CREATE;
	return sql_word_is(word, len, "trigger") ? TRIGGER : PLAIN;
}

/* len is 0 for what is no word. */
static enum stage next_stage(enum stage stage, const char *word, size_t len)
{
	bool create = sql_word_is(word, len, "create");
	bool explain = sql_word_is(word, len, "explain");

	switch (stage) {
	case START:
		return create ? CREATE : explain ? EXPLAIN : PLAIN;
	case EXPLAIN:
		/* QUERY and PLAN may stand here, and whatever else. */
		if (create)
			return CREATE;
		return explain || sql_word_is(word, len, "temp") ||
				       sql_word_is(word, len, "temporary") ||
				       sql_word_is(word, len, "trigger") ||
				       sql_word_is(word, len, "end")
			       ? PLAIN
			       : EXPLAIN;
	case CREATE:
		return after_create(word, len);
	case TRIGGER_SEMICOLON:
		return sql_word_is(word, len, "end") ? TRIGGER_END : TRIGGER;
	case TRIGGER:
	case TRIGGER_END:
		return TRIGGER;
	default:
		return PLAIN;
	}
}

static bool take_sqlite(struct sql_splitter *s, enum sql_token token,
			const char *word, size_t len)
{
	if (token != SQL_SEMICOLON) {
		if (s->stage == PLAIN)
			return false;
		s->stage =
			next_stage(s->stage, word, token == SQL_WORD ? len : 0);
		return false;
	}
	if (s->stage == TRIGGER || s->stage == TRIGGER_SEMICOLON) {
		s->stage = TRIGGER_SEMICOLON;
		return false;
	}
	return true;
}

/* Nothing but comments came before this token. */
static void take_first(struct sql_splitter *s, enum sql_token token,
		       const char *word, size_t len)
{
	struct sql_client *client = &s->client;

	/* A semicolon behind comments only is an empty statement. */
	if (!s->has_body || token == SQL_SEMICOLON)
		s->body = s->lex.start;
	s->has_body = true;
	client->active = token == SQL_BACKSLASH;
	if (s->lex.dialect == SQL_SQLITE)
		client->active = *word == '.';
	else if (s->lex.dialect == SQL_MYSQL && token == SQL_WORD)
		client->active = sql_word_is(word, len, "delimiter");
	client->alone = true;
	s->has_token = token != SQL_COMMENT && !client->active;
}

/*
 * The server would not take a line of dashes for a comment. Nor does it get
 * one: the statement starts behind it.
 */
static void take_line_comment(struct sql_splitter *s, const char *text)
{
	const char *line = text + s->lex.start;

	if (s->lex.dialect == SQL_MYSQL && !s->has_token && *line == '-' &&
	    s->lex.pos - s->lex.start > 2 && (unsigned char)line[2] > ' ')
		s->has_body = false;
}

/* True when the token ends the statement. */
static bool take(struct sql_splitter *s, enum sql_token token, const char *text)
{
	const char *word = text + s->lex.word;
	size_t len = s->lex.pos - s->lex.word;

	if (token == SQL_LINE_COMMENT)
		take_line_comment(s, text);
	if (token == SQL_SPACE || token == SQL_LINE_COMMENT)
		return false;
	if (!s->has_token)
		take_first(s, token, word, len);
	else
		s->client =
			(struct sql_client){.active = token == SQL_BACKSLASH,
					    .body = s->body};
	if (token == SQL_COMMENT || s->client.active)
		return false;
	switch (s->lex.dialect) {
	case SQL_POSTGRES:
		return take_postgres(s, token, word, len);
	case SQL_MYSQL:
		if (s->lex.delimiter.len > 0)
			return token == SQL_SEMICOLON;
		return sql_blocks_take(&s->blocks, token, word, len);
	default:
		return take_sqlite(s, token, word, len);
	}
}

int sql_splitter_next(struct sql_splitter *s, const char *text, size_t len,
		      struct sql_piece *piece, struct err *err)
{
	enum sql_token token;
	int rc;

	for (;;) {
		if (s->client.active) {
			rc = sql_client_take(&s->client, &s->lex, text, len,
					     err);
			if (rc <= 0)
				return rc;
			s->has_body = false;
			s->has_token = false;
		}
		token = sql_lex_next(&s->lex, text, len);
		if (token == SQL_MORE) {
			s->held = s->lex.pos < len;
			return 0;
		}
		if (!take(s, token, text))
			continue;
		piece->body = s->body;
		piece->len = s->lex.start - s->body;
		piece->end = s->lex.pos;
		restart(s);
		return 1;
	}
}

bool sql_splitter_blank(const struct sql_splitter *s)
{
	enum sql_token open = sql_lex_open(&s->lex);

	if (s->client.active)
		return s->client.ok;
	if (s->has_token)
		return false;
	/* An unfinished comment is one for SQLite, and an error elsewhere. */
	if (open == SQL_COMMENT)
		return s->lex.dialect == SQL_SQLITE;
	return open == SQL_LINE_COMMENT || (open == SQL_MORE && !s->held);
}

int sql_splitter_check_end(const struct sql_splitter *s, const char *text,
			   size_t len, struct err *err)
{
	if (s->client.active && !s->client.ok)
		return sql_client_refuse(&s->lex, text, len, err);
	return 0;
}

size_t sql_splitter_body(const struct sql_splitter *s)
{
	enum sql_token open = sql_lex_open(&s->lex);

	if (s->has_body)
		return s->body;
	if (open == SQL_MORE || open == SQL_LINE_COMMENT)
		return s->lex.pos;
	return s->lex.start;
}
