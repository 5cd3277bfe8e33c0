/* SPDX-License-Identifier: MIT */
/* Texts handed to the splitter in pieces, for the tests of the dialects. */
#ifndef CONNFS_TESTS_UNIT_SQL_PIECES_H
#define CONNFS_TESTS_UNIT_SQL_PIECES_H

#include <stdbool.h>
#include <stddef.h>

#include "backends/sql.h"

struct err;

enum { MAX_TEXT = 4096, MAX_STATEMENTS = MAX_TEXT };

#define COUNT(a) (sizeof(a) / sizeof(*(a)))

size_t random_below(size_t n);

/* Ends the test. */
void fail(const char *what, const char *text, size_t len);

struct statement {
	size_t body;
	size_t len;
	size_t end;
};

/* What a text was split into, in offsets of the whole. */
struct result {
	struct statement list[MAX_STATEMENTS];
	size_t n;
	int rc; /* 0 or -EINVAL */
	bool blank;
	size_t body; /* of what is left */
};

enum cut { WHOLE, BYTES, LINES, PIECES };

/*
 * Hands over the text as a caller would, each time in memory of exactly its
 * size, so that a sanitizer sees a look beyond the end.
 */
void split(struct result *r, enum sql_dialect dialect, unsigned modes,
	   const char *text, size_t len, enum cut cut);

void expect_same(const struct result *a, const struct result *b,
		 const char *text, size_t len);

/* Why the text is refused, which is the same in one piece and in bytes. */
void split_message(struct err *err, enum sql_dialect dialect, const char *text,
		   enum cut cut);

/*
 * A text that never ends must not be looked at from its start again: with
 * 1 MiB in pieces of one byte that would take minutes.
 */
void test_linear(enum sql_dialect dialect, const char *start, char fill);

#endif
