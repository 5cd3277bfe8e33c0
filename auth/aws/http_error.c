/* SPDX-License-Identifier: MIT */
#include "auth/aws/http_error.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "common/utf8.h"

struct meaning {
	CURLcode rc;
	enum http_failure failure;
	int code;
	const char *text; /* null: curl's own detail, which is harmless */
};

static const struct meaning meanings[] = {
	{CURLE_ABORTED_BY_CALLBACK, HTTP_FATAL, ECANCELED,
	 "given up: connfs ends"},
	{CURLE_OUT_OF_MEMORY, HTTP_FATAL, ENOMEM, "out of memory"},
	{CURLE_COULDNT_RESOLVE_HOST, HTTP_TRANSIENT, EHOSTUNREACH,
	 "the host name is not known"},
	{CURLE_COULDNT_RESOLVE_PROXY, HTTP_TRANSIENT, EHOSTUNREACH,
	 "the name of the proxy is not known"},
	{CURLE_GOT_NOTHING, HTTP_TRANSIENT, EIO, "the connection was lost"},
	{CURLE_PARTIAL_FILE, HTTP_TRANSIENT, EIO, "the connection was lost"},
	{CURLE_SEND_ERROR, HTTP_TRANSIENT, EIO, "the connection was lost"},
	{CURLE_RECV_ERROR, HTTP_TRANSIENT, EIO, "the connection was lost"},
	{CURLE_FILESIZE_EXCEEDED, HTTP_FATAL, EIO, "the answer is too long"},
	{CURLE_BAD_FUNCTION_ARGUMENT, HTTP_FATAL, EIO,
	 "a header would have control characters"},
	{CURLE_UNSUPPORTED_PROTOCOL, HTTP_FATAL, EIO, "the answer is not HTTP"},
	{CURLE_WEIRD_SERVER_REPLY, HTTP_FATAL, EIO, "the answer is not HTTP"},
	{CURLE_PEER_FAILED_VERIFICATION, HTTP_FATAL, EIO, NULL},
	{CURLE_SSL_CACERT_BADFILE, HTTP_FATAL, EIO, NULL},
	/* Most often it is a connection that was lost while it was made. */
	{CURLE_SSL_CONNECT_ERROR, HTTP_TRANSIENT, EIO, NULL},
};

static enum http_failure timed_out(CURL *easy, const char *host,
				   struct err *err)
{
	curl_off_t connected = 0;

	(void)curl_easy_getinfo(easy, CURLINFO_PRETRANSFER_TIME_T, &connected);
	(void)err_set(err, ETIMEDOUT, "%s: %s", host,
		      connected > 0 ? "no answer in time"
				    : "cannot be reached in time");
	return HTTP_TRANSIENT;
}

static enum http_failure not_connected(CURL *easy, const char *host,
				       struct err *err)
{
	long os = 0;
	int code = EHOSTUNREACH;

	(void)curl_easy_getinfo(easy, CURLINFO_OS_ERRNO, &os);
	if (os == ECONNREFUSED || os == ETIMEDOUT)
		code = (int)os;
	if (os != 0)
		(void)err_sys(err, (int)os, "%s", host);
	else
		(void)err_set(err, code, "%s: cannot be reached", host);
	if (err != NULL)
		err->code = code;
	return HTTP_TRANSIENT;
}

/* A proxy that would not let us through: its status, or 0. */
static long proxy_status(CURL *easy)
{
	long status = 0;

	(void)curl_easy_getinfo(easy, CURLINFO_HTTP_CONNECTCODE, &status);
	return status >= 300 ? status : 0;
}

static enum http_failure other(CURLcode rc, const char *detail,
			       const char *host, struct err *err)
{
	char line[CURL_ERROR_SIZE];

	for (size_t i = 0; i < sizeof(meanings) / sizeof(meanings[0]); i++) {
		const struct meaning *m = &meanings[i];

		if (m->rc != rc)
			continue;
		utf8_line(line, sizeof(line), detail, strlen(detail));
		(void)err_set(err, m->code, "%s: %s", host,
			      m->text != NULL ? m->text : line);
		return m->failure;
	}
	(void)err_set(err, EIO, "%s: %s", host, curl_easy_strerror(rc));
	return HTTP_FATAL;
}

enum http_failure http_explain(CURL *easy, CURLcode rc, const char *detail,
			       const char *host, struct err *err)
{
	long status;

	if (rc == CURLE_OK)
		return HTTP_OK;
	if (rc == CURLE_OPERATION_TIMEDOUT)
		return timed_out(easy, host, err);
	if (rc == CURLE_COULDNT_CONNECT)
		return not_connected(easy, host, err);
	status = easy != NULL ? proxy_status(easy) : 0;
	if (rc == CURLE_RECV_ERROR && status != 0) {
		(void)err_set(err, EHOSTUNREACH,
			      "%s: the proxy answers HTTP %ld", host, status);
		return status >= 500 ? HTTP_TRANSIENT : HTTP_FATAL;
	}
	return other(rc, detail, host, err);
}
