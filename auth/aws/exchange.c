/* SPDX-License-Identifier: MIT */
#include "auth/aws/exchange.h"

#include <errno.h>
#include <stdbool.h>

enum { WAIT_MS = 100 }; /* before the second attempt; then twice as long .. */

static bool worth_another(enum http_failure failure, unsigned status)
{
	if (failure != HTTP_OK)
		return failure == HTTP_TRANSIENT;
	return status == 429 || status >= 500;
}

int aws_exchange(struct http_response *out, const struct http_request *request,
		 unsigned attempts, struct err *err)
{
	for (unsigned i = 1;; i++) {
		struct err why = {0};
		enum http_failure failure = http_perform(out, request, &why);

		if (i >= attempts || !worth_another(failure, out->status)) {
			if (failure == HTTP_OK)
				return 0;
			if (err != NULL)
				*err = why;
			return -why.code;
		}
		http_response_finish(out);
		if (http_sleep((unsigned)WAIT_MS << (i - 1)) < 0)
			return err_set(err, ECANCELED, "connfs ends");
	}
}
