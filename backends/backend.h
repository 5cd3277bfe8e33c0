/* SPDX-License-Identifier: MIT */
/*
 * What a driver implements. Included by the drivers and by db.c only; the
 * contract of each operation stands in db.h. db.c checks arguments, order of
 * calls and results, so drivers do not. Drivers never call up, except through
 * the sink they were handed.
 */
#ifndef CONNFS_BACKENDS_BACKEND_H
#define CONNFS_BACKENDS_BACKEND_H

#include "backends/db.h"

struct backend {
	const char *name;

	int (*open)(struct db **out, const struct db_params *params,
		    struct err *err);
	int (*exec)(struct db *db, const char *sql, const struct db_args *args,
		    const struct db_sink *sink, void *arg, struct err *err);
	int (*check)(struct db *db, struct err *err);
	/* Null: -EOPNOTSUPP. */
	int (*reset)(struct db *db, const struct db_params *params,
		     struct err *err);
	int (*cancel)(struct db *db, const struct db_params *params,
		      struct err *err);
	void (*abort)(struct db *db);
	void (*close)(struct db *db);
};

/* Embedded as the first member of every driver's session struct. */
struct db {
	const struct backend *backend; /* set by db.c */
	bool in_transaction;           /* the driver keeps these up to date */
	unsigned sql_modes;            /* enum sql_mode */
	int server_pid;
};

extern const struct backend dsql_backend;
extern const struct backend mariadb_backend;
extern const struct backend pg_backend;
extern const struct backend redshift_backend;
extern const struct backend sqlite_backend;
#ifdef CONNFS_FAKE_BACKEND
extern const struct backend fake_backend;
#endif

#endif
