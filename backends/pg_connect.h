/* SPDX-License-Identifier: MIT */
/* Logging in to a PostgreSQL server. Any thread; blocks. */
#ifndef CONNFS_BACKENDS_PG_CONNECT_H
#define CONNFS_BACKENDS_PG_CONNECT_H

#include <libpq-fe.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct db_params;
struct err;

/* The lines of text on one, without those that repeat. out: size bytes. */
void pg_one_line(char *out, size_t size, const char *text);

/* In what servers differ that speak PostgreSQL's protocol. */
struct pg_flavour {
	size_t name_max; /* bytes of an application_name */
	/*
	 * False: whoever logs in with settings is refused, and SET is as well:
	 * statement_timeout and read_only are not the server's to keep.
	 */
	bool has_settings;
	/*
	 * By the name that TLS asks for it knows which database is meant: an
	 * address says nothing to it.
	 */
	bool needs_name;
	const char *ca_hint; /* where its certificate comes from */
};

extern const struct pg_flavour pg_flavour_postgres;
extern const struct pg_flavour pg_flavour_redshift;
extern const struct pg_flavour pg_flavour_dsql;

enum { PG_APP_NAME_SIZE = 256 };

/* What the server shows of an application_name; null: it has none. */
void pg_app_name(char out[PG_APP_NAME_SIZE], const struct pg_flavour *flavour,
		 const char *name);

/*
 * Gives a connection that is logged in to the caller. Nothing but params has a
 * say in how: no PG* variable, no file of the daemon's user. What libpq keeps
 * of the password is wiped. -EHOSTUNREACH, -ECONNREFUSED, -ETIMEDOUT, -EACCES
 * or what the server's SQLSTATE means.
 */
int pg_connect(PGconn **out, const struct pg_flavour *flavour,
	       const struct db_params *params, uint64_t deadline,
	       struct err *err);

#endif
