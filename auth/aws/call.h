/* SPDX-License-Identifier: MIT */
/*
 * One call of an AWS API: signed, sent, retried as AWS's SDKs do in their
 * standard mode, its error understood. Blocks for AWS_CALL_MS at most, retries
 * and all, besides what the signer takes to get keys. Any thread.
 */
#ifndef CONNFS_AUTH_AWS_CALL_H
#define CONNFS_AUTH_AWS_CALL_H

#include <stdbool.h>
#include <stddef.h>

#include "auth/aws/endpoint.h"
#include "auth/aws/keys.h"
#include "common/err.h"
#include "common/secret.h"

enum {
	AWS_CALL_MS = 10000,
	AWS_CONNECT_MS = 3000,
	AWS_CODE_SIZE = 96,
};

/* By what a call is signed. */
struct aws_signer {
	/*
	 * Fresh: those given before were refused as expired or unknown.
	 * 0 or a negative errno with err.
	 */
	int (*keys)(void *arg, bool fresh, struct aws_keys *out,
		    struct err *err);
	void *arg;
};

struct aws_call {
	enum aws_service service;
	const char *region;    /* of the scope */
	const char *url;       /* see aws_endpoint() */
	const char *operation; /* "GetParameter", for X-Amz-Target and texts */
	/*
	 * Null: a query service, body is "Action=..&Version=..". Else the
	 * prefix of X-Amz-Target ("AmazonSSM"), and body is JSON.
	 */
	const char *target;
	const char *body;
	size_t body_len;
	const char *secret; /* in it: no error may quote it; null: none */
	const struct aws_signer *signer; /* null: the call is not signed */
	const char *ca_file;             /* null: the system's */
};

/* What AWS said of a failure. */
struct aws_error {
	char code[AWS_CODE_SIZE]; /* "AccessDeniedException"; "": no answer */
	bool denied;              /* the caller is not allowed to */
	bool not_found;           /* what was asked for is not there */
	bool bad_keys; /* expired, unknown, or a signature that is wrong */
	bool throttled;
	bool transient; /* no answer, throttled, 5xx: it may work later */
};

/*
 * Body of the answer into out. On failure err is one line: the operation, the
 * code and message of AWS (never a part of the body that could be secret), its
 * request id, and what to do where that is known; the errno is EACCES (denied,
 * keys), ENOENT, EAGAIN (throttled), EHOSTUNREACH, ECONNREFUSED, ETIMEDOUT,
 * ECANCELED or EIO. error may be null.
 */
int aws_call(struct secret *out, const struct aws_call *call,
	     struct aws_error *error, struct err *err);

/* Milliseconds; tests lower them. */
extern unsigned aws_call_limit_ms;      /* AWS_CALL_MS */
extern unsigned aws_retry_base_ms;      /* 50: first wait, at most */
extern unsigned aws_retry_throttled_ms; /* 1000: the same, after throttling */

#endif
