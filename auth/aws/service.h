/* SPDX-License-Identifier: MIT */
/* Calls of AWS's services by an identity. Any thread; may block. */
#ifndef CONNFS_AUTH_AWS_SERVICE_H
#define CONNFS_AUTH_AWS_SERVICE_H

#include <stddef.h>

#include "auth/aws/call.h"
#include "auth/aws/identity.h"
#include "common/err.h"
#include "common/secret.h"

/* Borrowed for the call; see struct aws_call. */
struct aws_request {
	enum aws_service service;
	const char *region;
	const char *operation;
	const char *target; /* null: a query service */
	const char *body;
	size_t body_len;
};

/* As aws_call(), at the endpoint that is configured for the identity. */
int aws_service_call(struct secret *out, struct aws_identity *identity,
		     const struct aws_request *request, struct aws_error *error,
		     struct err *err);

#endif
