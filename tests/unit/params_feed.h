/* SPDX-License-Identifier: MIT */
/* Text for params.json in pieces. */
#ifndef CONNFS_TESTS_UNIT_PARAMS_FEED_H
#define CONNFS_TESTS_UNIT_PARAMS_FEED_H

#include "fs/params.h"

/* All of it: first so many bytes, then `each` at a time. */
static inline int feed(struct params *p, const char *text, size_t len,
		       size_t first, size_t each, struct err *err)
{
	int rc = 0;

	for (size_t at = 0, n = first; at < len && rc >= 0; at += n, n = each) {
		if (n > len - at)
			n = len - at;
		rc = params_feed(p, text + at, n, err);
	}
	return rc;
}

#endif
