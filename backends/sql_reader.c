/* SPDX-License-Identifier: MIT */
#include "backends/sql_reader.h"

#include <string.h>

/* What the text breaks off in counts as a token, too. */
static enum sql_token last_token(struct sql_reader *r)
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

static bool skipped(const struct sql_reader *r)
{
	switch (r->token) {
	case SQL_SPACE:
	case SQL_LINE_COMMENT:
	case SQL_COMMENT:
	case SQL_MARK:
		return true;
	case SQL_MORE:
		return false;
	default:
		return r->skip && r->lex.executable;
	}
}

void sql_reader_advance(struct sql_reader *r)
{
	size_t start;

	r->marked = false;
	do {
		r->token = sql_lex_next(&r->lex, r->text, r->len);
		if (r->token == SQL_MORE)
			r->token = last_token(r);
		r->marked = r->marked || r->token == SQL_MARK;
	} while (skipped(r));
	start = r->token == SQL_WORD ? r->lex.word : r->lex.start;
	r->word = r->text + start;
	r->word_len = r->lex.pos - start;
	if (r->token == SQL_NAME && r->word_len >= 2) {
		r->word++;
		r->word_len -= 2;
	}
	r->hash = r->hash || (r->token == SQL_OTHER && *r->word == '#');
}

void sql_reader_start(struct sql_reader *r, enum sql_dialect dialect,
		      const char *text, size_t len, unsigned modes, bool skip)
{
	*r = (struct sql_reader){.lex.dialect = dialect,
				 .lex.modes = modes,
				 .text = text,
				 .len = len,
				 .skip = skip};
	sql_reader_advance(r);
}

bool sql_reader_at(const struct sql_reader *r, const char *word)
{
	return r->token == SQL_WORD && sql_word_is(r->word, r->word_len, word);
}

bool sql_reader_at_any(const struct sql_reader *r, const char *const *words,
		       size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (sql_reader_at(r, words[i]))
			return true;
	}
	return false;
}

bool sql_reader_at_byte(const struct sql_reader *r, char c)
{
	return r->token == SQL_OTHER && *r->word == c;
}

unsigned sql_reader_effects(const struct sql_reader *r,
			    const struct sql_effect_of *table, size_t n,
			    unsigned otherwise)
{
	for (size_t i = 0; i < n; i++) {
		size_t len = strlen(table[i].word);

		if ((table[i].effects & SQL_PREFIX) == 0 || len > r->word_len)
			len = r->word_len;
		if (sql_word_is(r->word, len, table[i].word))
			return table[i].effects & (SQL_WRITES | SQL_KEEPS);
	}
	return otherwise;
}
