/* SPDX-License-Identifier: MIT */
/*
 * What holds for the statements of every server: rows and their limits, and
 * sinks that take no more. With the server of db_client.h.
 */
#ifndef CONNFS_TESTS_UNIT_STATEMENT_CASES_H
#define CONNFS_TESTS_UNIT_STATEMENT_CASES_H

/* Statements, as struct seen names what comes of them. */
struct statement_words {
	const char *no_rows; /* of a column a that is 1 */
	const char *no_rows_cols;
	const char *no_rows_tag;
	const char *empty[3];  /* no statement at all */
	const char *many;      /* 30,000 rows: number, 0 to 2999 bytes, null */
	const char *long_rows; /* 5000 at least, of 1000 bytes and more */
	const char *sleep;     /* for 0.1 s */
	const char *large;     /* a row of 60 MiB */
	int large_cells;       /* alike */

	/* Where a row may have 1 MiB. */
	const char *before[3]; /* all others: set something; null ends them */
	const char *too_long[4];
	const char *fourth_too_long; /* after three of an x */
	const char *still_set;       /* finds a 1 */

	/* SQLSTATE */
	const char *syntax_error;
	const char *no_such_table;
};

void statement_cases(const struct statement_words *words);

#endif
