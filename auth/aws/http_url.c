/* SPDX-License-Identifier: MIT */
#include "auth/aws/http_url.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <curl/curl.h>

#include "common/cleanup.h"

static bool is_loopback(const char *host)
{
	struct in_addr addr;

	if (inet_pton(AF_INET, host, &addr) == 1)
		return ntohl(addr.s_addr) >> 24 == IN_LOOPBACKNET;
	return strcasecmp(host, "localhost") == 0 || strcmp(host, "[::1]") == 0;
}

/* A part, for free(). */
static CURLUcode get(CURLU *from, CURLUPart part, char **out)
{
	char *text = NULL;
	CURLUcode rc = curl_url_get(from, part, &text, CURLU_NO_DEFAULT_PORT);

	*out = NULL;
	if (rc != CURLUE_OK)
		return rc;
	*out = text != NULL ? strdup(text) : NULL;
	curl_free(text);
	return *out != NULL ? CURLUE_OK : CURLUE_OUT_OF_MEMORY;
}

/* The same of a part that may not be there: null. */
static CURLUcode get_optional(CURLU *from, CURLUPart part, char **out)
{
	CURLUcode rc = get(from, part, out);

	return rc == CURLUE_NO_PORT || rc == CURLUE_NO_QUERY ? CURLUE_OK : rc;
}

static CURLUcode split(struct http_url *out, CURLU *from, const char *url)
{
	auto_free char *scheme = NULL, *host = NULL, *port = NULL;
	CURLUcode rc =
		curl_url_set(from, CURLUPART_URL, url, CURLU_DISALLOW_USER);

	if (rc == CURLUE_OK)
		rc = get(from, CURLUPART_SCHEME, &scheme);
	if (rc == CURLUE_OK && strcmp(scheme, "http") != 0 &&
	    strcmp(scheme, "https") != 0)
		rc = CURLUE_UNSUPPORTED_SCHEME;
	if (rc == CURLUE_OK)
		rc = get(from, CURLUPART_HOST, &host);
	if (rc == CURLUE_OK)
		rc = get_optional(from, CURLUPART_PORT, &port);
	if (rc == CURLUE_OK)
		rc = get(from, CURLUPART_PATH, &out->path);
	if (rc == CURLUE_OK)
		rc = get_optional(from, CURLUPART_QUERY, &out->query);
	if (rc != CURLUE_OK)
		return rc;
	out->loopback = is_loopback(host);
	if (asprintf(&out->host, "%s%s%s", host, port != NULL ? ":" : "",
		     port != NULL ? port : "") < 0) {
		out->host = NULL;
		return CURLUE_OUT_OF_MEMORY;
	}
	return CURLUE_OK;
}

int http_url_parse(struct http_url *out, const char *url, struct err *err)
{
	CURLU *from = curl_url();
	CURLUcode rc = CURLUE_OUT_OF_MEMORY;

	*out = (struct http_url){0};
	if (from != NULL)
		rc = split(out, from, url);
	curl_url_cleanup(from);
	if (rc == CURLUE_OK)
		return 0;
	http_url_finish(out);
	if (rc == CURLUE_OUT_OF_MEMORY)
		return err_set(err, ENOMEM, "out of memory");
	return err_set(err, EIO, "bad URL: %s", curl_url_strerror(rc));
}

void http_url_finish(struct http_url *url)
{
	free(url->host);
	free(url->path);
	free(url->query);
	*url = (struct http_url){0};
}
