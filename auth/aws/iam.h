/* SPDX-License-Identifier: MIT */
/*
 * Tokens of RDS and Aurora DSQL, signed here by the keys of an identity. Any
 * thread; may block, while keys or a region are asked for.
 */
#ifndef CONNFS_AUTH_AWS_IAM_H
#define CONNFS_AUTH_AWS_IAM_H

#include <stdint.h>

#include "auth/aws/identity.h"
#include "common/err.h"
#include "common/secret.h"

/* Borrowed for the call. */
struct iam_login {
	struct aws_identity *identity;
	const char *host;
	uint16_t port; /* RDS */
	const char *user;
	const char *region;     /* of the spec; null: none */
	const char *cluster_id; /* DSQL; null: none */
	unsigned duration_s;    /* DSQL; 0: 15 min */
};

struct iam_token {
	struct secret token;
	int64_t expires_at; /* Unix seconds of AWS's clock */
	/* DSQL: the name to connect to, and what to send as its id. */
	char *host;
	char *dsql_id; /* null: none */
};

/* 0 or a negative errno; err begins with the key of a spec where one helps. */
int iam_rds(struct iam_token *out, const struct iam_login *login,
	    struct err *err);
int iam_dsql(struct iam_token *out, const struct iam_login *login,
	     struct err *err);

void iam_token_finish(struct iam_token *token);

/*
 * The region that the spec says, that the name of the host tells, or that the
 * identity has.
 */
int iam_region(char out[AWS_REGION_SIZE], struct aws_identity *identity,
	       const char *region, enum aws_family family, const char *host,
	       struct err *err);

#endif
