/* SPDX-License-Identifier: MIT */
/* What the tests of providers share: a server, and what a source gives. */
#ifndef CONNFS_TESTS_UNIT_AWS_SOURCE_H
#define CONNFS_TESTS_UNIT_AWS_SOURCE_H

#include <stdint.h>

#include "auth/aws/settings.h"
#include "auth/aws/source.h"
#include "tests/unit/http_server.h"

#define EXPIRES "2099-01-02T03:04:05Z"

extern struct http_server aws_server;

/* EXPIRES in Unix seconds. */
int64_t expiry(void);

/* A variable of the environment; null: not set. */
void aws_set(const char *name, const char *value);

/*
 * The source of a profile, or of the chain for null, by the files as they are;
 * it lives as long as the settings.
 */
struct aws_source *aws_source_of(struct aws_settings *settings,
				 const char *profile);

/* Its keys; the secret one is "s3cr3t". */
void expect_keys(const char *profile, const char *access_key, const char *token,
		 int64_t expires_at);
void expect_error(const char *profile, const char *error);

/* The line "GET /path HTTP/1.1" of the n-th request. */
void expect_request(size_t n, const char *line);

#endif
