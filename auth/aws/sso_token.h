/* SPDX-License-Identifier: MIT */
/*
 * The access token of IAM Identity Center, as `aws sso login` leaves it in
 * ~/.aws/sso/cache. That of a session is renewed ahead of its expiry, and the
 * file with it, for other tools. Any thread; blocks.
 */
#ifndef CONNFS_AUTH_AWS_SSO_TOKEN_H
#define CONNFS_AUTH_AWS_SSO_TOKEN_H

#include "auth/aws/settings.h"
#include "auth/aws/source.h"
#include "common/err.h"
#include "common/secret.h"

/* 0, or -EKEYEXPIRED and others with the command to run in err. */
int aws_sso_token(struct secret *out, const struct aws_sso *sso,
		  const struct aws_settings *settings, struct err *err);

/* "run: aws sso login --sso-session corp" */
enum { AWS_SSO_HINT_SIZE = 160 };
void aws_sso_hint(char out[AWS_SSO_HINT_SIZE], const struct aws_sso *sso);

#endif
