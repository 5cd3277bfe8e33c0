/* SPDX-License-Identifier: MIT */
/*
 * Lines that are for the client of a database, not for its server: psql's and
 * the mariadb client's backslash, sqlite's dot, DELIMITER. All are refused but
 * for what dumps contain. Private to sql_*.c.
 */
#ifndef CONNFS_BACKENDS_SQL_CLIENT_H
#define CONNFS_BACKENDS_SQL_CLIENT_H

#include <stdbool.h>
#include <stddef.h>

struct err;
struct sql_lex;

/* A command that begins at text[lex->start]. */
struct sql_client {
	bool active; /* there is one, and its end was not seen */
	bool ok;     /* what there is of it may be passed over */
	bool alone;  /* nothing but comments comes before it */
	size_t body; /* where the statement starts it is in, if not alone */
};

/*
 * 1: the command was passed over, a DELIMITER obeyed, lex is behind it, and
 * nothing of a statement is before it; 0: more is needed; -EINVAL.
 */
int sql_client_take(struct sql_client *c, struct sql_lex *lex, const char *text,
		    size_t len, struct err *err);

/* -EINVAL, for a command that the text ends with and that is not ok. */
int sql_client_refuse(const struct sql_lex *lex, const char *text, size_t len,
		      struct err *err);

#endif
