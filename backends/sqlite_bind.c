/* SPDX-License-Identifier: MIT */
#include "backends/sqlite_bind.h"

#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backends/sqlite_error.h"
#include "backends/value.h"
#include "common/cleanup.h"
#include "common/err.h"

enum { INTEGER_SIZE = 320 }; /* of the largest double, written out */

static bool is_integer(const char *digits)
{
	return strpbrk(digits, ".eE") == NULL;
}

/* Digits of an integer that are those of the double, too. */
static bool is_exact(const char *digits, double value)
{
	char text[INTEGER_SIZE];

	(void)snprintf(text, sizeof(text), "%.0f", value);
	return strcmp(text, digits) == 0;
}

/* *code is SQLite's; -EINVAL: the number would become another. */
static int bind_number(sqlite3_stmt *stmt, int i, const char *digits, int *code)
{
	double value;
	long long whole;

	if (is_integer(digits)) {
		errno = 0;
		whole = strtoll(digits, NULL, 10);
		if (errno == 0) {
			*code = sqlite3_bind_int64(stmt, i, whole);
			return 0;
		}
	}
	value = strtod(digits, NULL);
	if (!isfinite(value) ||
	    (is_integer(digits) && !is_exact(digits, value)))
		return -EINVAL;
	*code = sqlite3_bind_double(stmt, i, value);
	return 0;
}

static int bind_value(sqlite3_stmt *stmt, int i, const struct db_value *value,
		      struct err *err)
{
	int code = SQLITE_OK;

	switch (value->kind) {
	case DB_NULL:
		code = sqlite3_bind_null(stmt, i);
		break;
	case DB_BOOL:
		code = sqlite3_bind_int(stmt, i, *value->data == 't');
		break;
	case DB_NUMBER:
		if (bind_number(stmt, i, value->data, &code) < 0)
			return err_set(err, EINVAL,
				       "parameter %d: SQLite has no number "
				       "%.40s; a string keeps its digits",
				       i, value->data);
		break;
	case DB_TEXT:
	case DB_ARRAY:
	case DB_OBJECT:
		code = sqlite3_bind_text64(stmt, i, value->data, value->len,
					   SQLITE_STATIC, SQLITE_UTF8);
		break;
	}
	if (code != SQLITE_OK)
		return err_set(err, sqlite_error_errno(code),
			       "parameter %d: %s", i, sqlite3_errstr(code));
	return 0;
}

static int bind_list(sqlite3_stmt *stmt, const struct db_args *args,
		     struct err *err)
{
	int count = sqlite3_bind_parameter_count(stmt);
	int rc = 0;

	if (args->n != (size_t)count)
		return err_set(err, EINVAL,
			       "parameters of the statement: %d, "
			       "values in params.json: %zu",
			       count, args->n);
	for (int i = 1; rc == 0 && i <= count; i++)
		rc = bind_value(stmt, i, &args->values[i - 1], err);
	return rc;
}

/* A member of the object, for a search by name. */
struct member {
	const struct db_value *value;
	bool used;
};

static int compare_members(const void *a, const void *b)
{
	const struct member *left = a;
	const struct member *right = b;

	return strcmp(left->value->name, right->value->name);
}

/* Those of args by name, for free(); null when there is no memory. */
static struct member *sort_members(const struct db_args *args)
{
	struct member *members = calloc(args->n, sizeof(*members));

	if (members == NULL)
		return NULL;
	for (size_t i = 0; i < args->n; i++)
		members[i].value = &args->values[i];
	qsort(members, args->n, sizeof(*members), compare_members);
	return members;
}

static int bind_named(sqlite3_stmt *stmt, int i, struct member *members,
		      size_t n, struct err *err)
{
	const char *name = sqlite3_bind_parameter_name(stmt, i);
	const struct db_value wanted = {.name = name != NULL ? name + 1 : ""};
	const struct member key = {.value = &wanted};
	struct member *found;

	if (name == NULL || *name == '?')
		return err_set(err, EINVAL,
			       "parameter %d of the statement is a ? without a "
			       "name: params.json must hold an array",
			       i);
	found = bsearch(&key, members, n, sizeof(*members), compare_members);
	if (found == NULL)
		return err_set(err, EINVAL,
			       "params.json has no value for %s of the "
			       "statement",
			       name);
	found->used = true;
	return bind_value(stmt, i, found->value, err);
}

static int bind_object(sqlite3_stmt *stmt, const struct db_args *args,
		       struct err *err)
{
	auto_free struct member *members = sort_members(args);
	int count = sqlite3_bind_parameter_count(stmt);
	int rc = 0;

	if (members == NULL)
		return err_set(err, ENOMEM, "no memory for parameters");
	for (int i = 1; rc == 0 && i <= count; i++)
		rc = bind_named(stmt, i, members, args->n, err);
	for (size_t i = 0; rc == 0 && i < args->n; i++) {
		if (!members[i].used)
			rc = err_set(err, EINVAL,
				     "the statement has no parameter :%s, "
				     "params.json has",
				     members[i].value->name);
	}
	return rc;
}

int sqlite_bind(sqlite3_stmt *stmt, const struct db_args *args, struct err *err)
{
	if (args->named && args->n > 0)
		return bind_object(stmt, args, err);
	return bind_list(stmt, args, err);
}
