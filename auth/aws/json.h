/* SPDX-License-Identifier: MIT */
/*
 * Members of a JSON document that holds secrets, and JSON made of strings.
 * What the parser keeps meanwhile is wiped. Any thread.
 */
#ifndef CONNFS_AUTH_AWS_JSON_H
#define CONNFS_AUTH_AWS_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"
#include "common/secret.h"

struct aws_json; /* a parsed document */

/* what names the document in err: "the secret shop". -EINVAL: no object. */
int aws_json_parse(struct aws_json **out, const char *text, size_t len,
		   const char *what, struct err *err);
void aws_json_free(struct aws_json *json); /* null is allowed */
static inline void aws_json_freep(struct aws_json **json)
{
	aws_json_free(*json);
}
#define auto_aws_json __attribute__((cleanup(aws_json_freep)))

/*
 * The member at path ("Parameter.Value"; an array's by number) as text: a
 * string's content, a number's digits. 1: it is there; 0: it is not, or null,
 * and *out is empty; -ENOMEM; -EINVAL: neither string nor number.
 */
int aws_json_get(const struct aws_json *json, const char *path,
		 struct secret *out);

struct aws_json_pair {
	const char *name;
	const char *value; /* UTF-8; null: the pair is left out */
};

/* {"name":"value",..}: 0; -EINVAL: no UTF-8; -ENOMEM. */
int aws_json_object(struct secret *out, const struct aws_json_pair *pairs,
		    size_t n_pairs);

/* A number of seconds (maybe with a fraction), else an ISO 8601 text. 0: none. */
int64_t aws_json_time(const struct aws_json *json, const char *path);

/* "2015-08-30T12:36:00Z", ".000Z", "+00:00": Unix seconds; 0: not one. */
int64_t aws_time_parse(const char *text);

#endif
