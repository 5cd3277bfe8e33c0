/* SPDX-License-Identifier: MIT */
/*
 * The statement splitter against psql's own lexer and sqlite3_complete(), on
 * random text from alphabets of what is awkward, and in pieces of all sizes.
 *
 *     test_sql [ROUNDS]
 */
#include "backends/sql.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* psqlscan.h wants it from PostgreSQL's c.h, which redefines printf. */
#define pg_attribute_printf(f, a) __attribute__((format(printf, f, a)))
#include <fe_utils/psqlscan.h>
#include <sqlite3.h>

#include "common/err.h"
#include "tests/unit/sql_pieces.h"

enum {
	DEFAULT_ROUNDS = 40000,
	MAX_TOKENS = 120,
	PG_UTF8 = 6, /* psqlscan.h takes PostgreSQL's number of an encoding */
};

/* White space makes no difference. */
static bool same_but_space(const char *a, size_t a_len, const char *b,
			   size_t b_len)
{
	const char *a_end = a + a_len, *b_end = b + b_len;

	for (;;) {
		while (a < a_end && strchr(" \t\n\r\f", *a) != NULL)
			a++;
		while (b < b_end && strchr(" \t\n\r\f", *b) != NULL)
			b++;
		if (a == a_end || b == b_end)
			return a == a_end && b == b_end;
		if (*a++ != *b++)
			return false;
	}
}

struct psql {
	PsqlScanState scan;
	PQExpBuffer buf; /* the statement so far */
	const char *rest;
	size_t len;
	bool std_strings;
	bool by_lines; /* as psql itself does */
	bool in_line;
};

/* Feeds psql's lexer until it knows the end of a statement, or text's end. */
static PsqlScanResult psql_next(struct psql *p)
{
	PsqlScanResult rc = PSCAN_EOL;
	promptStatus_t prompt;

	while (p->in_line || p->len > 0) {
		if (!p->in_line) {
			const char *end =
				p->by_lines ? memchr(p->rest, '\n', p->len)
					    : NULL;
			size_t n =
				end != NULL ? (size_t)(end - p->rest) : p->len;

			if (p->buf->len > 0)
				appendPQExpBufferChar(p->buf, '\n');
			psql_scan_setup(p->scan, p->rest, (int)n, PG_UTF8,
					p->std_strings);
			p->in_line = true;
			n += end != NULL ? 1 : 0;
			p->rest += n;
			p->len -= n;
		}
		rc = psql_scan(p->scan, p->buf, &prompt);
		if (rc == PSCAN_SEMICOLON || rc == PSCAN_BACKSLASH)
			return rc;
		psql_scan_finish(p->scan);
		p->in_line = false;
	}
	return rc;
}

/* In an empty statement psql keeps a comment, which we leave out. */
static bool same_statement(const struct psql *p, const char *text, size_t len)
{
	if (len == 1 && *text == ';' && p->buf->len > 1)
		return strncmp(p->buf->data, "/*", 2) == 0 &&
		       p->buf->data[p->buf->len - 1] == ';';
	if (p->by_lines)
		return same_but_space(p->buf->data, p->buf->len, text, len);
	return p->buf->len == len && memcmp(p->buf->data, text, len) == 0;
}

static void compare_psql(const struct result *r, bool std_strings,
			 bool by_lines, const char *text, size_t len)
{
	static const PsqlScanCallbacks callbacks = {NULL};
	struct psql p = {.scan = psql_scan_create(&callbacks),
			 .buf = createPQExpBuffer(),
			 .rest = text,
			 .len = len,
			 .std_strings = std_strings,
			 .by_lines = by_lines};
	PsqlScanResult rc;
	size_t n = 0;

	while ((rc = psql_next(&p)) == PSCAN_SEMICOLON) {
		if (n == r->n)
			fail("psql finds one more statement", text, len);
		if (!same_statement(&p, text + r->list[n].body,
				    r->list[n].end - r->list[n].body))
			fail("psql finds another statement", text, len);
		resetPQExpBuffer(p.buf);
		n++;
	}
	if (n != r->n)
		fail("psql finds fewer statements", text, len);
	if ((rc == PSCAN_BACKSLASH) != (r->rc == -EINVAL))
		fail("psql has another view of backslashes", text, len);
	if (rc != PSCAN_BACKSLASH && r->blank && p.buf->len > 0 &&
	    strncmp(p.buf->data, "/*", 2) != 0)
		fail("psql finds that something is left", text, len);
	if (rc != PSCAN_BACKSLASH && !r->blank &&
	    !same_statement(&p, text + r->body, len - r->body))
		fail("psql leaves something else", text, len);
	if (p.in_line)
		psql_scan_finish(p.scan);
	psql_scan_destroy(p.scan);
	destroyPQExpBuffer(p.buf);
}

static bool complete(const char *before, const char *text, size_t len,
		     const char *after)
{
	char copy[MAX_TEXT + 8];

	(void)snprintf(copy, sizeof(copy), "%s%.*s%s", before, (int)len, text,
		       after);
	return sqlite3_complete(copy) == 1;
}

static void compare_sqlite(const struct result *r, const char *text, size_t len)
{
	size_t base = 0, n = 0;
	bool blank;

	for (size_t i = 0; i < len; i++) {
		if (text[i] != ';' ||
		    !complete("", text + base, i + 1 - base, ""))
			continue;
		if (n == r->n || r->list[n].end != i + 1)
			fail("sqlite finds another end", text, len);
		base = i + 1;
		n++;
	}
	if (n != r->n)
		fail("sqlite finds fewer statements", text, len);
	blank = complete(";", text + base, len - base, "") ||
		complete(";", text + base, len - base, "*/");
	if (blank != r->blank)
		fail("sqlite has another view of what is left", text, len);
}

/* Words that leave the lexer inside something come first: OPENERS of them. */
enum { POSTGRES_OPENERS = 21, SQLITE_OPENERS = 8 };

/* clang-format off */
static const char *const postgres_words[] = {
	"'", "'", "'", "\"", "\"", "$$", "$a$", "$a$", "$a1$", "$é$", "E'",
	"U&'", "u&\"", "N'", "b'", "X'", "\\'", "--", "/*", "(", "\\\\", ";",
	";", ";", ";", ";", "''", "*/", ")", "$", "$1", "$ab", "e", "u&", "-",
	"/", "*", "\n", "\n", "\r", " ", " ", "\t", "\f", "\v", "begin",
	"ATOMIC", "Case", "END", "create", "OR", "replace", "function",
	"procedure", "1", "25.5", "1e", "1E+", "1.", "..", "1..1.", "..1.", ".", ":", "::",
	":=", ":a", "a", "_", "é", "日", "=", "+", "!", "@", "#", "&", "`", "[",
	"]", ",", "select", " begin ", " case ", " end ", "create function ",
	"CREATE OR REPLACE PROCEDURE ",
	"create function f() returns int begin atomic ", "(a)", "'a'",
	"E'a\\''", "'a\\'", "$$a$$", "/* a */", "-- a\n",
};
/* clang-format on */

/* clang-format off */
static const char *const sqlite_words[] = {
	"'", "\"", "`", "[", "--", "/*", "'", "\"", ";", ";", ";", ";", "]",
	"-", "*/", "/", "*", "\n", "\n", "\r", "\f", "\v", " ", " ", "\t",
	"create", "CREATE ", " temp ", "temporary", " trigger ", "Trigger",
	" end ", "END", ";END;", "; end ;", "explain ", "EXPLAIN",
	" query plan ", "begin", "select", "creat", "created", "_", "$", "1",
	"é", "(", ")", "a.b", "x", "@", " create temp trigger t ", "'a'",
	"[a]", "/* a */", "-- a\n",
};
/* clang-format on */

/*
 * Words at random, in half of the texts without openers. plain leaves out
 * what begins a string with escapes.
 */
static size_t make_text(char *text, enum sql_dialect dialect, bool plain)
{
	bool postgres = dialect == SQL_POSTGRES;
	const char *const *words = postgres ? postgres_words : sqlite_words;
	size_t n_words = postgres ? COUNT(postgres_words) : COUNT(sqlite_words);
	size_t n = 1 + random_below(MAX_TOKENS), len = 0;
	size_t skip = postgres ? POSTGRES_OPENERS : SQLITE_OPENERS;

	skip *= random_below(2);
	for (size_t i = 0; i < n; i++) {
		const char *word = words[skip + random_below(n_words - skip)];
		size_t word_len = strlen(word);

		if (plain && (word[0] | 0x20) == 'e' && word[1] != 'N')
			continue;
		if (len + word_len >= MAX_TEXT - 4)
			break;
		memcpy(text + len, word, word_len);
		len += word_len;
	}
	/* psql has a use for a backslash here, connfs has none. */
	for (size_t i = 0; i + 1 < len; i++) {
		if (text[i] == '\\' && strchr(";:", text[i + 1]) != NULL)
			text[i + 1] = 'x';
	}
	text[len] = '\0';
	return len;
}

static void random_round(enum sql_dialect dialect)
{
	static struct result whole, bytes, pieces;
	bool by_lines = random_below(3) == 0;
	bool std_strings = by_lines || random_below(3) > 0;
	unsigned modes = std_strings ? SQL_PLAIN_BACKSLASH : 0;
	char text[MAX_TEXT];
	size_t len = make_text(text, dialect, by_lines);

	split(&whole, dialect, modes, text, len, WHOLE);
	if (dialect == SQL_POSTGRES)
		compare_psql(&whole, std_strings, by_lines, text, len);
	else
		compare_sqlite(&whole, text, len);
	split(&bytes, dialect, modes, text, len, BYTES);
	expect_same(&whole, &bytes, text, len);
	split(&pieces, dialect, modes, text, len, PIECES);
	expect_same(&whole, &pieces, text, len);
}

struct row {
	enum sql_dialect dialect;
	const char *text;
	const char *statements; /* each body with its semicolon and a | */
	const char *left;       /* null: blank */
	const char *err;        /* null: none */
};

static const struct row rows[] = {
	{SQL_POSTGRES, "select 1;\nselect 2;\n", "select 1;|select 2;|", NULL,
	 NULL},
	{SQL_POSTGRES, "select 1", "", "select 1", NULL},
	{SQL_POSTGRES, " \n-- x\n select 1;", "select 1;|", NULL, NULL},
	{SQL_POSTGRES, "/* hint */ select 1;", "/* hint */ select 1;|", NULL,
	 NULL},
	{SQL_POSTGRES, "/* only */ ; -- nothing", ";|", NULL, NULL},
	{SQL_POSTGRES, ";;", ";|;|", NULL, NULL},
	{SQL_POSTGRES, "-", "", "-", NULL},
	{SQL_POSTGRES, "/* open", "", "/* open", NULL},
	{SQL_POSTGRES, "select E'a'\n'b\\'; c';", "select E'a'\n'b\\'; c';|",
	 NULL, NULL},
	{SQL_POSTGRES, "select 'a\\'; select 2;", "select 'a\\';|select 2;|",
	 NULL, NULL},
	{SQL_POSTGRES, "select $x$;$y$;$x$;", "select $x$;$y$;$x$;|", NULL,
	 NULL},
	{SQL_POSTGRES,
	 "create rule r as on delete to t do (select 1; "
	 "select 2);",
	 "create rule r as on delete to t do (select 1; select 2);|", NULL,
	 NULL},
	{SQL_POSTGRES,
	 "create function f() returns int begin atomic select case 1 when 1 "
	 "then 2 end; select 3; end; select 4;",
	 "create function f() returns int begin atomic select case 1 when 1 "
	 "then 2 end; select 3; end;|select 4;|",
	 NULL, NULL},
	{SQL_POSTGRES, "begin; select 1; end;", "begin;|select 1;|end;|", NULL,
	 NULL},
	{SQL_POSTGRES, "\\d t\n", "", NULL,
	 "\\d is a command of psql, which connfs does not run; write SQL"},
	{SQL_POSTGRES, "select 1; select 2 \\gx", "select 1;|", NULL,
	 "\\gx is a command of psql, which connfs does not run; write SQL"},
	{SQL_POSTGRES,
	 "--\n-- dump\n--\n\n\\restrict aB3\n\nselect 1;\n"
	 "\\unrestrict aB3\n",
	 "select 1;|", NULL, NULL},
	{SQL_POSTGRES, "\\unrestrict aB3", "", NULL, NULL},
	{SQL_POSTGRES, "\\restrict aB3 x\nselect 1;", "", NULL,
	 "\\restrict is a command of psql, which connfs does not run; write "
	 "SQL"},
	{SQL_POSTGRES, "\\restrict\n", "", NULL,
	 "\\restrict is a command of psql, which connfs does not run; write "
	 "SQL"},
	{SQL_POSTGRES, "select \\restrict aB3\n1;", "", NULL,
	 "\\restrict is a command of psql, which connfs does not run; write "
	 "SQL"},
	{SQL_SQLITE, "select 1; select 'a;b' -- ;\n;",
	 "select 1;|select 'a;b' -- ;\n;|", NULL, NULL},
	{SQL_SQLITE,
	 "create trigger t after insert on a begin select 1; select 2; end; "
	 "select 3;",
	 "create trigger t after insert on a begin select 1; select 2; end;|"
	 "select 3;|",
	 NULL, NULL},
	{SQL_SQLITE, "/* open", "", NULL, NULL},
	{SQL_SQLITE, "select 1;\n.tables x\n", "select 1;|", NULL,
	 ".tables is a command of the sqlite3 shell, which connfs does not "
	 "run; write SQL"},
	{SQL_SQLITE, "select 1\n.5;", "select 1\n.5;|", NULL, NULL},
};

static void join(char *out, size_t size, const struct result *r,
		 const char *text)
{
	size_t len = 0;

	out[0] = '\0';
	for (size_t i = 0; i < r->n; i++) {
		const struct statement *s = &r->list[i];

		len += (size_t)snprintf(out + len, size - len, "%.*s|",
					(int)(s->end - s->body),
					text + s->body);
	}
}

static void check_row(const struct row *row, enum cut cut)
{
	static struct result r;
	size_t len = strlen(row->text);
	struct err err = {0};
	char all[MAX_TEXT];

	split(&r, row->dialect, SQL_PLAIN_BACKSLASH, row->text, len, cut);
	join(all, sizeof(all), &r, row->text);
	if (strcmp(all, row->statements) != 0)
		fail("other statements than expected", row->text, len);
	if (r.rc != (row->err != NULL ? -EINVAL : 0))
		fail("other result than expected", row->text, len);
	if (row->err != NULL) {
		split_message(&err, row->dialect, row->text, cut);
		if (err.code != EINVAL || strcmp(err.msg, row->err) != 0)
			fail(err.msg, row->text, len);
		return;
	}
	if (r.blank != (row->left == NULL))
		fail("blank or not, against expectation", row->text, len);
	if (row->left != NULL && strcmp(row->text + r.body, row->left) != 0)
		fail("something else is left", row->text, len);
}

/* standard_conforming_strings counts from the next statement on. */
static void test_modes(void)
{
	static const char text[] = "select 'a\\'; select 'b\\'; c';";
	struct sql_splitter *s = sql_splitter_create(SQL_POSTGRES);
	struct sql_piece piece;

	if (s == NULL || sql_splitter_next(s, text, 5, &piece, NULL) != 0)
		exit(1);
	sql_splitter_set_modes(s, 0);
	if (sql_splitter_next(s, text, strlen(text), &piece, NULL) != 1 ||
	    piece.end != 12)
		fail("changed within a statement", text, strlen(text));
	if (sql_splitter_next(s, text + 12, strlen(text) - 12, &piece, NULL) !=
		    1 ||
	    piece.end != strlen(text) - 12)
		fail("not changed for the next one", text, strlen(text));
	sql_splitter_destroy(s);
}

int main(int argc, char **argv)
{
	unsigned long rounds = DEFAULT_ROUNDS;

	if (argc > 1)
		rounds = strtoul(argv[1], NULL, 10);
	for (size_t i = 0; i < COUNT(rows); i++) {
		check_row(&rows[i], WHOLE);
		check_row(&rows[i], BYTES);
	}
	test_modes();
	test_linear(SQL_POSTGRES, "select '", ';');
	test_linear(SQL_POSTGRES, "select E'", '\\');
	test_linear(SQL_POSTGRES, "select $a$", '$');
	test_linear(SQL_POSTGRES, "select $a", 'a');
	test_linear(SQL_POSTGRES, "/*", '*');
	test_linear(SQL_POSTGRES, "((", ';');
	test_linear(SQL_POSTGRES, "1.", '0');
	test_linear(SQL_POSTGRES, "x", ' ');
	test_linear(SQL_SQLITE, "select '", ';');
	test_linear(SQL_SQLITE, "/*", '*');
	test_linear(SQL_SQLITE, "create trigger ", ';');
	for (unsigned long i = 0; i < rounds; i++) {
		random_round(SQL_POSTGRES);
		random_round(SQL_SQLITE);
	}
	(void)printf("%lu rounds\n", rounds);
	return 0;
}
