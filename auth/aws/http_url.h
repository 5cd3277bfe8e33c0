/* SPDX-License-Identifier: MIT */
/* The parts of a URL as they are sent, and so signed. Any thread. */
#ifndef CONNFS_AUTH_AWS_HTTP_URL_H
#define CONNFS_AUTH_AWS_HTTP_URL_H

#include <stdbool.h>

#include "common/err.h"

struct http_url {
	char *host;    /* as in the header Host: ":port" unless it is usual */
	char *path;    /* begins with "/" */
	char *query;   /* without "?"; null: none */
	bool loopback; /* of this machine: not by a proxy */
};

/*
 * 0; -EIO: not http or https, no host, or with a user name; -ENOMEM. err
 * does not quote the URL, which can hold a secret.
 */
int http_url_parse(struct http_url *out, const char *url, struct err *err);
void http_url_finish(struct http_url *url);
#define auto_http_url __attribute__((cleanup(http_url_finish)))

#endif
