/* SPDX-License-Identifier: MIT */
/*
 * The vectors in tests/data/aws-tokens.json, whose path is argv[1]: what AWS's
 * own signers make of invented keys, and what the names of hosts tell.
 */
#ifndef CONNFS_TESTS_UNIT_AWS_VECTORS_H
#define CONNFS_TESTS_UNIT_AWS_VECTORS_H

#include <jansson.h>

#include "tests/unit/check.h"

/* For json_decref(). */
static inline json_t *vectors_load(int argc, char **argv)
{
	json_error_t error;
	json_t *file;

	if (argc != 2) {
		(void)fprintf(stderr, "usage: %s aws-tokens.json\n", argv[0]);
		exit(1);
	}
	file = json_load_file(argv[1], 0, &error);
	if (file == NULL) {
		(void)fprintf(stderr, "%s: %s\n", argv[1], error.text);
		exit(1);
	}
	return file;
}

/* The string of that name; null: it is null, or not there. */
static inline const char *vector_text(const json_t *of, const char *name)
{
	return json_string_value(json_object_get(of, name));
}

/*
 * The next vector of the kind behind *at, which starts at 0; null: no more.
 * Names it on stdout, which tells of which one a failed check is.
 */
static inline const json_t *vector_next(const json_t *file, const char *kind,
					size_t *at)
{
	const json_t *all = json_object_get(file, "vectors");

	while (*at < json_array_size(all)) {
		const json_t *vector = json_array_get(all, (*at)++);

		if (strcmp(vector_text(vector, "kind"), kind) == 0) {
			(void)printf("%s\n", vector_text(vector, "id"));
			(void)fflush(stdout);
			return vector;
		}
	}
	return NULL;
}

#endif
