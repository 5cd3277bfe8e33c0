/* SPDX-License-Identifier: MIT */
#include "backends/sql.h"

#include <string.h>

#include "backends/sql_lex.h"

enum effect {
	NONE = 0,
	WRITES = 1,
	KEEPS = 2,
	PREFIX = 4, /* of a name, not a whole one */
};

struct effect_of {
	const char *word;
	unsigned effects;
};

/* Key words, wherever they stand. */
static const struct effect_of key_words[] = {
	{"insert", WRITES}, {"update", WRITES},   {"delete", WRITES},
	{"merge", WRITES},  {"into", WRITES},     {"truncate", WRITES},
	{"temp", KEEPS},    {"temporary", KEEPS},
};

/* The first word, when there is more to say than that it does not read. */
static const struct effect_of postgres_verbs[] = {
	{"select", NONE},
	{"values", NONE},
	{"table", NONE},
	{"show", NONE},
	{"with", NONE},
	{"set", WRITES | KEEPS},
	{"prepare", WRITES | KEEPS},
	{"declare", WRITES | KEEPS},
	{"listen", WRITES | KEEPS},
	{"load", WRITES | KEEPS},
	{"do", WRITES | KEEPS},
	{"call", WRITES | KEEPS},
	{"execute", WRITES | KEEPS},
	{"use", WRITES | KEEPS},
};

static const struct effect_of sqlite_verbs[] = {
	{"select", NONE},           {"values", NONE},           {"with", NONE},
	{"attach", WRITES | KEEPS}, {"detach", WRITES | KEEPS},
};

/* Functions and schemas, quoted or not. */
static const struct effect_of postgres_names[] = {
	{"nextval", WRITES | KEEPS},
	{"setval", WRITES | KEEPS},
	{"set_config", WRITES | KEEPS},
	{"setseed", KEEPS},
	{"pg_temp", KEEPS | PREFIX},
	{"pg_advisory_", WRITES | KEEPS | PREFIX},
	{"pg_try_advisory_", WRITES | KEEPS | PREFIX},
	{"dblink", WRITES | KEEPS | PREFIX},
	{"query_to_xml", WRITES | KEEPS | PREFIX}, /* runs its argument */
	{"lo_", WRITES | PREFIX},
	{"lowrite", WRITES},
	{"pg_backup_", WRITES | PREFIX},
	{"pg_cancel_backend", WRITES},
	{"pg_copy_", WRITES | PREFIX},
	{"pg_create_", WRITES | PREFIX},
	{"pg_drop_", WRITES | PREFIX},
	{"pg_export_snapshot", WRITES},
	{"pg_file_", WRITES | PREFIX},
	{"pg_import_system_collations", WRITES},
	{"pg_log_", WRITES | PREFIX},
	{"pg_logical_", WRITES | PREFIX},
	{"pg_notify", WRITES},
	{"pg_promote", WRITES},
	{"pg_reload_conf", WRITES},
	{"pg_replication_", WRITES | PREFIX},
	{"pg_rotate_logfile", WRITES | PREFIX},
	{"pg_start_backup", WRITES},
	{"pg_stat_reset", WRITES | PREFIX},
	{"pg_stat_statements_reset", WRITES},
	{"pg_stop_backup", WRITES},
	{"pg_switch_wal", WRITES},
	{"pg_terminate_backend", WRITES},
	{"pg_wal_replay_", WRITES | PREFIX},
};

static const struct effect_of sqlite_names[] = {
	{"temp", KEEPS},
	{"load_extension", WRITES | KEEPS},
	{"fts3_tokenizer", WRITES | KEEPS},
};

/* PRAGMAs that show something, with an argument that says of what. */
static const char *const show_pragmas[] = {
	"foreign_key_check", "foreign_key_list", "index_info",  "index_list",
	"index_xinfo",       "integrity_check",  "quick_check", "table_info",
	"table_list",        "table_xinfo",
};

/* Those that show a setting when they are given no value. */
static const char *const setting_pragmas[] = {
	"application_id", "auto_vacuum",        "busy_timeout",
	"cache_size",     "collation_list",     "compile_options",
	"data_version",   "database_list",      "encoding",
	"foreign_keys",   "freelist_count",     "function_list",
	"journal_mode",   "journal_size_limit", "locking_mode",
	"max_page_count", "module_list",        "page_count",
	"page_size",      "pragma_list",        "query_only",
	"schema_version", "secure_delete",      "synchronous",
	"temp_store",     "user_version",       "wal_autocheckpoint",
};

#define COUNT(a) (sizeof(a) / sizeof(*(a)))

/* The tokens of a whole statement, without space and comments. */
struct reader {
	struct sql_lex lex;
	const char *text;
	size_t len;
	enum sql_token token; /* SQL_MORE: none is left */
	const char *word;     /* SQL_WORD: itself; SQL_NAME: what is quoted */
	size_t word_len;
	bool hash; /* a # was among them */
};

/* What the text breaks off in counts as a token, too. */
static enum sql_token last_token(struct reader *r)
{
	enum sql_token token = sql_lex_open(&r->lex);

	if (token == SQL_MORE && r->lex.pos < r->len) {
		r->lex.start = r->lex.pos;
		token = SQL_OTHER;
	}
	r->lex.pos = r->len;
	r->lex.state = 0;
	return token == SQL_COMMENT || token == SQL_LINE_COMMENT ? SQL_MORE
								 : token;
}

static void advance(struct reader *r)
{
	size_t skip;

	do {
		r->token = sql_lex_next(&r->lex, r->text, r->len);
		if (r->token == SQL_MORE)
			r->token = last_token(r);
	} while (r->token == SQL_SPACE || r->token == SQL_LINE_COMMENT ||
		 r->token == SQL_COMMENT);
	skip = r->token == SQL_WORD ? r->lex.word : r->lex.start;
	r->word = r->text + skip;
	r->word_len = r->lex.pos - skip;
	if (r->token == SQL_NAME && r->word_len >= 2) {
		r->word++;
		r->word_len -= 2;
	}
	r->hash = r->hash || (r->token == SQL_OTHER && *r->word == '#');
}

static void start(struct reader *r, enum sql_dialect dialect, const char *text,
		  size_t len, unsigned modes)
{
	*r = (struct reader){.lex.dialect = dialect,
			     .lex.modes = modes,
			     .text = text,
			     .len = len};
	advance(r);
}

static bool at(const struct reader *r, const char *word)
{
	return r->token == SQL_WORD && sql_word_is(r->word, r->word_len, word);
}

static bool at_byte(const struct reader *r, char c)
{
	return r->token == SQL_OTHER && *r->word == c;
}

static bool at_any(const struct reader *r, const char *const *words, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (at(r, words[i]))
			return true;
	}
	return false;
}

/* The effects the table has for the word, otherwise when it has none. */
static unsigned look_up(const struct reader *r, const struct effect_of *table,
			size_t n, unsigned otherwise)
{
	for (size_t i = 0; i < n; i++) {
		size_t len = strlen(table[i].word);

		if ((table[i].effects & PREFIX) == 0 || len > r->word_len)
			len = r->word_len;
		if (sql_word_is(r->word, len, table[i].word))
			return table[i].effects & (WRITES | KEEPS);
	}
	return otherwise;
}

static unsigned token_effects(const struct reader *r)
{
	bool postgres = r->lex.dialect == SQL_POSTGRES;
	unsigned effects = NONE;

	if (r->token == SQL_WORD)
		effects = look_up(r, key_words, COUNT(key_words), NONE);
	if (r->token != SQL_WORD && r->token != SQL_NAME)
		return NONE;
	/* U&"..", whose escapes are not decoded. */
	if (postgres && r->token == SQL_NAME && *r->word == '&')
		return WRITES | KEEPS;
	if (postgres)
		return effects |
		       look_up(r, postgres_names, COUNT(postgres_names), NONE);
	return effects | look_up(r, sqlite_names, COUNT(sqlite_names), NONE);
}

/* All that the words from here to the end may do. */
static unsigned rest_effects(struct reader *r)
{
	static const char *const locks[] = {"no", "key", "share"};
	unsigned effects = NONE;
	bool after_for = false;

	for (; r->token != SQL_MORE; advance(r)) {
		effects |= token_effects(r);
		if (after_for && at_any(r, locks, COUNT(locks)))
			effects |= WRITES;
		after_for = at(r, "for");
	}
	return effects;
}

/* At what follows COPY: only TO STDOUT reads. */
static unsigned copy_effects(struct reader *r)
{
	unsigned effects = WRITES;
	size_t depth = 0;
	struct reader all = *r;

	for (; r->token != SQL_MORE; advance(r)) {
		if (r->token == SQL_OPEN)
			depth++;
		else if (r->token == SQL_CLOSE && depth > 0)
			depth--;
		if (depth > 0 || !at(r, "to"))
			continue;
		advance(r);
		if (at(r, "stdout"))
			effects = NONE;
		break;
	}
	return effects | rest_effects(&all);
}

/* At what follows PRAGMA. */
static unsigned pragma_effects(struct reader *r)
{
	bool shows, setting;

	for (;;) {
		shows = at_any(r, show_pragmas, COUNT(show_pragmas));
		setting = at_any(r, setting_pragmas, COUNT(setting_pragmas));
		advance(r);
		if (!at_byte(r, '.'))
			break;
		advance(r); /* it was the schema */
	}
	if (shows && !at_byte(r, '='))
		return NONE;
	if (setting && (r->token == SQL_MORE || r->token == SQL_SEMICOLON))
		return NONE;
	return WRITES | KEEPS;
}

/* At what follows EXPLAIN; true when the statement will be run. */
static bool explain_runs(struct reader *r)
{
	bool options = r->token == SQL_OPEN, runs = false;

	while (r->token != SQL_MORE) {
		bool analyze = at(r, "analyze") || at(r, "analyse");

		runs = runs || analyze;
		if (options && r->token == SQL_CLOSE) {
			advance(r);
			return runs;
		}
		if (!options && !analyze && !at(r, "verbose"))
			return runs;
		advance(r);
	}
	return runs;
}

static unsigned statement_effects(struct reader *r)
{
	bool postgres = r->lex.dialect == SQL_POSTGRES;
	const struct effect_of *verbs =
		postgres ? postgres_verbs : sqlite_verbs;
	size_t n = postgres ? COUNT(postgres_verbs) : COUNT(sqlite_verbs);
	unsigned effects;

	while (r->token == SQL_OPEN)
		advance(r);
	if (at(r, "explain")) {
		advance(r);
		if (!postgres || !explain_runs(r))
			return NONE;
		while (r->token == SQL_OPEN)
			advance(r);
	}
	if (!postgres && at(r, "pragma")) {
		advance(r);
		return pragma_effects(r);
	}
	if (postgres && at(r, "copy")) {
		advance(r);
		return copy_effects(r);
	}
	effects = WRITES;
	if (r->token == SQL_WORD)
		effects = look_up(r, verbs, n, WRITES);
	return effects | rest_effects(r);
}

static unsigned effects_of(enum sql_dialect dialect, const char *text,
			   size_t len, unsigned modes)
{
	struct reader r;
	unsigned effects;

	start(&r, dialect, text, len, modes);
	effects = statement_effects(&r);
	/* Redshift's temporary tables: create table #t, select into #t. */
	if ((effects & WRITES) != 0 && r.hash)
		effects |= KEEPS;
	return effects;
}

struct sql_traits sql_traits(enum sql_dialect dialect, const char *text,
			     size_t len)
{
	unsigned effects = effects_of(dialect, text, len, true);

	/* Which of both it is the session knows; here, both must be harmless. */
	if (dialect == SQL_POSTGRES && memchr(text, '\\', len) != NULL)
		effects |= effects_of(dialect, text, len, false);
	return (struct sql_traits){.reads_only = (effects & WRITES) == 0,
				   .keeps_state = (effects & KEEPS) != 0};
}

/* Appends the word the reader is at, in upper case. */
static void put_word(const struct reader *r, char out[SQL_COMMAND_SIZE])
{
	size_t len = strlen(out);

	if (r->token != SQL_WORD || len + r->word_len + 2 > SQL_COMMAND_SIZE)
		return;
	if (len > 0)
		out[len++] = ' ';
	for (size_t i = 0; i < r->word_len; i++) {
		char c = r->word[i];

		if (c >= 'a' && c <= 'z')
			c = (char)(c - 'a' + 'A');
		out[len++] = c;
	}
	out[len] = '\0';
}

/* From WITH to the word behind the last of its parenthesized queries. */
static void skip_with(struct reader *r)
{
	size_t depth = 0;
	bool closed = false; /* the token before was the last parenthesis */

	for (; r->token != SQL_MORE; advance(r)) {
		if (closed && r->token == SQL_WORD && !at(r, "as"))
			return;
		if (r->token == SQL_OPEN)
			depth++;
		else if (r->token == SQL_CLOSE && depth > 0)
			depth--;
		closed = r->token == SQL_CLOSE && depth == 0;
	}
}

void sql_command(enum sql_dialect dialect, const char *text, size_t len,
		 char out[SQL_COMMAND_SIZE])
{
	static const char *const with_object[] = {"create", "drop", "alter"};
	static const char *const modifiers[] = {
		"or",       "replace", "temp",   "temporary", "unique",
		"unlogged", "virtual", "global", "local",
	};
	struct reader r;

	out[0] = '\0';
	start(&r, dialect, text, len, true);
	while (r.token == SQL_OPEN)
		advance(&r);
	if (at(&r, "with"))
		skip_with(&r);
	put_word(&r, out);
	if (!at_any(&r, with_object, COUNT(with_object)))
		return;
	do {
		advance(&r);
	} while (at_any(&r, modifiers, COUNT(modifiers)));
	put_word(&r, out);
}
