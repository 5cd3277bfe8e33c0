/* SPDX-License-Identifier: MIT */
#include "auth/aws/sts.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "auth/aws/json.h"
#include "auth/aws/text.h"
#include "auth/aws/xml.h"
#include "common/cleanup.h"

enum {
	DURATION_S =
		3600, /* what every role allows, and chained ones at most */
	NAME_MIN = 2,
	NUMBER_SIZE = 24,
};

/* A call of STS, while it is made. */
struct operation {
	const char *name;
	const struct aws_role *role;
	const struct aws_signer *signer; /* null: it is not signed */
	const struct aws_settings *settings;
	struct aws_text body;
	const char *secret; /* in the body; null: none */
};

static bool is_word(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	       (c >= '0' && c <= '9') || c == '_';
}

/* What STS takes, in place of each run of other characters a ".". */
static size_t clean(char *out, size_t size, const char *text)
{
	size_t n = 0;

	while (*text != '\0' && !is_word(*text))
		text++;
	for (; *text != '\0' && n + 1 < size; text++) {
		if (is_word(*text) || strchr("+=,.@-", *text) != NULL)
			out[n++] = *text;
		else if (out[n - 1] != '.')
			out[n++] = '.';
	}
	while (n > 0 && !is_word(out[n - 1]))
		n--;
	out[n] = '\0';
	return n;
}

void aws_session_name(char out[AWS_SESSION_NAME_SIZE], const char *wanted)
{
	char host[HOST_NAME_MAX + 1] = "";
	char text[sizeof("connfs-") + sizeof(host)];

	if (wanted != NULL &&
	    clean(out, AWS_SESSION_NAME_SIZE, wanted) >= NAME_MIN)
		return;
	if (wanted == NULL && gethostname(host, sizeof(host) - 1) == 0)
		wanted = host;
	(void)snprintf(text, sizeof(text), "connfs-%s",
		       wanted != NULL ? wanted : "");
	(void)clean(out, AWS_SESSION_NAME_SIZE, text);
}

static void put_role(struct operation *op)
{
	const struct aws_role *role = op->role;
	char session[AWS_SESSION_NAME_SIZE], duration[NUMBER_SIZE];

	aws_session_name(session, role->session_name);
	(void)snprintf(duration, sizeof(duration), "%u",
		       role->duration_s > 0 ? role->duration_s : DURATION_S);
	aws_text_param(&op->body, "Action", op->name);
	aws_text_param(&op->body, "Version", "2011-06-15");
	aws_text_param(&op->body, "RoleArn", role->arn);
	aws_text_param(&op->body, "RoleSessionName", session);
	aws_text_param(&op->body, "DurationSeconds", duration);
}

static void put_tags(struct aws_text *body, const struct aws_role *role)
{
	for (size_t i = 0; i < role->n_tags; i++) {
		char name[sizeof("Tags.member..Value") + NUMBER_SIZE];

		(void)snprintf(name, sizeof(name), "Tags.member.%zu.Key",
			       i + 1);
		aws_text_param(body, name, role->tags[i].key);
		(void)snprintf(name, sizeof(name), "Tags.member.%zu.Value",
			       i + 1);
		aws_text_param(body, name, role->tags[i].value);
	}
}

static int read_answer(struct aws_keys *out, const struct secret *answer,
		       struct err *err)
{
	auto_secret struct secret expiration = {0};
	const struct aws_xml_field fields[] = {
		{"AccessKeyId", &out->access_key},
		{"SecretAccessKey", &out->secret_key},
		{"SessionToken", &out->session_token},
		{"Expiration", &expiration},
	};
	int rc;

	aws_keys_finish(out);
	rc = aws_xml_get(answer->data, answer->len, fields,
			 sizeof(fields) / sizeof(*fields), err);
	if (rc == 0 && expiration.len > 0)
		out->expires_at = aws_time_parse(expiration.data);
	if (rc == 0 && (out->access_key.len == 0 || out->secret_key.len == 0 ||
			out->session_token.len == 0 || out->expires_at == 0))
		rc = err_set(err, EIO, "the answer of STS lacks keys");
	if (rc < 0)
		aws_keys_finish(out);
	return rc;
}

/* What AWS's own text leaves open. */
static void explain(struct err *err)
{
	char text[ERR_MSG_SIZE];

	if (strstr(err->msg, "DurationSeconds") == NULL)
		return;
	(void)snprintf(text, sizeof(text), "%s", err->msg);
	(void)err_set(err, err->code,
		      "%s (duration_seconds: the role allows its own maximum, "
		      "a role assumed by a role 3600)",
		      text);
}

static int call(struct aws_keys *out, struct operation *op, struct err *err)
{
	auto_secret struct secret answer = {0};
	auto_free char *url = NULL;
	auto_free char *ca_file = NULL;
	char region[AWS_REGION_SIZE];
	struct aws_call c = {
		.service = AWS_SERVICE_STS,
		.region = region,
		.operation = op->name,
		.signer = op->signer,
	};
	struct err why = {0};
	int rc = aws_settings_region(op->settings, op->role->region, region,
				     err);

	if (rc == 0)
		rc = aws_settings_endpoint(op->settings, AWS_SERVICE_STS,
					   region, &url, err);
	if (rc < 0)
		return rc;
	if (op->body.failed)
		return err_set(err, ENOMEM, "%s: out of memory", op->name);
	ca_file = aws_settings_ca_file(op->settings);
	c.url = url;
	c.body = op->body.secret.data;
	c.body_len = op->body.secret.len;
	c.secret = op->secret;
	c.ca_file = ca_file;
	rc = aws_call(&answer, &c, NULL, &why);
	if (rc == 0)
		return read_answer(out, &answer, err);
	explain(&why);
	if (err != NULL)
		*err = why;
	return rc;
}

int aws_sts_assume_role(struct aws_keys *out, const struct aws_role *role,
			const struct aws_signer *signer,
			const struct aws_settings *settings, struct err *err)
{
	struct operation op = {
		.name = "AssumeRole",
		.role = role,
		.signer = signer,
		.settings = settings,
		.secret = role->external_id,
	};
	int rc;

	put_role(&op);
	aws_text_param(&op.body, "ExternalId", role->external_id);
	put_tags(&op.body, role);
	rc = call(out, &op, err);
	aws_text_finish(&op.body);
	return rc;
}

int aws_sts_web_identity(struct aws_keys *out, const struct aws_role *role,
			 const struct secret *token,
			 const struct aws_settings *settings, struct err *err)
{
	struct operation op = {
		.name = "AssumeRoleWithWebIdentity",
		.role = role,
		.settings = settings,
		.secret = token->data,
	};
	int rc;

	put_role(&op);
	aws_text_param(&op.body, "WebIdentityToken", token->data);
	rc = call(out, &op, err);
	aws_text_finish(&op.body);
	return rc;
}
