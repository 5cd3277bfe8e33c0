/* SPDX-License-Identifier: MIT */
#include "tests/unit/sql_pieces.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/err.h"

static uint64_t seed = 88172645463325252u;

size_t random_below(size_t n)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (size_t)(seed >> 11) % n;
}

void fail(const char *what, const char *text, size_t len)
{
	(void)fprintf(stderr, "%s; the text is\n%.*s\n", what, (int)len, text);
	exit(1);
}

static size_t next_piece(enum cut cut, const char *text, size_t left)
{
	const char *end = memchr(text, '\n', left);
	size_t n = left;

	if (cut == BYTES)
		n = 1;
	else if (cut == LINES && end != NULL)
		n = (size_t)(end - text) + 1;
	else if (cut == PIECES)
		n = 1 + random_below(40);
	return n < left ? n : left;
}

void split(struct result *r, enum sql_dialect dialect, unsigned modes,
	   const char *text, size_t len, enum cut cut)
{
	struct sql_splitter *s = sql_splitter_create(dialect);
	size_t base = 0, have = 0;
	struct sql_piece piece;
	struct err err;

	if (s == NULL)
		exit(1);
	r->n = 0;
	r->rc = 0;
	sql_splitter_set_modes(s, modes);
	while (have < len && r->rc == 0) {
		have += next_piece(cut, text + have, len - have);
		do {
			char *copy = malloc(have - base + (have == base));

			if (copy == NULL)
				exit(1);
			memcpy(copy, text + base, have - base);
			r->rc = sql_splitter_next(s, copy, have - base, &piece,
						  &err);
			if (r->rc == 0 && have == len)
				r->rc = sql_splitter_check_end(s, copy,
							       have - base,
							       &err);
			free(copy);
			if (r->rc != 1)
				break;
			r->list[r->n++] =
				(struct statement){.body = base + piece.body,
						   .len = piece.len,
						   .end = base + piece.end};
			base += piece.end;
		} while (1);
	}
	r->blank = sql_splitter_blank(s);
	r->body = base + sql_splitter_body(s);
	sql_splitter_destroy(s);
}

void expect_same(const struct result *a, const struct result *b,
		 const char *text, size_t len)
{
	if (a->n != b->n || a->rc != b->rc ||
	    memcmp(a->list, b->list, a->n * sizeof(*a->list)) != 0)
		fail("cut in pieces it gives other statements", text, len);
	if (a->rc == 0 && (a->blank != b->blank || a->body != b->body))
		fail("cut in pieces it leaves something else", text, len);
}

void split_message(struct err *err, enum sql_dialect dialect, const char *text,
		   enum cut cut)
{
	struct sql_splitter *s = sql_splitter_create(dialect);
	size_t len = strlen(text), base = 0, have = 0;
	struct sql_piece piece;
	int rc = 0;

	if (s == NULL)
		exit(1);
	while (rc >= 0 && have < len) {
		have += next_piece(cut, text + have, len - have);
		while ((rc = sql_splitter_next(s, text + base, have - base,
					       &piece, err)) == 1)
			base += piece.end;
	}
	if (rc == 0)
		(void)sql_splitter_check_end(s, text + base, len - base, err);
	sql_splitter_destroy(s);
}

void test_linear(enum sql_dialect dialect, const char *start, char fill)
{
	enum { SIZE = 1 << 20, LIMIT_MS = 5000 };
	struct sql_splitter *s = sql_splitter_create(dialect);
	uint64_t began = clock_mono_ms();
	char *text = malloc(SIZE);
	struct sql_piece piece;

	if (s == NULL || text == NULL)
		exit(1);
	memset(text, fill, SIZE);
	memcpy(text, start, strlen(start));
	for (size_t len = 1; len <= SIZE; len++) {
		if (sql_splitter_next(s, text, len, &piece, NULL) != 0)
			fail("found an end", text, len < 40 ? len : 40);
	}
	if (clock_mono_ms() - began > LIMIT_MS)
		fail("takes too long", text, 40);
	free(text);
	sql_splitter_destroy(s);
}
