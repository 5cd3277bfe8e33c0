/* SPDX-License-Identifier: MIT */
/*
 * Exchanges that are no calls of an API: with metadata services and with the
 * portal of SSO. Any thread; blocks.
 */
#ifndef CONNFS_AUTH_AWS_EXCHANGE_H
#define CONNFS_AUTH_AWS_EXCHANGE_H

#include "auth/aws/http.h"
#include "common/err.h"

/*
 * Tried up to so many times while there is no answer, or it is 429 or 5xx. 0
 * with any status, or a negative errno; out is for http_response_finish() in
 * each case.
 */
int aws_exchange(struct http_response *out, const struct http_request *request,
		 unsigned attempts, struct err *err);

#endif
