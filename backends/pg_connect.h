/* SPDX-License-Identifier: MIT */
/* Logging in to a PostgreSQL server. Any thread; blocks. */
#ifndef CONNFS_BACKENDS_PG_CONNECT_H
#define CONNFS_BACKENDS_PG_CONNECT_H

#include <libpq-fe.h>
#include <stddef.h>
#include <stdint.h>

struct db_params;
struct err;

/* The lines of text on one, without those that repeat. out: size bytes. */
void pg_one_line(char *out, size_t size, const char *text);

enum { PG_APP_NAME_SIZE = 64 }; /* NAMEDATALEN, in bytes */

/* What a server shows of an application_name; null: it has none. */
void pg_app_name(char out[PG_APP_NAME_SIZE], const char *name);

/*
 * Gives a connection that is logged in to the caller. Nothing but params has a
 * say in how: no PG* variable, no file of the daemon's user. -EHOSTUNREACH,
 * -ECONNREFUSED, -ETIMEDOUT, -EACCES or what the server's SQLSTATE means.
 */
int pg_connect(PGconn **out, const struct db_params *params, uint64_t deadline,
	       struct err *err);

#endif
