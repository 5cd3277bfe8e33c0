/* SPDX-License-Identifier: MIT */
/*
 * Text that holds secrets while it grows: what is signed, bodies of requests.
 * As with buf.h, failure is sticky: the caller looks once, at the end.
 *
 * Belongs to one thread at a time; {0} is empty.
 */
#ifndef CONNFS_AUTH_AWS_TEXT_H
#define CONNFS_AUTH_AWS_TEXT_H

#include <stdbool.h>
#include <stddef.h>

#include "common/secret.h"

enum { AWS_TEXT_MAX = 1024 * 1024 }; /* bytes */

struct aws_text {
	struct secret secret;
	bool failed; /* no memory, or longer than AWS_TEXT_MAX */
};

void aws_text_put(struct aws_text *text, const char *data, size_t len);
void aws_text_puts(struct aws_text *text, const char *s);
void aws_text_putc(struct aws_text *text, char c);

/* Percent-encodes every byte but A-Z a-z 0-9 - . _ ~ as AWS signs it. */
void aws_text_encode(struct aws_text *text, const char *data, size_t len);

/* "name=value", both encoded, after "&" unless it is first; null: nothing. */
void aws_text_param(struct aws_text *text, const char *name, const char *value);

/* Replaces *out by the text, which is empty then. 0 or -ENOMEM. */
int aws_text_take(struct aws_text *text, struct secret *out);

void aws_text_finish(struct aws_text *text);
#define auto_aws_text __attribute__((cleanup(aws_text_finish)))

/* Of ASCII, whatever the locale says of letters. */
static inline char aws_lower(char c)
{
	if (c >= 'A' && c <= 'Z')
		return (char)(c - 'A' + 'a');
	return c;
}

#endif
