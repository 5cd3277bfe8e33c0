/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "backends/sql_reader.h"

#define COUNT(a) (sizeof(a) / sizeof(*(a)))

enum { BOTH = SQL_WRITES | SQL_KEEPS };

/* The first word. Of a statement that is not known: SQL_WRITES. */
static const struct sql_effect_of verbs[] = {
	{"select", SQL_NONE},
	{"values", SQL_NONE},
	{"table", SQL_NONE},
	{"with", SQL_NONE},
	{"show", SQL_NONE},
	{"help", SQL_NONE},
	{"alter", SQL_WRITES},
	{"analyze", SQL_WRITES},
	{"check", SQL_WRITES},
	{"commit", SQL_WRITES},
	{"create", SQL_WRITES},
	{"delete", SQL_WRITES},
	{"do", SQL_WRITES},
	{"drop", SQL_WRITES},
	{"grant", SQL_WRITES},
	{"insert", SQL_WRITES},
	{"kill", SQL_WRITES},
	{"optimize", SQL_WRITES},
	{"purge", SQL_WRITES},
	{"rename", SQL_WRITES},
	{"repair", SQL_WRITES},
	{"replace", SQL_WRITES},
	{"reset", SQL_WRITES},
	{"revoke", SQL_WRITES},
	{"rollback", SQL_WRITES},
	{"start", SQL_WRITES},
	{"truncate", SQL_WRITES},
	{"update", SQL_WRITES},
	{"backup", BOTH}, /* BACKUP LOCK */
	{"call", BOTH},
	{"case", BOTH}, /* a block without BEGIN NOT ATOMIC */
	{"deallocate", BOTH},
	{"declare", BOTH},
	{"execute", BOTH},
	{"flush", BOTH}, /* TABLES WITH READ LOCK */
	{"for", BOTH},
	{"get", BOTH}, /* DIAGNOSTICS @v */
	{"handler", BOTH},
	{"if", BOTH},
	{"load", BOTH}, /* sets variables and LAST_INSERT_ID() */
	{"lock", BOTH},
	{"loop", BOTH},
	{"prepare", BOTH},
	{"repeat", BOTH},
	{"set", BOTH},
	{"unlock", BOTH},
	{"use", BOTH},
	{"while", BOTH},
	{"xa", BOTH},
};

/* Key words, wherever they stand. */
static const struct sql_effect_of key_words[] = {
	{"update", SQL_WRITES},
	{"delete", SQL_WRITES},
	{"into", SQL_WRITES},
	{"temporary", SQL_KEEPS},
	{"sql_calc_found_rows", SQL_KEEPS},
};

/* Functions, quoted or not. */
static const struct sql_effect_of names[] = {
	{"get_lock", BOTH},
	{"release_lock", BOTH},
	{"release_all_locks", BOTH},
	{"nextval", BOTH},
	{"setval", BOTH},
	{"service_", BOTH | SQL_PREFIX}, /* MySQL's locking service */
	{"spider_", BOTH | SQL_PREFIX},
	{"sys_", BOTH | SQL_PREFIX}, /* the usual functions that run a shell */
};

static void skip_open(struct sql_reader *r)
{
	while (r->token == SQL_OPEN)
		sql_reader_advance(r);
}

/* What two tokens in a row do that one of them does not. */
struct pair {
	bool function; /* the name of one: INSERT( is, INSERT INTO is not */
	bool id;       /* LAST_INSERT_ID */
	bool id_open;  /* .. and its parenthesis: it is set, unless ) follows */
	bool next;     /* NEXT VALUE FOR */
	bool share;    /* FOR SHARE */
	bool lock;     /* LOCK IN SHARE MODE */
	bool colon;    /* := */
};

static unsigned pair_effects(const struct sql_reader *r, struct pair *p)
{
	static const char *const functions[] = {"insert", "truncate",
						"replace"};
	struct pair now = {
		.function = sql_reader_at_any(r, functions, COUNT(functions)),
		.id = sql_word_is(r->word, r->word_len, "last_insert_id"),
		.id_open = p->id && r->token == SQL_OPEN,
		.next = sql_reader_at(r, "next"),
		.share = sql_reader_at(r, "for"),
		.lock = sql_reader_at(r, "lock"),
		.colon = sql_reader_at_byte(r, ':'),
	};
	unsigned effects = SQL_NONE;

	if (p->function && r->token != SQL_OPEN)
		effects |= SQL_WRITES;
	if ((p->share && sql_reader_at(r, "share")) ||
	    (p->lock && sql_reader_at(r, "in")))
		effects |= SQL_WRITES;
	if ((p->id_open && r->token != SQL_CLOSE) ||
	    (p->next && sql_reader_at(r, "value")) ||
	    (p->colon && sql_reader_at_byte(r, '=')))
		effects |= BOTH;
	*p = now;
	return effects;
}

/* All that the words from here to the end may do. */
static unsigned rest_effects(struct sql_reader *r)
{
	unsigned effects = SQL_NONE;
	struct pair pair = {0};
	bool into = false;

	for (; r->token != SQL_MORE; sql_reader_advance(r)) {
		effects |= pair_effects(r, &pair);
		if (r->token == SQL_WORD)
			effects |=
				sql_reader_effects(r, key_words,
						   COUNT(key_words), SQL_NONE);
		if (r->token == SQL_WORD || r->token == SQL_NAME)
			effects |= sql_reader_effects(r, names, COUNT(names),
						      SQL_NONE);
		/* INTO @variable */
		into = into || sql_reader_at(r, "into");
		if (into && sql_reader_at_byte(r, '@'))
			effects |= SQL_KEEPS;
	}
	return effects | (pair.function ? (unsigned)SQL_WRITES : 0U);
}

/*
 * At what follows EXPLAIN, DESCRIBE or ANALYZE: true when there is an ANALYZE
 * that runs the statement behind it, where the reader then is.
 */
static bool explain_runs(struct sql_reader *r, bool analyze)
{
	static const char *const options[] = {"extended", "partitions"};

	for (;;) {
		if (sql_reader_at(r, "analyze")) {
			analyze = true;
		} else if (sql_reader_at(r, "format")) {
			sql_reader_advance(r); /* = */
			sql_reader_advance(r);
		} else if (!sql_reader_at_any(r, options, COUNT(options))) {
			return analyze;
		}
		sql_reader_advance(r);
	}
}

static unsigned explain_effects(struct sql_reader *r)
{
	bool analyze = sql_reader_at(r, "analyze"), runs;
	unsigned effects;

	sql_reader_advance(r);
	runs = explain_runs(r, analyze);
	skip_open(r);
	if (!runs)
		return rest_effects(r) & SQL_KEEPS;
	/* ANALYZE TABLE and the like are no verbs. */
	effects = SQL_WRITES;
	if (r->token == SQL_WORD && !sql_reader_at(r, "table"))
		effects =
			sql_reader_effects(r, verbs, COUNT(verbs), SQL_WRITES);
	return effects | rest_effects(r);
}

/* At the first word: what it is, and whether it is a label. */
static unsigned verb_effects(const struct sql_reader *r)
{
	struct sql_reader next = *r;

	if (r->token != SQL_WORD && r->token != SQL_NAME)
		return SQL_WRITES;
	sql_reader_advance(&next);
	if (sql_reader_at_byte(&next, ':') ||
	    (sql_reader_at(r, "begin") && sql_reader_at(&next, "not")))
		return BOTH;
	if (r->token == SQL_NAME)
		return SQL_WRITES;
	return sql_reader_effects(r, verbs, COUNT(verbs), SQL_WRITES);
}

static unsigned statement_effects(struct sql_reader *r)
{
	static const char *const explain[] = {"explain", "describe", "desc",
					      "analyze"};

	skip_open(r);
	if (sql_reader_at_any(r, explain, COUNT(explain)))
		return explain_effects(r);
	return verb_effects(r) | rest_effects(r);
}

/*
 * Comments that are executed are the server's to decide on, by their version.
 * One at the start may hide or show the verb, so that each word behind one may
 * be it.
 */
static unsigned hidden_effects(const char *text, size_t len, unsigned modes)
{
	unsigned effects = SQL_NONE;
	struct sql_reader r;

	sql_reader_start(&r, SQL_MYSQL, text, len, modes, true);
	if (r.token != SQL_MORE)
		effects = statement_effects(&r);
	sql_reader_start(&r, SQL_MYSQL, text, len, modes, false);
	for (; r.token != SQL_MORE; sql_reader_advance(&r)) {
		if (r.marked && r.token == SQL_WORD)
			effects |= sql_reader_effects(&r, verbs, COUNT(verbs),
						      SQL_NONE);
	}
	return effects;
}

static unsigned effects_of(const char *text, size_t len, unsigned modes)
{
	struct sql_reader r;
	unsigned effects;
	bool marked;

	sql_reader_start(&r, SQL_MYSQL, text, len, modes, false);
	marked = r.marked;
	effects = statement_effects(&r);
	if (marked)
		effects |= hidden_effects(text, len, modes);
	return effects;
}

unsigned sql_effects_mysql(const char *text, size_t len)
{
	unsigned effects = effects_of(text, len, 0);
	bool quotes = memchr(text, '"', len) != NULL;
	bool backslashes = memchr(text, '\\', len) != NULL;

	/* The session knows its modes; here, all must be harmless. */
	if (quotes)
		effects |= effects_of(text, len, SQL_ANSI_QUOTES);
	if (backslashes)
		effects |= effects_of(text, len, SQL_PLAIN_BACKSLASH);
	if (quotes && backslashes)
		effects |= effects_of(text, len,
				      SQL_ANSI_QUOTES | SQL_PLAIN_BACKSLASH);
	return effects;
}
