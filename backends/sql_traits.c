/* SPDX-License-Identifier: MIT */
#include "backends/sql.h"

#include <string.h>

#include "backends/sql_reader.h"

/* Key words, wherever they stand. */
static const struct sql_effect_of key_words[] = {
	{"insert", SQL_WRITES}, {"update", SQL_WRITES},
	{"delete", SQL_WRITES}, {"merge", SQL_WRITES},
	{"into", SQL_WRITES},   {"truncate", SQL_WRITES},
	{"temp", SQL_KEEPS},    {"temporary", SQL_KEEPS},
};

/* The first word, when there is more to say than that it does not read. */
static const struct sql_effect_of postgres_verbs[] = {
	{"select", SQL_NONE},
	{"values", SQL_NONE},
	{"table", SQL_NONE},
	{"show", SQL_NONE},
	{"with", SQL_NONE},
	{"set", SQL_WRITES | SQL_KEEPS},
	{"prepare", SQL_WRITES | SQL_KEEPS},
	{"declare", SQL_WRITES | SQL_KEEPS},
	{"listen", SQL_WRITES | SQL_KEEPS},
	{"load", SQL_WRITES | SQL_KEEPS},
	{"do", SQL_WRITES | SQL_KEEPS},
	{"call", SQL_WRITES | SQL_KEEPS},
	{"execute", SQL_WRITES | SQL_KEEPS},
	{"use", SQL_WRITES | SQL_KEEPS},
};

static const struct sql_effect_of sqlite_verbs[] = {
	{"select", SQL_NONE},
	{"values", SQL_NONE},
	{"with", SQL_NONE},
	{"attach", SQL_WRITES | SQL_KEEPS},
	{"detach", SQL_WRITES | SQL_KEEPS},
};

/* Functions and schemas, quoted or not. */
static const struct sql_effect_of postgres_names[] = {
	{"nextval", SQL_WRITES | SQL_KEEPS},
	{"setval", SQL_WRITES | SQL_KEEPS},
	{"set_config", SQL_WRITES | SQL_KEEPS},
	{"setseed", SQL_KEEPS},
	{"set_limit", SQL_KEEPS}, /* pg_trgm's */
	{"pg_temp", SQL_KEEPS | SQL_PREFIX},
	{"pg_advisory_", SQL_WRITES | SQL_KEEPS | SQL_PREFIX},
	{"pg_try_advisory_", SQL_WRITES | SQL_KEEPS | SQL_PREFIX},
	{"dblink", SQL_WRITES | SQL_KEEPS | SQL_PREFIX},
	{"query_to_xml",
	 SQL_WRITES | SQL_KEEPS | SQL_PREFIX}, /* runs its argument */
	{"lo_", SQL_WRITES | SQL_PREFIX},
	{"lowrite", SQL_WRITES},
	{"pg_backup_", SQL_WRITES | SQL_KEEPS | SQL_PREFIX},
	{"pg_cancel_backend", SQL_WRITES},
	{"pg_copy_", SQL_WRITES | SQL_KEEPS | SQL_PREFIX},
	{"pg_create_", SQL_WRITES | SQL_KEEPS | SQL_PREFIX},
	{"pg_drop_", SQL_WRITES | SQL_PREFIX},
	{"pg_export_snapshot", SQL_WRITES},
	{"pg_file_", SQL_WRITES | SQL_PREFIX},
	{"pg_import_system_collations", SQL_WRITES},
	{"pg_log_", SQL_WRITES | SQL_PREFIX},
	{"pg_logical_", SQL_WRITES | SQL_PREFIX},
	{"pg_notify", SQL_WRITES},
	{"pg_promote", SQL_WRITES},
	{"pg_reload_conf", SQL_WRITES},
	{"pg_replication_", SQL_WRITES | SQL_KEEPS | SQL_PREFIX},
	{"pg_rotate_logfile", SQL_WRITES | SQL_PREFIX},
	{"pg_start_backup", SQL_WRITES | SQL_KEEPS},
	{"pg_stat_reset", SQL_WRITES | SQL_PREFIX},
	{"pg_stat_statements_reset", SQL_WRITES},
	{"pg_stop_backup", SQL_WRITES},
	{"pg_switch_wal", SQL_WRITES},
	{"pg_terminate_backend", SQL_WRITES},
	{"pg_wal_replay_", SQL_WRITES | SQL_PREFIX},
};

static const struct sql_effect_of sqlite_names[] = {
	{"temp", SQL_KEEPS},
	{"load_extension", SQL_WRITES | SQL_KEEPS},
	{"fts3_tokenizer", SQL_WRITES | SQL_KEEPS},
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

static unsigned token_effects(const struct sql_reader *r)
{
	bool postgres = r->lex.dialect == SQL_POSTGRES;
	unsigned effects = SQL_NONE;

	if (r->token == SQL_WORD)
		effects = sql_reader_effects(r, key_words, COUNT(key_words),
					     SQL_NONE);
	if (r->token != SQL_WORD && r->token != SQL_NAME)
		return SQL_NONE;
	/* U&"..", whose escapes are not decoded. */
	if (postgres && r->token == SQL_NAME && *r->word == '&')
		return SQL_WRITES | SQL_KEEPS;
	if (postgres)
		return effects | sql_reader_effects(r, postgres_names,
						    COUNT(postgres_names),
						    SQL_NONE);
	return effects | sql_reader_effects(r, sqlite_names,
					    COUNT(sqlite_names), SQL_NONE);
}

/* All that the words from here to the end may do. */
static unsigned rest_effects(struct sql_reader *r)
{
	static const char *const locks[] = {"no", "key", "share"};
	unsigned effects = SQL_NONE;
	bool after_for = false;

	for (; r->token != SQL_MORE; sql_reader_advance(r)) {
		effects |= token_effects(r);
		if (after_for && sql_reader_at_any(r, locks, COUNT(locks)))
			effects |= SQL_WRITES;
		after_for = sql_reader_at(r, "for");
	}
	return effects;
}

/* At what follows COPY: only TO STDOUT reads. */
static unsigned copy_effects(struct sql_reader *r)
{
	unsigned effects = SQL_WRITES;
	size_t depth = 0;
	struct sql_reader all = *r;

	for (; r->token != SQL_MORE; sql_reader_advance(r)) {
		if (r->token == SQL_OPEN)
			depth++;
		else if (r->token == SQL_CLOSE && depth > 0)
			depth--;
		if (depth > 0 || !sql_reader_at(r, "to"))
			continue;
		sql_reader_advance(r);
		if (sql_reader_at(r, "stdout"))
			effects = SQL_NONE;
		break;
	}
	return effects | rest_effects(&all);
}

/* At what follows PRAGMA. */
static unsigned pragma_effects(struct sql_reader *r)
{
	bool shows, setting;

	for (;;) {
		shows = sql_reader_at_any(r, show_pragmas, COUNT(show_pragmas));
		setting = sql_reader_at_any(r, setting_pragmas,
					    COUNT(setting_pragmas));
		sql_reader_advance(r);
		if (!sql_reader_at_byte(r, '.'))
			break;
		sql_reader_advance(r); /* it was the schema */
	}
	if (shows && !sql_reader_at_byte(r, '='))
		return SQL_NONE;
	if (setting && (r->token == SQL_MORE || r->token == SQL_SEMICOLON))
		return SQL_NONE;
	return SQL_WRITES | SQL_KEEPS;
}

/* At what follows EXPLAIN; true when the statement will be run. */
static bool explain_runs(struct sql_reader *r)
{
	bool options = r->token == SQL_OPEN, runs = false;

	while (r->token != SQL_MORE) {
		bool analyze = sql_reader_at(r, "analyze") ||
			       sql_reader_at(r, "analyse");

		runs = runs || analyze;
		if (options && r->token == SQL_CLOSE) {
			sql_reader_advance(r);
			return runs;
		}
		if (!options && !analyze && !sql_reader_at(r, "verbose"))
			return runs;
		sql_reader_advance(r);
	}
	return runs;
}

static unsigned statement_effects(struct sql_reader *r)
{
	bool postgres = r->lex.dialect == SQL_POSTGRES;
	const struct sql_effect_of *verbs =
		postgres ? postgres_verbs : sqlite_verbs;
	size_t n = postgres ? COUNT(postgres_verbs) : COUNT(sqlite_verbs);
	unsigned effects;

	while (r->token == SQL_OPEN)
		sql_reader_advance(r);
	if (sql_reader_at(r, "explain")) {
		sql_reader_advance(r);
		if (!postgres || !explain_runs(r))
			return SQL_NONE;
		while (r->token == SQL_OPEN)
			sql_reader_advance(r);
	}
	if (!postgres && sql_reader_at(r, "pragma")) {
		sql_reader_advance(r);
		return pragma_effects(r);
	}
	if (postgres && sql_reader_at(r, "copy")) {
		sql_reader_advance(r);
		return copy_effects(r);
	}
	effects = SQL_WRITES;
	if (r->token == SQL_WORD)
		effects = sql_reader_effects(r, verbs, n, SQL_WRITES);
	return effects | rest_effects(r);
}

static unsigned effects_of(enum sql_dialect dialect, const char *text,
			   size_t len, unsigned modes)
{
	struct sql_reader r;
	unsigned effects;

	sql_reader_start(&r, dialect, text, len, modes, false);
	effects = statement_effects(&r);
	/* Redshift's temporary tables: create table #t, select into #t. */
	if ((effects & SQL_WRITES) != 0 && r.hash)
		effects |= SQL_KEEPS;
	return effects;
}

static unsigned all_effects(enum sql_dialect dialect, const char *text,
			    size_t len)
{
	unsigned effects;

	if (dialect == SQL_MYSQL)
		return sql_effects_mysql(text, len);
	effects = effects_of(dialect, text, len, SQL_PLAIN_BACKSLASH);
	/* Which of both it is the session knows; here, both must be harmless. */
	if (dialect == SQL_POSTGRES && memchr(text, '\\', len) != NULL)
		effects |= effects_of(dialect, text, len, 0);
	return effects;
}

struct sql_traits sql_traits(enum sql_dialect dialect, const char *text,
			     size_t len)
{
	unsigned effects = all_effects(dialect, text, len);

	return (struct sql_traits){.reads_only = (effects & SQL_WRITES) == 0,
				   .keeps_state = (effects & SQL_KEEPS) != 0};
}

/* Appends the word the reader is at, in upper case. */
static void put_word(const struct sql_reader *r, char out[SQL_COMMAND_SIZE])
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
static void skip_with(struct sql_reader *r)
{
	size_t depth = 0;
	bool closed = false; /* the token before was the last parenthesis */

	for (; r->token != SQL_MORE; sql_reader_advance(r)) {
		if (closed && r->token == SQL_WORD && !sql_reader_at(r, "as"))
			return;
		if (r->token == SQL_OPEN)
			depth++;
		else if (r->token == SQL_CLOSE && depth > 0)
			depth--;
		closed = r->token == SQL_CLOSE && depth == 0;
	}
}

/* From CREATE, DROP or ALTER to the word for what it is done to. */
static void skip_to_object(struct sql_reader *r)
{
	static const char *const modifiers[] = {
		"or",       "replace", "temp",   "temporary", "unique",
		"unlogged", "virtual", "global", "local",
	};
	/* Before them, MySQL has definers and other options with values. */
	static const char *const objects[] = {
		"database", "event",     "function", "index",  "package",
		"prepare",  "procedure", "role",     "schema", "sequence",
		"server",   "table",     "trigger",  "user",   "view",
	};

	if (r->lex.dialect == SQL_MYSQL) {
		while (r->token != SQL_MORE && r->token != SQL_OPEN &&
		       !sql_reader_at_any(r, objects, COUNT(objects)))
			sql_reader_advance(r);
		return;
	}
	while (sql_reader_at_any(r, modifiers, COUNT(modifiers)))
		sql_reader_advance(r);
}

void sql_command(enum sql_dialect dialect, const char *text, size_t len,
		 char out[SQL_COMMAND_SIZE])
{
	static const char *const with_object[] = {"create", "drop", "alter"};
	struct sql_reader r;

	out[0] = '\0';
	sql_reader_start(&r, dialect, text, len, sql_default_modes(dialect),
			 false);
	while (r.token == SQL_OPEN)
		sql_reader_advance(&r);
	if (sql_reader_at(&r, "with"))
		skip_with(&r);
	put_word(&r, out);
	if (!sql_reader_at_any(&r, with_object, COUNT(with_object)))
		return;
	sql_reader_advance(&r);
	skip_to_object(&r);
	put_word(&r, out);
}
