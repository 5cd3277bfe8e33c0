/* SPDX-License-Identifier: MIT */
/*
 * One HTTP exchange by libcurl. Blocks the calling thread, for timeout_ms at
 * most; http_stop() ends all that are under way. Redirects are not followed;
 * a body over the limit fails. Any thread; nothing is logged.
 */
#ifndef CONNFS_AUTH_AWS_HTTP_H
#define CONNFS_AUTH_AWS_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"
#include "common/secret.h"

enum { HTTP_BODY_MAX = 256 * 1024, HTTP_FIELD_SIZE = 128 };

struct http_request {
	const char *method;
	const char *url;
	const char *const *headers; /* "Name: value"; null-terminated list */
	const char *body;           /* null: none */
	size_t body_len;
	unsigned connect_timeout_ms;
	unsigned timeout_ms; /* of the whole exchange */
	bool direct;         /* never by a proxy: metadata, loopback */
	const char *ca_file; /* null: the system's */
};

struct http_response {
	unsigned status;
	struct secret body;
	int64_t date; /* Unix seconds; 0: not given, or not worth believing */
	int64_t retry_after_ms;           /* x-amz-retry-after; -1: not given */
	char error_type[HTTP_FIELD_SIZE]; /* x-amzn-errortype */
	char request_id[HTTP_FIELD_SIZE]; /* x-amzn-requestid */
};

/* How an exchange failed that brought no answer, besides its errno. */
enum http_failure {
	HTTP_OK,
	HTTP_TRANSIENT, /* reset, time-out, no such host: worth a retry */
	HTTP_FATAL,     /* bad URL, TLS, too large: not */
};

/*
 * HTTP_OK with any status. Otherwise err has the host and why: EHOSTUNREACH,
 * ECONNREFUSED, ETIMEDOUT, ECANCELED after http_stop(), EIO. out is for
 * http_response_finish() in each case.
 */
enum http_failure http_perform(struct http_response *out,
			       const struct http_request *request,
			       struct err *err);
void http_response_finish(struct http_response *response);

/* Waits before another try: 0, or -ECANCELED after http_stop(). */
int http_sleep(unsigned ms);

/* The process ends: now and from now on nothing is waited for. */
void http_stop(void);

#endif
