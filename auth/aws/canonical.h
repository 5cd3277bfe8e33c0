/* SPDX-License-Identifier: MIT */
/* The parts of a request in the one form in which they are signed. Pure. */
#ifndef CONNFS_AUTH_AWS_CANONICAL_H
#define CONNFS_AUTH_AWS_CANONICAL_H

#include <stddef.h>

#include "auth/aws/sigv4.h"
#include "auth/aws/text.h"

/* path as sent: without "." and "..", one "/" for several, encoded again. */
void canonical_path(struct aws_text *out, const char *path);

/* query as sent, which is encoded already; null: none. */
void canonical_query(struct aws_text *out, const char *query);

/* By name, whatever its case; those of one name keep their order. */
void canonical_sort(struct sigv4_pair *headers, size_t n);

/* Sorted headers: "name:value\n" each; those of one name make one line. */
void canonical_headers(struct aws_text *out, const struct sigv4_pair *headers,
		       size_t n);

/* Sorted headers: "content-type;host;x-amz-date". */
void canonical_names(struct aws_text *out, const struct sigv4_pair *headers,
		     size_t n);

#endif
