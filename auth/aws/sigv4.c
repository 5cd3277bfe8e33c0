/* SPDX-License-Identifier: MIT */
#include "auth/aws/sigv4.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "auth/aws/canonical.h"
#include "auth/aws/text.h"
#include "common/cleanup.h"

enum {
	DIGEST_SIZE = 32,
	HEX_SIZE = 2 * DIGEST_SIZE + 1,
	DAY_LEN = 8, /* of a date */
	OWN_HEADERS = 3,
};

static const char algorithm[] = "AWS4-HMAC-SHA256";
static const char last_part[] = "aws4_request"; /* of a scope */

void sigv4_date(char out[SIGV4_DATE_SIZE], int64_t time)
{
	const int64_t year_9999 = 253402300799;
	time_t when = time < 0 ? 0 : time > year_9999 ? year_9999 : time;
	struct tm tm = {0};

	(void)gmtime_r(&when, &tm);
	(void)strftime(out, SIGV4_DATE_SIZE, "%Y%m%dT%H%M%SZ", &tm);
}

static void to_hex(char out[HEX_SIZE], const unsigned char digest[DIGEST_SIZE])
{
	static const char hex[] = "0123456789abcdef";

	for (size_t i = 0; i < DIGEST_SIZE; i++) {
		out[2 * i] = hex[digest[i] >> 4];
		out[2 * i + 1] = hex[digest[i] & 15];
	}
	out[HEX_SIZE - 1] = '\0';
}

static int hash(char out[HEX_SIZE], const char *data, size_t len)
{
	unsigned char digest[DIGEST_SIZE];

	if (EVP_Digest(data, len, digest, NULL, EVP_sha256(), NULL) != 1)
		return -ENOMEM;
	to_hex(out, digest);
	return 0;
}

/* out may be key. */
static int hmac(unsigned char out[DIGEST_SIZE], const void *key, size_t key_len,
		const char *data, size_t len)
{
	size_t got;

	if (EVP_Q_mac(NULL, "HMAC", NULL, "SHA256", NULL, key, key_len,
		      (const unsigned char *)data, len, out, DIGEST_SIZE,
		      &got) == NULL)
		return -ENOMEM;
	return 0;
}

static void put_secret(struct aws_text *text, const struct secret *s)
{
	aws_text_put(text, s->data, s->len);
}

/* The key that signs within the scope. */
static int derive(unsigned char out[DIGEST_SIZE], const struct aws_keys *keys,
		  const struct sigv4_scope *scope, const char *date)
{
	const struct {
		const char *data;
		size_t len;
	} parts[] = {
		{date, DAY_LEN},
		{scope->region, strlen(scope->region)},
		{scope->service, strlen(scope->service)},
		{last_part, strlen(last_part)},
	};
	auto_aws_text struct aws_text first = {0};
	const void *key;
	size_t len;

	aws_text_puts(&first, "AWS4");
	put_secret(&first, &keys->secret_key);
	if (first.failed)
		return -ENOMEM;
	key = first.secret.data;
	len = first.secret.len;
	for (size_t i = 0; i < sizeof(parts) / sizeof(*parts); i++) {
		if (hmac(out, key, len, parts[i].data, parts[i].len) < 0)
			return -ENOMEM;
		key = out;
		len = DIGEST_SIZE;
	}
	return 0;
}

static void put_scope(struct aws_text *text, const struct sigv4_scope *scope,
		      const char *date)
{
	aws_text_put(text, date, DAY_LEN);
	aws_text_putc(text, '/');
	aws_text_puts(text, scope->region);
	aws_text_putc(text, '/');
	aws_text_puts(text, scope->service);
	aws_text_putc(text, '/');
	aws_text_puts(text, last_part);
}

/* The hash of the canonical request, whose headers are all there, sorted. */
static int hash_request(char out[HEX_SIZE], const struct sigv4_request *request)
{
	auto_aws_text struct aws_text text = {0};

	if (hash(out, request->body, request->body_len) < 0)
		return -ENOMEM;
	aws_text_puts(&text, request->method);
	aws_text_putc(&text, '\n');
	canonical_path(&text, request->path);
	aws_text_putc(&text, '\n');
	canonical_query(&text, request->query);
	aws_text_putc(&text, '\n');
	canonical_headers(&text, request->headers, request->n_headers);
	aws_text_putc(&text, '\n');
	canonical_names(&text, request->headers, request->n_headers);
	aws_text_putc(&text, '\n');
	aws_text_puts(&text, out);
	if (text.failed)
		return -ENOMEM;
	return hash(out, text.secret.data, text.secret.len);
}

static int sign(char out[HEX_SIZE], const struct aws_keys *keys,
		const struct sigv4_scope *scope, const char *date,
		const struct sigv4_request *request)
{
	auto_aws_text struct aws_text text = {0};
	unsigned char key[DIGEST_SIZE];
	int rc = hash_request(out, request);

	if (rc < 0)
		return rc;
	aws_text_puts(&text, algorithm);
	aws_text_putc(&text, '\n');
	aws_text_puts(&text, date);
	aws_text_putc(&text, '\n');
	put_scope(&text, scope, date);
	aws_text_putc(&text, '\n');
	aws_text_puts(&text, out);
	if (text.failed)
		return -ENOMEM;
	rc = derive(key, keys, scope, date);
	if (rc == 0)
		rc = hmac(key, key, sizeof(key), text.secret.data,
			  text.secret.len);
	if (rc == 0)
		to_hex(out, key);
	secret_wipe(key, sizeof(key));
	return rc;
}

static int no_memory(struct err *err)
{
	return err_sys(err, ENOMEM, "cannot sign a request");
}

/* Sorted into out, which has room. Returns how many. */
static size_t all_headers(struct sigv4_pair *out,
			  const struct sigv4_request *request,
			  const struct aws_keys *keys, const char *date)
{
	size_t n = request->n_headers;

	if (n > 0)
		memcpy(out, request->headers, n * sizeof(*out));
	out[n++] = (struct sigv4_pair){"host", request->host};
	out[n++] = (struct sigv4_pair){"x-amz-date", date};
	if (keys->session_token.len > 0)
		out[n++] = (struct sigv4_pair){"x-amz-security-token",
					       keys->session_token.data};
	canonical_sort(out, n);
	return n;
}

int sigv4_authorization(struct secret *out, const struct aws_keys *keys,
			const struct sigv4_scope *scope,
			const struct sigv4_request *request, struct err *err)
{
	auto_free struct sigv4_pair *headers =
		calloc(request->n_headers + OWN_HEADERS, sizeof(*headers));
	auto_aws_text struct aws_text text = {0};
	char date[SIGV4_DATE_SIZE], signature[HEX_SIZE];
	struct sigv4_request whole = *request;

	if (headers == NULL)
		return no_memory(err);
	sigv4_date(date, scope->time);
	whole.headers = headers;
	whole.n_headers = all_headers(headers, request, keys, date);
	if (sign(signature, keys, scope, date, &whole) < 0)
		return no_memory(err);
	aws_text_puts(&text, algorithm);
	aws_text_puts(&text, " Credential=");
	put_secret(&text, &keys->access_key);
	aws_text_putc(&text, '/');
	put_scope(&text, scope, date);
	aws_text_puts(&text, ", SignedHeaders=");
	canonical_names(&text, headers, whole.n_headers);
	aws_text_puts(&text, ", Signature=");
	aws_text_puts(&text, signature);
	secret_wipe(signature, sizeof(signature));
	return aws_text_take(&text, out) < 0 ? no_memory(err) : 0;
}

/* All but the signature, in the order in which AWS's own tools print it. */
static int presigned_query(struct secret *out, const struct aws_keys *keys,
			   const struct sigv4_scope *scope, const char *date,
			   const struct sigv4_presign *presign)
{
	auto_aws_text struct aws_text query = {0}, credential = {0};
	char expires[16];

	(void)snprintf(expires, sizeof(expires), "%u", presign->expires);
	put_secret(&credential, &keys->access_key);
	aws_text_putc(&credential, '/');
	put_scope(&credential, scope, date);
	if (credential.failed)
		return -ENOMEM;
	for (size_t i = 0; i < presign->n_params; i++)
		aws_text_param(&query, presign->params[i].name,
			       presign->params[i].value);
	aws_text_param(&query, "X-Amz-Algorithm", algorithm);
	aws_text_param(&query, "X-Amz-Credential", credential.secret.data);
	aws_text_param(&query, "X-Amz-Date", date);
	aws_text_param(&query, "X-Amz-Expires", expires);
	aws_text_param(&query, "X-Amz-SignedHeaders", "host");
	aws_text_param(&query, "X-Amz-Security-Token",
		       keys->session_token.data);
	return aws_text_take(&query, out);
}

int sigv4_presign(struct secret *out, const struct aws_keys *keys,
		  const struct sigv4_scope *scope,
		  const struct sigv4_presign *presign, struct err *err)
{
	const struct sigv4_pair host = {"host", presign->host};
	auto_aws_text struct aws_text text = {0};
	auto_secret struct secret query = {0};
	char date[SIGV4_DATE_SIZE], signature[HEX_SIZE];
	struct sigv4_request request = {
		.method = "GET",
		.path = "/",
		.headers = &host,
		.n_headers = 1,
	};

	sigv4_date(date, scope->time);
	if (presigned_query(&query, keys, scope, date, presign) < 0)
		return no_memory(err);
	request.query = query.data;
	if (sign(signature, keys, scope, date, &request) < 0)
		return no_memory(err);
	aws_text_puts(&text, presign->host);
	aws_text_puts(&text, "/?");
	put_secret(&text, &query);
	aws_text_puts(&text, "&X-Amz-Signature=");
	aws_text_puts(&text, signature);
	secret_wipe(signature, sizeof(signature));
	return aws_text_take(&text, out) < 0 ? no_memory(err) : 0;
}
