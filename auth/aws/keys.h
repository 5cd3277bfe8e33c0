/* SPDX-License-Identifier: MIT */
/* An AWS access key, long-term or temporary. */
#ifndef CONNFS_AUTH_AWS_KEYS_H
#define CONNFS_AUTH_AWS_KEYS_H

#include <stdint.h>

#include "common/secret.h"

struct aws_keys {
	struct secret access_key;
	struct secret secret_key;
	struct secret session_token; /* empty: a long-term key */
	int64_t expires_at;          /* Unix seconds; 0: never */
};

/* Replaces *out, which is {0} or a former copy. 0 or -ENOMEM. */
int aws_keys_copy(struct aws_keys *out, const struct aws_keys *from);

void aws_keys_finish(struct aws_keys *keys);
#define auto_aws_keys __attribute__((cleanup(aws_keys_finish)))

#endif
