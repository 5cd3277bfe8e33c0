/* SPDX-License-Identifier: MIT */
#include "backends/pg_args.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>

#include "backends/pg_array.h"
#include "backends/value.h"
#include "common/buf.h"
#include "common/err.h"

enum {
	MAX_ARGS = 65535,          /* 16 bits of the Bind message */
	MAX_LITERAL = INT_MAX / 2, /* bytes; more than a server takes */
	OID_JSON = 114,
	OID_JSON_ARRAY = 199,
	OID_BOX_ARRAY = 1020,
	OID_JSONB = 3802,
	OID_JSONB_ARRAY = 3807,
};

int pg_args_init(struct pg_args *a, const struct db_args *args, struct err *err)
{
	*a = (struct pg_args){.args = args};
	if (args == NULL || args->n == 0)
		return 0;
	if (args->named)
		return err_set(err, EINVAL,
			       "parameters of PostgreSQL are $1, $2, ..: "
			       "params.json must hold an array");
	if (args->n > MAX_ARGS)
		return err_set(err, EINVAL,
			       "%zu parameters, PostgreSQL takes at most %d",
			       args->n, MAX_ARGS);
	a->values = calloc(args->n, sizeof(*a->values));
	a->made = calloc(args->n, sizeof(*a->made));
	if (a->values == NULL || a->made == NULL)
		return err_set(err, ENOMEM, "out of memory");
	a->n = (int)args->n;
	for (size_t i = 0; i < args->n; i++) {
		a->values[i] = args->values[i].data;
		a->has_list = a->has_list || args->values[i].kind == DB_ARRAY;
	}
	return 0;
}

void pg_args_finish(struct pg_args *a)
{
	for (int i = 0; i < a->n; i++)
		free(a->made[i]);
	free(a->made);
	free(a->values);
}

static int make_literal(struct pg_args *a, int i, Oid type, struct err *err)
{
	const struct pg_array_style style = {
		.delimiter = type == OID_BOX_ARRAY ? ';' : ',',
		.json = type == OID_JSON_ARRAY || type == OID_JSONB_ARRAY,
	};
	struct buf text;
	int rc;

	buf_init(&text, MAX_LITERAL);
	rc = pg_array_put(&text, &a->args->values[i], &style, err);
	if (rc < 0) {
		buf_finish(&text);
		return rc;
	}
	a->made[i] = buf_take(&text);
	if (a->made[i] == NULL)
		return err_set(err, ENOMEM, "out of memory");
	a->values[i] = a->made[i];
	return 0;
}

int pg_args_resolve(struct pg_args *a, const PGresult *described,
		    struct err *err)
{
	/* When the statement has fewer or more, the server will refuse it. */
	int n = PQnparams(described) < a->n ? PQnparams(described) : a->n;
	int rc = 0;

	for (int i = 0; rc == 0 && i < n; i++) {
		Oid type = PQparamtype(described, i);

		if (a->args->values[i].kind != DB_ARRAY)
			continue;
		if (type != OID_JSON && type != OID_JSONB)
			rc = make_literal(a, i, type, err);
	}
	return rc;
}
