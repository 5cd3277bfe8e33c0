/* SPDX-License-Identifier: MIT */
#include "auth/aws/sso_token.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openssl/evp.h>

#include "auth/aws/clock.h"
#include "auth/aws/exchange.h"
#include "auth/aws/files.h"
#include "auth/aws/json.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "common/log.h"

enum {
	SHA1_SIZE = 20,
	HEX_SIZE = 2 * SHA1_SIZE,
	CACHE_MAX = 256 * 1024, /* bytes */
	RENEW_S = 900,          /* seconds before expiry */
	CONNECT_MS = 3000,
	TOTAL_MS = 8000,
	NUMBER_SIZE = 24,
	TRY_AGAIN_MS = 60000,
};

/*
 * A refresh token is good for one use: held while one is used, and until the
 * next is on the disk.
 */
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static uint64_t no_renewal_before; /* mutex; monotonic, ms */

/* What a file of the cache holds. */
struct cached {
	struct secret access_token;
	struct secret refresh_token;
	struct secret client_id;
	struct secret client_secret;
	struct secret start_url;
	struct secret region;
	struct secret registration_expires;
	int64_t expires_at;
	int64_t registration_expires_at;
};

static void cached_finish(struct cached *c)
{
	secret_finish(&c->access_token);
	secret_finish(&c->refresh_token);
	secret_finish(&c->client_id);
	secret_finish(&c->client_secret);
	secret_finish(&c->start_url);
	secret_finish(&c->region);
	secret_finish(&c->registration_expires);
}

#define auto_cached __attribute__((cleanup(cached_finish)))

void aws_sso_hint(char out[AWS_SSO_HINT_SIZE], const struct aws_sso *sso)
{
	if (sso->session != NULL)
		(void)snprintf(out, AWS_SSO_HINT_SIZE,
			       "run: aws sso login --sso-session %s",
			       sso->session);
	else
		(void)snprintf(out, AWS_SSO_HINT_SIZE,
			       "run: aws sso login --profile %s", sso->profile);
}

/* ~/.aws/sso/cache/<SHA-1 of the session's name, or of the URL>.json */
static int cache_path(char **out, const struct aws_sso *sso, struct err *err)
{
	const char *name = sso->session != NULL ? sso->session : sso->start_url;
	char path[sizeof("~/.aws/sso/cache/.json") + HEX_SIZE];
	unsigned char digest[SHA1_SIZE];
	char hex[HEX_SIZE + 1];

	*out = NULL;
	if (EVP_Digest(name, strlen(name), digest, NULL, EVP_sha1(), NULL) != 1)
		return err_set(err, EIO, "SHA-1 cannot be computed");
	for (size_t i = 0; i < SHA1_SIZE; i++)
		(void)snprintf(hex + i * 2, 3, "%02x", digest[i]);
	(void)snprintf(path, sizeof(path), "~/.aws/sso/cache/%s.json", hex);
	if (aws_file_path(out, path) < 0)
		return err_set(err, ENOMEM, "out of memory");
	return 0;
}

static int parse(struct cached *out, const struct secret *text,
		 const char *path, struct err *err)
{
	auto_aws_json struct aws_json *json = NULL;
	int rc = aws_json_parse(&json, text->data, text->len, path, err);
	const struct {
		const char *name;
		struct secret *out;
	} members[] = {
		{"accessToken", &out->access_token},
		{"refreshToken", &out->refresh_token},
		{"clientId", &out->client_id},
		{"clientSecret", &out->client_secret},
		{"startUrl", &out->start_url},
		{"region", &out->region},
		{"registrationExpiresAt", &out->registration_expires},
	};

	if (rc < 0)
		return rc;
	for (size_t i = 0; i < sizeof(members) / sizeof(*members); i++) {
		if (aws_json_get(json, members[i].name, members[i].out) ==
		    -ENOMEM)
			return err_set(err, ENOMEM, "out of memory");
	}
	out->expires_at = aws_json_time(json, "expiresAt");
	out->registration_expires_at =
		aws_json_time(json, "registrationExpiresAt");
	if (out->access_token.len == 0 || out->expires_at == 0)
		return err_set(err, EINVAL,
			       "%s has no accessToken and expiresAt", path);
	return 0;
}

static int load(struct cached *out, const struct aws_sso *sso, const char *path,
		struct err *err)
{
	auto_secret struct secret text = {0};
	char hint[AWS_SSO_HINT_SIZE];
	int rc = aws_file_read(&text, path, CACHE_MAX, NULL, err);

	aws_sso_hint(hint, sso);
	if (rc == -ENOENT || rc == -ENOTDIR)
		return err_set(err, ENOENT,
			       "nobody is logged in to SSO (%s): %s", path,
			       hint);
	return rc < 0 ? rc : parse(out, &text, path, err);
}

static void iso_time(char out[CLOCK_TEXT_SIZE], int64_t seconds)
{
	time_t t = (time_t)seconds;
	struct tm tm;

	out[0] = '\0';
	if (gmtime_r(&t, &tm) != NULL)
		(void)strftime(out, CLOCK_TEXT_SIZE, "%Y-%m-%dT%H:%M:%SZ", &tm);
}

/* For other tools, and for the next time: the refresh token has changed. */
static void save(const struct cached *c, const char *path)
{
	char expires_at[CLOCK_TEXT_SIZE];
	const struct aws_json_pair pairs[] = {
		{"startUrl", c->start_url.data},
		{"region", c->region.data},
		{"accessToken", c->access_token.data},
		{"expiresAt", expires_at},
		{"clientId", c->client_id.data},
		{"clientSecret", c->client_secret.data},
		{"registrationExpiresAt", c->registration_expires.data},
		{"refreshToken", c->refresh_token.data},
	};
	auto_secret struct secret text = {0};
	struct err why = {.msg = "out of memory"};

	iso_time(expires_at, c->expires_at);
	if (aws_json_object(&text, pairs, sizeof(pairs) / sizeof(*pairs)) < 0 ||
	    aws_file_replace(path, &text, &why) < 0)
		log_warn("the renewed token of SSO cannot be written: %s",
			 why.msg);
}

/* The answer of OIDC into c, which is not changed by a bad one. */
static int take_answer(struct cached *c, const struct http_response *response,
		       struct err *err)
{
	auto_secret struct secret access = {0};
	auto_secret struct secret refresh = {0};
	auto_secret struct secret seconds = {0};
	auto_aws_json struct aws_json *json = NULL;
	int64_t life;
	int rc;

	if (response->status != 200)
		return err_set(err, EACCES,
			       "SSO does not renew the token (status %u)",
			       response->status);
	rc = aws_json_parse(&json, response->body.data, response->body.len,
			    "the answer of SSO", err);
	if (rc < 0)
		return rc;
	if (aws_json_get(json, "accessToken", &access) != 1 ||
	    aws_json_get(json, "expiresIn", &seconds) != 1 ||
	    aws_json_get(json, "refreshToken", &refresh) < 0)
		return err_set(err, EINVAL, "the answer of SSO has no token");
	life = strtoll(seconds.data, NULL, 10);
	if (life <= 0 || life > INT32_MAX)
		return err_set(err, EINVAL,
			       "the answer of SSO has a bad expiresIn");
	c->expires_at = aws_now() + life;
	secret_finish(&c->access_token);
	c->access_token = access;
	access = (struct secret){0};
	if (refresh.len > 0) {
		secret_finish(&c->refresh_token);
		c->refresh_token = refresh;
		refresh = (struct secret){0};
	}
	return 0;
}

static int post(struct http_response *response, const char *endpoint,
		const struct secret *body, const char *ca_file, struct err *err)
{
	static const char *const headers[] = {"Content-Type: application/json",
					      NULL};
	struct http_request request = {
		.method = "POST",
		.headers = headers,
		.body = body->data,
		.body_len = body->len,
		.connect_timeout_ms = CONNECT_MS,
		.timeout_ms = TOTAL_MS,
		.ca_file = ca_file,
	};
	auto_free char *url = NULL;

	if (asprintf(&url, "%s/token", endpoint) < 0) {
		url = NULL;
		return err_set(err, ENOMEM, "out of memory");
	}
	request.url = url;
	/* Whether the first attempt used up the refresh token is not known. */
	return aws_exchange(response, &request, 1, err);
}

static int renew(struct cached *c, const struct aws_sso *sso,
		 const struct aws_settings *settings, struct err *err)
{
	const struct aws_json_pair pairs[] = {
		{"grantType", "refresh_token"},
		{"clientId", c->client_id.data},
		{"clientSecret", c->client_secret.data},
		{"refreshToken", c->refresh_token.data},
	};
	struct http_response response = {0};
	auto_secret struct secret body = {0};
	auto_free char *endpoint = NULL;
	auto_free char *ca_file = NULL;
	int rc = aws_settings_endpoint(settings, AWS_SERVICE_SSO_OIDC,
				       sso->region, &endpoint, err);

	if (rc < 0)
		return rc;
	if (aws_json_object(&body, pairs, sizeof(pairs) / sizeof(*pairs)) < 0)
		return err_set(err, ENOMEM, "out of memory");
	ca_file = aws_settings_ca_file(settings);
	rc = post(&response, endpoint, &body, ca_file, err);
	if (rc == 0)
		rc = take_answer(c, &response, err);
	http_response_finish(&response);
	return rc;
}

static bool is_renewable(const struct cached *c, const struct aws_sso *sso)
{
	return sso->session != NULL && c->refresh_token.len > 0 &&
	       c->client_id.len > 0 && c->client_secret.len > 0 &&
	       (c->registration_expires_at == 0 ||
		c->registration_expires_at > aws_now());
}

int aws_sso_token(struct secret *out, const struct aws_sso *sso,
		  const struct aws_settings *settings, struct err *err)
{
	auto_cached struct cached c = {0};
	auto_free char *path = NULL;
	char hint[AWS_SSO_HINT_SIZE];
	struct err why = {0};
	int rc;

	aws_sso_hint(hint, sso);
	rc = cache_path(&path, sso, err);
	if (rc < 0)
		return rc;
	auto_lock(&mutex);
	rc = load(&c, sso, path, err);
	if (rc < 0)
		return rc;
	if (c.expires_at - aws_now() < RENEW_S && is_renewable(&c, sso) &&
	    clock_mono_ms() >= no_renewal_before) {
		rc = renew(&c, sso, settings, &why);
		no_renewal_before = rc < 0 ? clock_mono_ms() + TRY_AGAIN_MS : 0;
		if (rc == 0)
			save(&c, path);
	}
	if (c.expires_at <= aws_now())
		return err_set(err, EKEYEXPIRED,
			       "the login to SSO has expired%s%s: %s",
			       why.code != 0 ? ": " : "", why.msg, hint);
	if (secret_set(out, c.access_token.data, c.access_token.len) < 0)
		return err_set(err, ENOMEM, "out of memory");
	return 0;
}
