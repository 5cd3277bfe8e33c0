/* SPDX-License-Identifier: MIT */
/*
 * Temporary passwords of Redshift, which AWS gives for the keys of an
 * identity. Any thread; blocks.
 */
#ifndef CONNFS_AUTH_AWS_REDSHIFT_H
#define CONNFS_AUTH_AWS_REDSHIFT_H

#include <stdint.h>

#include "auth/aws/identity.h"
#include "common/err.h"
#include "common/secret.h"

/* Borrowed for the call. */
struct redshift_login {
	struct aws_identity *identity;
	const char *host;
	const char *database;
	const char *region;     /* of the spec; null: none */
	const char *user;       /* provisioned: null: the identity's own */
	const char *cluster_id; /* null: by host */
	const char *workgroup;  /* null: by host */
	unsigned duration_s;    /* 900 to 3600; 0: 900 */
};

struct redshift_password {
	char *user; /* to log in with: AWS may put "IAM:" before it */
	struct secret password;
	int64_t expires_at; /* Unix seconds of AWS's clock */
};

/* GetClusterCredentials, or GetClusterCredentialsWithIAM for no user. */
int redshift_get(struct redshift_password *out,
		 const struct redshift_login *login, struct err *err);

/* GetCredentials of a workgroup; the identity is the user. */
int redshift_get_serverless(struct redshift_password *out,
			    const struct redshift_login *login,
			    struct err *err);

void redshift_password_finish(struct redshift_password *password);

#endif
