/* SPDX-License-Identifier: MIT */
/* What AWS answers instead of a result, understood. Any thread; pure. */
#ifndef CONNFS_AUTH_AWS_ERROR_H
#define CONNFS_AUTH_AWS_ERROR_H

#include <stdbool.h>
#include <stdint.h>

#include "auth/aws/call.h"
#include "auth/aws/http.h"
#include "common/err.h"

enum { AWS_MESSAGE_SIZE = 512 };

struct aws_refusal {
	/* Its code is "HTTP 502" where AWS gave none. */
	struct aws_error error;
	/* AWS's own words: a line, without what could be a secret; maybe "". */
	char message[AWS_MESSAGE_SIZE];
	char request_id[HTTP_FIELD_SIZE]; /* "": none */
	bool stale_keys;                  /* fresh keys may help */
	bool by_clock;                    /* a clock that is wrong does that */
	int64_t clock_off; /* seconds AWS's clock is ahead of this machine's */
};

/* Takes out of a text what was sent and is secret; null: nothing was. */
void aws_error_hide(struct secret *text, const char *sent);

/* What no message may quote; each may be null. */
struct aws_sent {
	const char *secret_key;
	const char *session_token; /* null, "": it was signed without */
	const char *other;         /* in the body */
};

/* Of an answer that is no success. */
void aws_refusal_parse(struct aws_refusal *out,
		       const struct http_response *response,
		       const struct aws_sent *sent);

/* One line for a person that says what to do; returns the negative errno. */
int aws_refusal_explain(const struct aws_refusal *refusal,
			const struct aws_call *call, unsigned attempts,
			struct err *err);

#endif
