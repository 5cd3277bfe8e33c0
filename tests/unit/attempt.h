/* SPDX-License-Identifier: MIT */
/*
 * Attempts to obtain a credential, against a server that answers for AWS. The
 * keys of this machine are AKIDBASE, and its region is not known.
 */
#ifndef CONNFS_TESTS_UNIT_ATTEMPT_H
#define CONNFS_TESTS_UNIT_ATTEMPT_H

#include <stdbool.h>
#include <stddef.h>

#include "auth/resolution.h"
#include "tests/unit/http_server.h"

/* The whole of SecretString, in C: each quote of it is \\\". */
#define ATTEMPT_SECRET(text) "{\"Name\":\"shop\",\"SecretString\":\"" text "\"}"

extern const char attempt_parameter[]; /* GetParameter's answer: ti"ger */
extern struct http_server attempt_server;

/* After check_init(). */
void attempt_init(void);

/* The answers are those of the attempts until http_server_stop(). */
void attempt_serve(const struct http_answer *script, size_t n);

/* user scott, host db.example.com, database shop, port 5432 */
struct auth_config attempt_config(void);

/* resolution_run() of a resolution of its own. */
int attempt_run(const struct auth_config *config, struct resolved *out,
		struct err *err);
void attempt_succeed(const struct auth_config *config, struct resolved *out);
void attempt_fail(const struct auth_config *config, const char *error);

/* The n-th request asked for that; null: a query, its body tells it. */
void attempt_expect(size_t n, const char *target, const char *body);

/* The n-th request was signed with that in its scope or by that key. */
void attempt_expect_signed(size_t n, const char *with);

bool attempt_begins(const char *text, const char *with);

#endif
