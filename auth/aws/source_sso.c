/* SPDX-License-Identifier: MIT */
/* A role of IAM Identity Center, for who has logged in there. */
#include "auth/aws/source.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "auth/aws/exchange.h"
#include "auth/aws/sso_token.h"
#include "auth/aws/text.h"
#include "common/cleanup.h"

enum { CONNECT_MS = 3000, TOTAL_MS = 5000, ATTEMPTS = 2 };

struct sso_source {
	struct aws_source base;
	const struct aws_settings *settings;
	struct aws_sso sso; /* its strings live as long as the settings */
	char *profile;
};

static int find_url(const struct sso_source *s, struct secret *out,
		    struct err *err)
{
	auto_aws_text struct aws_text url = {0};
	auto_free char *endpoint = NULL;
	int rc = aws_settings_endpoint(s->settings, AWS_SERVICE_SSO,
				       s->sso.region, &endpoint, err);

	if (rc < 0)
		return rc;
	aws_text_puts(&url, endpoint);
	aws_text_puts(&url, "/federation/credentials?account_id=");
	aws_text_encode(&url, s->sso.account_id, strlen(s->sso.account_id));
	aws_text_puts(&url, "&role_name=");
	aws_text_encode(&url, s->sso.role_name, strlen(s->sso.role_name));
	if (aws_text_take(&url, out) < 0)
		return err_set(err, ENOMEM, "out of memory");
	return 0;
}

/* Its times are milliseconds. */
static int read_keys(struct aws_keys *out, const struct secret *body,
		     struct err *err)
{
	static const struct aws_key_names names = {
		.access_key = "roleCredentials.accessKeyId",
		.secret_key = "roleCredentials.secretAccessKey",
		.session_token = "roleCredentials.sessionToken",
	};
	auto_aws_json struct aws_json *json = NULL;
	auto_secret struct secret expiration = {0};
	int rc = aws_json_parse(&json, body->data, body->len,
				"the answer of SSO", err);

	if (rc == 0)
		rc = aws_keys_from_json(out, json, &names, err);
	if (rc < 0)
		return rc;
	if (aws_json_get(json, "roleCredentials.expiration", &expiration) == 1)
		out->expires_at = strtoll(expiration.data, NULL, 10) / 1000;
	if (out->expires_at > 0)
		return 0;
	return err_set(err, EINVAL, "the answer of SSO has no expiration");
}

static int judge(const struct sso_source *s, unsigned status, struct err *err)
{
	char hint[AWS_SSO_HINT_SIZE];

	aws_sso_hint(hint, &s->sso);
	if (status == 401)
		return err_set(err, EACCES, "SSO refuses the login: %s", hint);
	if (status == 403 || status == 404)
		return err_set(err, EACCES,
			       "SSO gives no access to role %s of account %s "
			       "(sso_role_name, sso_account_id)",
			       s->sso.role_name, s->sso.account_id);
	return err_set(err, status == 429 ? EAGAIN : EIO, "SSO answered %u",
		       status);
}

static int sso_fetch(struct aws_source *source, struct aws_keys *out,
		     struct err *err)
{
	const struct sso_source *s = (const struct sso_source *)source;
	auto_secret struct secret token = {0}, url = {0};
	auto_aws_text struct aws_text header = {0};
	auto_free char *ca_file = NULL;
	const char *headers[] = {NULL, NULL};
	struct http_response response = {0};
	struct http_request request = {
		.method = "GET",
		.headers = headers,
		.connect_timeout_ms = CONNECT_MS,
		.timeout_ms = TOTAL_MS,
	};
	int rc = aws_sso_token(&token, &s->sso, s->settings, err);

	if (rc == 0)
		rc = find_url(s, &url, err);
	if (rc < 0)
		return rc;
	aws_text_puts(&header, "x-amz-sso_bearer_token: ");
	aws_text_put(&header, token.data, token.len);
	if (header.failed)
		return err_set(err, ENOMEM, "out of memory");
	ca_file = aws_settings_ca_file(s->settings);
	headers[0] = header.secret.data;
	request.url = url.data;
	request.ca_file = ca_file;
	rc = aws_exchange(&response, &request, ATTEMPTS, err);
	if (rc == 0)
		rc = response.status == 200
			     ? read_keys(out, &response.body, err)
			     : judge(s, response.status, err);
	http_response_finish(&response);
	return rc;
}

static void sso_destroy(struct aws_source *source)
{
	struct sso_source *s = (struct sso_source *)source;

	free(s->profile);
	free(s);
}

static const struct aws_source_ops sso_ops = {
	.fetch = sso_fetch,
	.destroy = sso_destroy,
};

static int check(const struct aws_sso *sso, struct err *err)
{
	const struct {
		const char *key;
		const char *value;
	} needed[] = {
		{"sso_start_url", sso->start_url},
		{"sso_region", sso->region},
		{"sso_account_id", sso->account_id},
		{"sso_role_name", sso->role_name},
	};

	for (size_t i = 0; i < sizeof(needed) / sizeof(*needed); i++) {
		if (needed[i].value == NULL)
			return err_set(err, EINVAL, "%s is not set",
				       needed[i].key);
	}
	if (!aws_region_is_valid(sso->region))
		return err_set(err, EINVAL,
			       "sso_region: not the name of a region of AWS");
	return 0;
}

int aws_sso_source_create(struct aws_source **out, const struct aws_sso *config,
			  const struct aws_settings *settings, struct err *err)
{
	struct sso_source *s;
	int rc = check(config, err);

	*out = NULL;
	if (rc < 0)
		return rc;
	s = calloc(1, sizeof(*s));
	if (s == NULL)
		return err_set(err, ENOMEM, "out of memory");
	s->base.ops = &sso_ops;
	s->settings = settings;
	s->sso = *config;
	s->profile = strdup(config->profile);
	if (s->profile == NULL) {
		sso_destroy(&s->base);
		return err_set(err, ENOMEM, "out of memory");
	}
	s->sso.profile = s->profile;
	*out = &s->base;
	return 0;
}
