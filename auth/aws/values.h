/* SPDX-License-Identifier: MIT */
/*
 * Values of SSM Parameter Store and Secrets Manager, kept for a while, so that
 * a thousand logins are not a thousand calls. One call serves all who ask for
 * the same at the same time. Any thread; may block.
 */
#ifndef CONNFS_AUTH_AWS_VALUES_H
#define CONNFS_AUTH_AWS_VALUES_H

#include <stdbool.h>

#include "auth/aws/identity.h"
#include "common/err.h"
#include "common/secret.h"

/* What is kept at most; the oldest goes first. */
enum {
	AWS_VALUES_MAX = 32 * 1024,
	AWS_VALUES_BYTES_MAX = 64 * 1024 * 1024,
};

enum aws_value_kind {
	AWS_PARAMETER, /* decrypted; String or SecureString */
	AWS_SECRET,    /* its SecretString, of the current version */
};

struct aws_value {
	enum aws_value_kind kind;
	const char *name; /* name or ARN, which then tells the region */
	struct aws_identity *identity;
	unsigned ttl_ms; /* 0: is not kept */
	bool fresh;      /* from AWS, by a call that begins now */
};

/*
 * A copy of the value. *cached: it was obtained for somebody earlier. One that
 * is too old is given all the same, for an hour, when AWS cannot be asked (but
 * not when AWS refuses, nor to who wants it fresh): then err says why there is
 * no newer one. It is not written otherwise on success.
 * Errnos of aws_call(), or -EINVAL for a value that is of no use; err names
 * the key of the spec ("password", ..) by `key`, the name, and what is wrong.
 */
int aws_value_get(struct secret *out, const struct aws_value *value,
		  const char *key, bool *cached, struct err *err);

/* A login with it failed: the next to ask gets it from AWS. Never blocks. */
void aws_value_drop(const struct aws_value *value);

#endif
