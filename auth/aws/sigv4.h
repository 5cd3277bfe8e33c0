/* SPDX-License-Identifier: MIT */
/*
 * AWS Signature Version 4, both forms: a header of a request, and a presigned
 * URL. Pure: no clock, no network, no environment; any thread.
 *
 * https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv.html
 */
#ifndef CONNFS_AUTH_AWS_SIGV4_H
#define CONNFS_AUTH_AWS_SIGV4_H

#include <stddef.h>
#include <stdint.h>

#include "auth/aws/keys.h"
#include "common/err.h"

struct sigv4_scope {
	const char *region;
	const char *service; /* as in the scope: "sts", "rds-db" */
	int64_t time;        /* Unix seconds, read once a signature */
};

/* A header, or a parameter of a query. */
struct sigv4_pair {
	const char *name;
	const char *value;
};

struct sigv4_request {
	const char *method;
	const char *host;  /* with ":port" if that is not the scheme's own */
	const char *path;  /* as sent, begins with "/" */
	const char *query; /* as sent, without "?"; null: none */
	/* Besides host, x-amz-date and x-amz-security-token. */
	const struct sigv4_pair *headers;
	size_t n_headers;
	const char *body;
	size_t body_len;
};

enum { SIGV4_DATE_SIZE = sizeof("20150830T123600Z") };

/* The value of X-Amz-Date for that time. */
void sigv4_date(char out[SIGV4_DATE_SIZE], int64_t time);

/*
 * The value of Authorization, for a request that carries X-Amz-Date and, with
 * temporary keys, X-Amz-Security-Token. 0 or -ENOMEM.
 */
int sigv4_authorization(struct secret *out, const struct aws_keys *keys,
			const struct sigv4_scope *scope,
			const struct sigv4_request *request, struct err *err);

struct sigv4_presign {
	const char *host; /* as signed and printed, with ":port" if any */
	/* The operation's own, in the order in which they are printed. */
	const struct sigv4_pair *params;
	size_t n_params;
	unsigned expires; /* seconds */
};

/* "host/?Action=..": a presigned GET of "/", without its scheme. */
int sigv4_presign(struct secret *out, const struct aws_keys *keys,
		  const struct sigv4_scope *scope,
		  const struct sigv4_presign *presign, struct err *err);

#endif
