/* SPDX-License-Identifier: MIT */
/*
 * Bind parameters as PQsendQueryParams() takes them: in text, their types left
 * to the server. Only a list needs to know its type: it is an array for most,
 * and its JSON text for json and jsonb.
 *
 * Belongs to the session's worker.
 */
#ifndef CONNFS_BACKENDS_PG_ARGS_H
#define CONNFS_BACKENDS_PG_ARGS_H

#include <libpq-fe.h>
#include <stdbool.h>

struct db_args;
struct err;

struct pg_args {
	int n;
	bool has_list;              /* pg_args_resolve() is needed */
	const char **values;        /* owned; they are lent by args, or made */
	char **made;                /* owned, and what they point to */
	const struct db_args *args; /* borrowed */
};

/*
 * args (null: none) must outlive *a, which is to be finished in any case.
 * -EINVAL: they have names, or are more than the protocol can count.
 */
int pg_args_init(struct pg_args *a, const struct db_args *args,
		 struct err *err);
void pg_args_finish(struct pg_args *a);

/* described: what the server said of the statement (PQparamtype()). */
int pg_args_resolve(struct pg_args *a, const PGresult *described,
		    struct err *err);

#endif
