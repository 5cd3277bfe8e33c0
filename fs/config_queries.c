/* SPDX-License-Identifier: MIT */
#include "fs/config_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/err.h"

enum {
	QUERIES_MAX = 1000,
	NAME_MAX_BYTES = 255, /* of a file */
};

static int fail(struct err *err, const char *name, const char *reason)
{
	return err_set(err, EINVAL, "queries: \"%.100s\": %s", name, reason);
}

/* NAME has to be good for the files NAME.sql, NAME.csv and so on. */
static int check_name(const char *name, struct err *err)
{
	size_t len = strlen(name);

	if (len == 0)
		return fail(err, name, "a name must not be empty");
	if (len > NAME_MAX_BYTES - strlen(".jsonl"))
		return fail(err, name, "a name is at most 249 bytes long");
	if (name[0] == '.')
		return fail(err, name, "a name must not begin with a dot");
	if (strchr(name, '/') != NULL)
		return fail(err, name, "a name must not hold a '/'");
	for (const char *p = name; *p != '\0'; p++) {
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			return fail(err, name,
				    "a name must not hold control characters");
	}
	if (len > 4 && strcmp(name + len - 4, ".sql") == 0)
		return fail(err, name, "the name of its file without \".sql\"");
	return 0;
}

static int add_query(struct spec *spec, const char *name, const json_t *value,
		     struct err *err)
{
	struct spec_query *query = &spec->queries[spec->n_queries];
	const char *text = json_string_value(value);
	int rc = check_name(name, err);

	if (rc < 0)
		return rc;
	if (text == NULL)
		return fail(err, name, "must be a string");
	if (text[strspn(text, " \t\r\n\v\f")] == '\0')
		return fail(err, name, "must not be empty");
	query->name = strdup(name);
	query->text = strdup(text);
	spec->n_queries++;
	return query->name != NULL && query->text != NULL
		       ? 0
		       : err_set(err, ENOMEM, "queries: out of memory");
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct spec_query *)a)->name,
		      ((const struct spec_query *)b)->name);
}

int queries_parse(struct spec *spec, const json_t *value, struct err *err)
{
	size_t n = json_object_size(value);
	const char *name;
	json_t *text;
	int rc = 0;

	if (!json_is_object(value))
		return err_set(err, EINVAL,
			       "queries: must be an object of texts");
	if (n > QUERIES_MAX)
		return err_set(err, EINVAL, "queries: there are over %d",
			       QUERIES_MAX);
	spec->queries = calloc(n + 1, sizeof(*spec->queries));
	if (spec->queries == NULL)
		return err_set(err, ENOMEM, "queries: out of memory");
	json_object_foreach ((json_t *)value, name, text) {
		rc = add_query(spec, name, text, err);
		if (rc < 0)
			return rc;
	}
	qsort(spec->queries, spec->n_queries, sizeof(*spec->queries), by_name);
	return 0;
}

void queries_finish(struct spec *spec)
{
	for (size_t i = 0; i < spec->n_queries; i++) {
		free(spec->queries[i].name);
		free(spec->queries[i].text);
	}
	free(spec->queries);
}

const struct spec_query *spec_find_query(const struct spec *spec,
					 const char *name)
{
	const struct spec_query key = {.name = (char *)(uintptr_t)name};

	if (spec->n_queries == 0)
		return NULL;
	return bsearch(&key, spec->queries, spec->n_queries,
		       sizeof(*spec->queries), by_name);
}
