/* SPDX-License-Identifier: MIT */
#include "auth/aws/call.h"

#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "auth/aws/clock.h"
#include "auth/aws/error.h"
#include "auth/aws/http.h"
#include "auth/aws/http_url.h"
#include "auth/aws/sigv4.h"
#include "auth/aws/text.h"
#include "auth/env.h"
#include "common/chance.h"
#include "common/cleanup.h"
#include "common/clock.h"

enum {
	HEADERS_MAX = 5,
	ATTEMPTS = 3, /* in all; AWS_MAX_ATTEMPTS */
	ATTEMPTS_MAX = 10,
	WAIT_MAX_MS = 20000,
	RETRY_AFTER_MAX_MS = 5000, /* beyond the wait that is our own */
	SKEW_MIN_S = 4 * 60,

	/* Retries of the whole process: what they cost, and can cost. */
	QUOTA = 500,
	COST = 5,
	COST_TIMEOUT = 10,
};

unsigned aws_call_limit_ms = AWS_CALL_MS;
unsigned aws_retry_base_ms = 50;
unsigned aws_retry_throttled_ms = 1000;

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static int quota = QUOTA; /* mutex */

struct headers {
	struct secret lines[HEADERS_MAX];
	const char *list[HEADERS_MAX + 1];
	size_t n;
};

/* One aws_call() under way. */
struct progress {
	const struct aws_call *call;
	/* The URL, with a "/" at the end of its path, as AWS's tools have it. */
	char *target;
	struct http_url url; /* the same */
	uint64_t deadline;
	unsigned n_attempts; /* without those that below are the reason of */
	bool fresh_next, fresh_tried;
	bool clock_tried;
	int cost; /* of the last retry */
	/* Of the last attempt. */
	int64_t offset; /* of the clock by which it was signed */
	bool retry;     /* it may succeed later */
	bool retry_now; /* .. at once, signed anew */
	bool timed_out;
	bool throttled;
	int64_t retry_after_ms;
};

static bool quota_take(int cost)
{
	auto_lock(&mutex);
	if (quota < cost)
		return false;
	quota -= cost;
	return true;
}

static void quota_give(int n)
{
	auto_lock(&mutex);
	quota = quota + n < QUOTA ? quota + n : QUOTA;
}

static int put_header(struct headers *h, const char *name, const char *value)
{
	auto_aws_text struct aws_text line = {0};
	int rc;

	aws_text_puts(&line, name);
	aws_text_puts(&line, ": ");
	aws_text_puts(&line, value);
	rc = aws_text_take(&line, &h->lines[h->n]);
	if (rc < 0)
		return rc;
	h->list[h->n] = h->lines[h->n].data;
	h->n++;
	return 0;
}

static void headers_finish(struct headers *h)
{
	for (size_t i = 0; i < HEADERS_MAX; i++)
		secret_finish(&h->lines[i]);
}

/* Adds the headers that sign the call, dated as AWS has the time. */
static int put_signature(struct headers *h, const struct progress *p,
			 const struct aws_keys *keys,
			 const struct sigv4_pair *pairs, size_t n_pairs)
{
	const struct aws_call *call = p->call;
	const struct sigv4_scope scope = {
		.region = call->region,
		.service = aws_service_name(call->service),
		.time = clock_wall_ms() / 1000 + p->offset,
	};
	const struct sigv4_request request = {
		.method = "POST",
		.host = p->url.host,
		.path = p->url.path,
		.query = p->url.query,
		.headers = pairs,
		.n_headers = n_pairs,
		.body = call->body,
		.body_len = call->body_len,
	};
	auto_secret struct secret signature = {0};
	char date[SIGV4_DATE_SIZE];
	int rc;

	sigv4_date(date, scope.time);
	rc = sigv4_authorization(&signature, keys, &scope, &request, NULL);
	if (rc == 0)
		rc = put_header(h, "x-amz-date", date);
	if (rc == 0 && keys->session_token.len > 0)
		rc = put_header(h, "x-amz-security-token",
				keys->session_token.data);
	if (rc == 0)
		rc = put_header(h, "authorization", signature.data);
	return rc;
}

static int put_headers(struct headers *h, const struct progress *p,
		       const struct aws_keys *keys, struct err *err)
{
	const struct aws_call *call = p->call;
	auto_aws_text struct aws_text text = {0};
	auto_secret struct secret target = {0};
	struct sigv4_pair pairs[2] = {
		{"content-type",
		 "application/x-www-form-urlencoded; charset=utf-8"},
	};
	size_t n_pairs = 1;
	int rc = 0;

	if (call->target != NULL) {
		aws_text_puts(&text, call->target);
		aws_text_putc(&text, '.');
		aws_text_puts(&text, call->operation);
		rc = aws_text_take(&text, &target);
		pairs[0].value = "application/x-amz-json-1.1";
		pairs[n_pairs++] =
			(struct sigv4_pair){"x-amz-target", target.data};
	}
	for (size_t i = 0; i < n_pairs && rc == 0; i++)
		rc = put_header(h, pairs[i].name, pairs[i].value);
	if (rc == 0 && keys != NULL)
		rc = put_signature(h, p, keys, pairs, n_pairs);
	return rc == 0 ? 0 : err_set(err, ENOMEM, "out of memory");
}

static int post(struct http_response *response, struct progress *p,
		const struct headers *h, struct aws_error *error,
		struct err *err)
{
	const struct aws_call *call = p->call;
	uint64_t now = clock_mono_ms();
	const struct http_request request = {
		.method = "POST",
		.url = p->target,
		.headers = h->list,
		.body = call->body,
		.body_len = call->body_len,
		.connect_timeout_ms = AWS_CONNECT_MS,
		.timeout_ms =
			now < p->deadline ? (unsigned)(p->deadline - now) : 0,
		.direct = p->url.loopback,
		.ca_file = call->ca_file,
	};
	struct err why = {0};
	enum http_failure failure = http_perform(response, &request, &why);

	if (failure == HTTP_OK) {
		(void)aws_clock_learn(response->date);
		p->retry_after_ms = response->retry_after_ms;
		return 0;
	}
	p->retry = failure == HTTP_TRANSIENT;
	error->transient = p->retry;
	p->timed_out = why.code == ETIMEDOUT;
	if (p->n_attempts > 1)
		return err_set(err, why.code, "%s: %s (tried %u times)",
			       call->operation, why.msg, p->n_attempts);
	return err_set(err, why.code, "%s: %s", call->operation, why.msg);
}

/* What the refusal is, and whether and how to go on. */
static int refused(struct progress *p, const struct http_response *response,
		   const struct aws_keys *keys, struct aws_error *error,
		   struct err *err)
{
	const struct aws_sent sent = {
		.secret_key = keys->secret_key.data,
		.session_token = keys->session_token.data,
		.other = p->call->secret,
	};
	struct aws_refusal refusal;

	aws_refusal_parse(&refusal, response, &sent);
	*error = refusal.error;
	p->retry = refusal.error.transient;
	p->throttled = refusal.error.throttled;
	/* Whoever else learnt of the clock meanwhile: this one is too old. */
	if (refusal.by_clock && !p->clock_tried &&
	    llabs(aws_clock_offset() - p->offset) >= SKEW_MIN_S) {
		p->clock_tried = true;
		p->retry_now = true;
	} else if (refusal.stale_keys && p->call->signer != NULL &&
		   !p->fresh_tried) {
		p->fresh_tried = true;
		p->fresh_next = true;
		p->retry_now = true;
	}
	return aws_refusal_explain(&refusal, p->call, p->n_attempts, err);
}

/* The time that is spent on keys is not the call's. */
static int get_keys(struct aws_keys *keys, struct progress *p, struct err *err)
{
	const struct aws_signer *signer = p->call->signer;
	uint64_t before = clock_mono_ms();
	int rc = signer->keys(signer->arg, p->fresh_next, keys, err);

	p->fresh_next = false;
	p->deadline += clock_mono_ms() - before;
	return rc;
}

static int attempt(struct secret *out, struct progress *p,
		   struct aws_error *error, struct err *err)
{
	bool is_signed = p->call->signer != NULL;
	struct http_response response = {0};
	auto_aws_keys struct aws_keys keys = {0};
	struct headers h = {0};
	int rc = 0;

	p->retry = p->retry_now = p->timed_out = p->throttled = false;
	p->retry_after_ms = -1;
	*error = (struct aws_error){0};
	if (is_signed)
		rc = get_keys(&keys, p, err);
	p->offset = aws_clock_offset();
	if (rc == 0)
		rc = put_headers(&h, p, is_signed ? &keys : NULL, err);
	if (rc == 0)
		rc = post(&response, p, &h, error, err);
	headers_finish(&h);
	if (rc == 0 && response.status >= 200 && response.status < 300) {
		*out = response.body;
		response.body = (struct secret){0};
	} else if (rc == 0) {
		rc = refused(p, &response, &keys, error, err);
	}
	http_response_finish(&response);
	return rc;
}

static unsigned max_attempts(void)
{
	auto_free char *text = auth_env("AWS_MAX_ATTEMPTS");
	char *end;
	long n;

	if (text == NULL)
		return ATTEMPTS;
	n = strtol(text, &end, 10);
	if (end == text || *end != '\0' || n < 1)
		return ATTEMPTS;
	return n < ATTEMPTS_MAX ? (unsigned)n : ATTEMPTS_MAX;
}

/* Before the next attempt, n of which were made. */
static unsigned wait_ms(const struct progress *p)
{
	uint64_t ceiling = (uint64_t)(p->throttled ? aws_retry_throttled_ms
						   : aws_retry_base_ms)
			   << (p->n_attempts - 1);
	uint64_t wait;

	if (ceiling > WAIT_MAX_MS)
		ceiling = WAIT_MAX_MS;
	wait = chance_up_to((uint32_t)ceiling);
	if (p->retry_after_ms > (int64_t)wait) {
		uint64_t asked = (uint64_t)p->retry_after_ms;

		wait = asked < wait + RETRY_AFTER_MAX_MS
			       ? asked
			       : wait + RETRY_AFTER_MAX_MS;
	}
	return (unsigned)wait;
}

/* Waits until the next attempt; false: there is none. */
static bool again(struct progress *p)
{
	int cost = p->timed_out ? COST_TIMEOUT : COST;
	unsigned wait;

	if (p->retry_now)
		return true;
	if (!p->retry || p->n_attempts >= max_attempts())
		return false;
	wait = wait_ms(p);
	if (clock_mono_ms() + wait >= p->deadline || !quota_take(cost))
		return false;
	p->cost = cost;
	p->n_attempts++;
	/* After http_stop() the next attempt says so. */
	(void)http_sleep(wait);
	return true;
}

int aws_call(struct secret *out, const struct aws_call *call,
	     struct aws_error *error, struct err *err)
{
	struct progress p = {
		.call = call,
		.deadline = clock_mono_ms() + aws_call_limit_ms,
		.n_attempts = 1,
	};
	struct aws_error ignored;
	struct err why = {0};
	int rc;

	secret_finish(out);
	if (error == NULL)
		error = &ignored;
	*error = (struct aws_error){0};
	if (asprintf(&p.target, "%s/", call->url) < 0)
		return err_set(err, ENOMEM, "%s: out of memory",
			       call->operation);
	rc = http_url_parse(&p.url, p.target, &why);
	if (rc < 0) {
		free(p.target);
		return err_set(err, -rc, "%s: %s", call->operation, why.msg);
	}
	do {
		rc = attempt(out, &p, error, &why);
	} while (rc < 0 && again(&p));
	http_url_finish(&p.url);
	free(p.target);
	if (rc == 0)
		quota_give(p.cost > 0 ? p.cost : 1);
	else if (err != NULL)
		*err = why;
	return rc;
}
