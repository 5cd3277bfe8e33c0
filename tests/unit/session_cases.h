/* SPDX-License-Identifier: MIT */
/*
 * What holds for the sessions of every server: cancelling, aborting, and
 * losing them. With the server of db_client.h.
 */
#ifndef CONNFS_TESTS_UNIT_SESSION_CASES_H
#define CONNFS_TESTS_UNIT_SESSION_CASES_H

struct session_words {
	const char *busy;  /* takes for ever, and fails when it is cancelled */
	const char *sleep; /* for 600 s */
	const char *brief; /* fails when a cancel hits it */
	const char *rows;  /* 1,000,000,000 of them */
	const char *reads; /* a table */

	/* What a statement fails with. */
	const char *cancelled;   /* SQLSTATE */
	const char *ended;       /* message, when the session is; null: any */
	const char *ended_state; /* SQLSTATE, then */
};

void session_cases(const struct session_words *words);

#endif
