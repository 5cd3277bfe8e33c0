/* SPDX-License-Identifier: MIT */
/*
 * Tokens that are made here and used as a database password: presigned
 * requests that are never sent. Making one never fails for a key that AWS
 * would refuse; the login does then.
 */
#ifndef CONNFS_AUTH_AWS_TOKEN_H
#define CONNFS_AUTH_AWS_TOKEN_H

#include <stdint.h>

#include "auth/aws/keys.h"
#include "common/err.h"

enum {
	RDS_TOKEN_LIFE = 900,  /* seconds; the server takes no other */
	DSQL_TOKEN_LIFE = 900, /* unless asked for otherwise */
	DSQL_TOKEN_MAX = 604800,
};

/* Of the database as AWS knows it, whatever is dialled. */
struct token_login {
	const char *host;
	uint16_t port; /* RDS only */
	const char *user;
	const char *region;
	int64_t now; /* Unix seconds */
};

/*
 * 0, -EINVAL (port 443, on which AWS's own signers disagree) or -ENOMEM; err
 * begins with the key of a spec.
 */
int rds_token(struct secret *out, const struct aws_keys *keys,
	      const struct token_login *login, struct err *err);

/*
 * expires: seconds, -EINVAL unless 1 to DSQL_TOKEN_MAX. The user "admin" is
 * its own action.
 */
int dsql_token(struct secret *out, const struct aws_keys *keys,
	       const struct token_login *login, unsigned expires,
	       struct err *err);

#endif
