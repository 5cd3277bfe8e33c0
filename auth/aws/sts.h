/* SPDX-License-Identifier: MIT */
/* Roles that are assumed: the calls of STS. Any thread; blocks. */
#ifndef CONNFS_AUTH_AWS_STS_H
#define CONNFS_AUTH_AWS_STS_H

#include <stddef.h>

#include "auth/aws/call.h"
#include "auth/aws/identity.h"
#include "auth/aws/keys.h"
#include "auth/aws/settings.h"
#include "common/err.h"
#include "common/secret.h"

enum { AWS_SESSION_NAME_SIZE = 65 };

/* Borrowed; what is null or 0 is not given. */
struct aws_role {
	const char *arn;
	const char *session_name; /* any text: it is cleaned */
	const char *external_id;
	const char *region;  /* before that of the settings */
	unsigned duration_s; /* 0: an hour */
	const struct aws_tag *tags;
	size_t n_tags;
};

/* AssumeRole, signed. 0, or a negative errno and what to do. */
int aws_sts_assume_role(struct aws_keys *out, const struct aws_role *role,
			const struct aws_signer *signer,
			const struct aws_settings *settings, struct err *err);

/* AssumeRoleWithWebIdentity, which nothing signs. */
int aws_sts_web_identity(struct aws_keys *out, const struct aws_role *role,
			 const struct secret *token,
			 const struct aws_settings *settings, struct err *err);

/*
 * A name that STS takes, of 2 to 64 characters, made of what is wanted, or of
 * the name of this host when that is null.
 */
void aws_session_name(char out[AWS_SESSION_NAME_SIZE], const char *wanted);

#endif
