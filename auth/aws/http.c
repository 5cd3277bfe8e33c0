/* SPDX-License-Identifier: MIT */
#include "auth/aws/http.h"

#include <ctype.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>

#include <curl/curl.h>
#include <openssl/ssl.h>

#include "auth/aws/http_error.h"
#include "auth/aws/http_url.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "common/secret_heap.h"
#include "common/utf8.h"

enum {
	POLL_MS = 1000, /* curl looks at its own limits in time */
	DELAY_MAX_MS = 60 * 60 * 1000,
};

/* One exchange under way. */
struct transfer {
	struct transfer *next; /* mutex */
	CURLM *multi;
	CURL *easy;
	struct curl_slist *headers;
	struct http_response *out;
	bool too_large;
	bool no_memory;
	char detail[CURL_ERROR_SIZE]; /* curl's own words; may be a secret */
};

static pthread_once_t once = PTHREAD_ONCE_INIT;
static CURLcode ready; /* once */
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t stopping;  /* once; waits by the monotonic clock */
static struct transfer *running; /* mutex */
static bool started;             /* mutex; stopping is there */
static bool stopped;             /* mutex */

static void start_library(void)
{
	pthread_condattr_t attr;

	(void)pthread_condattr_init(&attr);
	(void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	(void)pthread_cond_init(&stopping, &attr);
	(void)pthread_condattr_destroy(&attr);
	/* What curl keeps of requests and answers is wiped. */
	ready = curl_global_init_mem(CURL_GLOBAL_DEFAULT, secret_heap_malloc,
				     secret_heap_free, secret_heap_realloc,
				     secret_heap_strdup, secret_heap_calloc);
	auto_lock(&mutex);
	started = true;
}

void http_stop(void)
{
	auto_lock(&mutex);
	stopped = true;
	if (started)
		(void)pthread_cond_broadcast(&stopping);
	for (struct transfer *t = running; t != NULL; t = t->next)
		(void)curl_multi_wakeup(t->multi);
}

static bool is_stopped(void)
{
	auto_lock(&mutex);
	return stopped;
}

int http_sleep(unsigned ms)
{
	struct timespec until;

	(void)pthread_once(&once, start_library);
	(void)clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += ms / 1000;
	until.tv_nsec += (long)(ms % 1000) * 1000000;
	if (until.tv_nsec >= 1000000000) {
		until.tv_sec++;
		until.tv_nsec -= 1000000000;
	}
	auto_lock(&mutex);
	while (!stopped) {
		if (pthread_cond_timedwait(&stopping, &mutex, &until) != 0)
			return 0;
	}
	return -ECANCELED;
}

static void enlist(struct transfer *t)
{
	auto_lock(&mutex);
	t->next = running;
	running = t;
}

static void delist(struct transfer *t)
{
	auto_lock(&mutex);
	for (struct transfer **at = &running; *at != NULL; at = &(*at)->next) {
		if (*at == t) {
			*at = t->next;
			return;
		}
	}
}

static size_t on_body(char *data, size_t size, size_t n, void *arg)
{
	struct transfer *t = arg;
	size_t len = size * n;

	t->too_large = len > HTTP_BODY_MAX - t->out->body.len;
	if (t->too_large)
		return 0;
	t->no_memory = secret_append(&t->out->body, data, len) < 0;
	return t->no_memory ? 0 : len;
}

static curl_socket_t on_socket(void *arg, curlsocktype purpose,
			       struct curl_sockaddr *addr)
{
	return socket(addr->family, addr->socktype | SOCK_CLOEXEC,
		      addr->protocol);
}

static CURLcode on_tls(CURL *easy, void *ctx, void *arg)
{
	(void)SSL_CTX_set_options(ctx, SSL_OP_CLEANSE_PLAINTEXT);
	return CURLE_OK;
}

static bool has_header(const struct http_request *request, const char *name)
{
	size_t len = strlen(name);

	for (const char *const *h = request->headers; h != NULL && *h != NULL;
	     h++) {
		if (strncasecmp(*h, name, len) == 0 && (*h)[len] == ':')
			return true;
	}
	return false;
}

static bool put_header(struct transfer *t, const char *line)
{
	struct curl_slist *list = curl_slist_append(t->headers, line);

	if (list == NULL)
		return false;
	t->headers = list;
	return true;
}

static CURLcode put_headers(struct transfer *t,
			    const struct http_request *request)
{
	/* What curl would add of its own. */
	static const char *const unwanted[] = {"Accept", "Content-Type",
					       "Expect"};
	char none[32];

	for (const char *const *h = request->headers; h != NULL && *h != NULL;
	     h++) {
		for (const char *p = *h; *p != '\0'; p++) {
			if (iscntrl((unsigned char)*p) && *p != '\t')
				return CURLE_BAD_FUNCTION_ARGUMENT;
		}
		if (!put_header(t, *h))
			return CURLE_OUT_OF_MEMORY;
	}
	for (size_t i = 0; i < sizeof(unwanted) / sizeof(unwanted[0]); i++) {
		(void)snprintf(none, sizeof(none), "%s:", unwanted[i]);
		if (!has_header(request, unwanted[i]) && !put_header(t, none))
			return CURLE_OUT_OF_MEMORY;
	}
	return curl_easy_setopt(t->easy, CURLOPT_HTTPHEADER, t->headers);
}

static CURLcode put_numbers(struct transfer *t,
			    const struct http_request *request)
{
	const struct {
		CURLoption option;
		unsigned long value;
	} numbers[] = {
		{CURLOPT_NOSIGNAL, 1},
		/* Else a name server that is silent is waited for at the end. */
		{CURLOPT_QUICK_EXIT, 1},
		{CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1},
		{CURLOPT_SSLVERSION, CURL_SSLVERSION_TLSv1_2},
		{CURLOPT_SSL_VERIFYPEER, 1},
		{CURLOPT_SSL_VERIFYHOST, 2},
		{CURLOPT_FOLLOWLOCATION, 0},
		/* 0 would be no limit. */
		{CURLOPT_TIMEOUT_MS,
		 request->timeout_ms > 0 ? request->timeout_ms : 1},
		{CURLOPT_CONNECTTIMEOUT_MS,
		 request->connect_timeout_ms > 0 ? request->connect_timeout_ms
						 : 1},
	};
	CURLcode rc = CURLE_OK;

	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		if (rc == CURLE_OK)
			rc = curl_easy_setopt(t->easy, numbers[i].option,
					      (long)numbers[i].value);
	}
	return rc;
}

static CURLcode put_texts(struct transfer *t,
			  const struct http_request *request)
{
	const struct {
		CURLoption option;
		const char *value; /* null: as it is */
	} texts[] = {
		{CURLOPT_PROTOCOLS_STR, "http,https"},
		{CURLOPT_URL, request->url},
		{CURLOPT_CUSTOMREQUEST, request->method},
		{CURLOPT_NOPROXY, request->direct ? "*" : NULL},
		{CURLOPT_CAINFO, request->ca_file},
	};
	CURLcode rc = CURLE_OK;

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		if (rc == CURLE_OK && texts[i].value != NULL)
			rc = curl_easy_setopt(t->easy, texts[i].option,
					      texts[i].value);
	}
	/* The file stands for the system's store, not beside it. */
	if (rc == CURLE_OK && request->ca_file != NULL)
		rc = curl_easy_setopt(t->easy, CURLOPT_CAPATH, NULL);
	return rc;
}

static CURLcode put_callbacks(struct transfer *t)
{
	CURLcode rc;

	rc = curl_easy_setopt(t->easy, CURLOPT_ERRORBUFFER, t->detail);
	if (rc == CURLE_OK)
		rc = curl_easy_setopt(t->easy, CURLOPT_WRITEDATA, t);
	if (rc == CURLE_OK)
		rc = curl_easy_setopt(t->easy, CURLOPT_WRITEFUNCTION, on_body);
	if (rc == CURLE_OK)
		rc = curl_easy_setopt(t->easy, CURLOPT_OPENSOCKETFUNCTION,
				      on_socket);
	if (rc == CURLE_OK)
		rc = curl_easy_setopt(t->easy, CURLOPT_SSL_CTX_FUNCTION,
				      on_tls);
	return rc;
}

/* What request points to is not copied. */
static CURLcode prepare(struct transfer *t, const struct http_request *request)
{
	CURLcode rc = ready;

	if (rc != CURLE_OK)
		return rc;
	t->easy = curl_easy_init();
	t->multi = curl_multi_init();
	if (t->easy == NULL || t->multi == NULL)
		return CURLE_OUT_OF_MEMORY;
	rc = put_numbers(t, request);
	if (rc == CURLE_OK)
		rc = put_texts(t, request);
	if (rc == CURLE_OK)
		rc = put_callbacks(t);
	if (rc == CURLE_OK)
		rc = put_headers(t, request);
	if (rc == CURLE_OK && request->body != NULL) {
		rc = curl_easy_setopt(t->easy, CURLOPT_POSTFIELDSIZE_LARGE,
				      (curl_off_t)request->body_len);
		if (rc == CURLE_OK)
			rc = curl_easy_setopt(t->easy, CURLOPT_POSTFIELDS,
					      request->body);
	}
	return rc;
}

static CURLcode of_multi(CURLMcode rc)
{
	if (rc == CURLM_OK)
		return CURLE_OK;
	return rc == CURLM_OUT_OF_MEMORY ? CURLE_OUT_OF_MEMORY
					 : CURLE_FAILED_INIT;
}

static CURLcode result(struct transfer *t)
{
	CURLMsg *msg;
	int left;

	while ((msg = curl_multi_info_read(t->multi, &left)) != NULL) {
		if (msg->msg == CURLMSG_DONE)
			return msg->data.result;
	}
	return CURLE_FAILED_INIT;
}

/* CURLE_ABORTED_BY_CALLBACK: the process ends. */
static CURLcode run(struct transfer *t)
{
	CURLMcode rc = curl_multi_add_handle(t->multi, t->easy);
	int n_running = 1;

	while (rc == CURLM_OK && n_running > 0) {
		if (is_stopped())
			return CURLE_ABORTED_BY_CALLBACK;
		rc = curl_multi_perform(t->multi, &n_running);
		if (rc == CURLM_OK && n_running > 0)
			rc = curl_multi_poll(t->multi, NULL, 0, POLL_MS, NULL);
	}
	return rc == CURLM_OK ? result(t) : of_multi(rc);
}

static void finish(struct transfer *t)
{
	if (t->multi != NULL && t->easy != NULL)
		(void)curl_multi_remove_handle(t->multi, t->easy);
	curl_easy_cleanup(t->easy);
	(void)curl_multi_cleanup(t->multi);
	curl_slist_free_all(t->headers);
}

/* The first header of that name, of the last answer; null: none. */
static const char *answered(struct transfer *t, const char *name)
{
	struct curl_header *header;

	if (curl_easy_header(t->easy, name, 0, CURLH_HEADER, -1, &header) !=
	    CURLHE_OK)
		return NULL;
	return header->value;
}

static void copy_header(struct transfer *t, const char *name,
			char out[HTTP_FIELD_SIZE])
{
	const char *value = answered(t, name);

	if (value != NULL)
		utf8_line(out, HTTP_FIELD_SIZE, value, strlen(value));
}

static int64_t delay_of(const char *value)
{
	char *end;
	unsigned long ms;

	if (value == NULL || !isdigit((unsigned char)*value))
		return -1;
	ms = strtoul(value, &end, 10);
	if (*end != '\0')
		return -1;
	return ms < DELAY_MAX_MS ? (int64_t)ms : DELAY_MAX_MS;
}

static void read_headers(struct transfer *t)
{
	struct http_response *out = t->out;
	const char *date = answered(t, "date");
	long status = 0;

	(void)curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status);
	out->status = (unsigned)status;
	/* Whatever was kept by a cache has the date of then. */
	if (date != NULL && answered(t, "age") == NULL) {
		out->date = curl_getdate(date, NULL);
		if (out->date < 0)
			out->date = 0;
	}
	out->retry_after_ms = delay_of(answered(t, "x-amz-retry-after"));
	copy_header(t, "x-amzn-errortype", out->error_type);
	copy_header(t, "x-amzn-requestid", out->request_id);
	if (out->request_id[0] == '\0')
		copy_header(t, "x-amz-request-id", out->request_id);
}

enum http_failure http_perform(struct http_response *out,
			       const struct http_request *request,
			       struct err *err)
{
	auto_http_url struct http_url url = {0};
	struct transfer t = {.out = out};
	enum http_failure failure;
	CURLcode rc;

	*out = (struct http_response){.retry_after_ms = -1};
	(void)pthread_once(&once, start_library);
	if (http_url_parse(&url, request->url, err) < 0)
		return HTTP_FATAL;
	rc = prepare(&t, request);
	if (rc == CURLE_OK) {
		enlist(&t);
		rc = run(&t);
		delist(&t);
	}
	if (t.too_large)
		rc = CURLE_FILESIZE_EXCEEDED;
	else if (t.no_memory)
		rc = CURLE_OUT_OF_MEMORY;
	if (rc == CURLE_OK)
		read_headers(&t);
	else
		secret_finish(&out->body);
	failure = http_explain(t.easy, rc, t.detail, url.host, err);
	finish(&t);
	return failure;
}

void http_response_finish(struct http_response *response)
{
	secret_finish(&response->body);
	*response = (struct http_response){0};
}
