/* SPDX-License-Identifier: MIT */
/* Why a transfer of libcurl failed; http.c only. */
#ifndef CONNFS_AUTH_AWS_HTTP_ERROR_H
#define CONNFS_AUTH_AWS_HTTP_ERROR_H

#include <curl/curl.h>

#include "auth/aws/http.h"
#include "common/err.h"

/*
 * What became of easy, which ended with rc. detail is what curl wrote of it:
 * it is quoted only where it cannot hold a secret (URLs of proxies have
 * passwords). CURLE_ABORTED_BY_CALLBACK stands for http_stop().
 */
enum http_failure http_explain(CURL *easy, CURLcode rc, const char *detail,
			       const char *host, struct err *err);

#endif
