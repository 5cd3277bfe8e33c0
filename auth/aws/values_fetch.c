/* SPDX-License-Identifier: MIT */
#include "auth/aws/values_fetch.h"

#include <errno.h>
#include <string.h>

#include "auth/aws/json.h"
#include "auth/aws/service.h"
#include "common/buf.h"
#include "common/cleanup.h"

enum { BODY_MAX = 16 * 1024 };

static const struct source {
	enum aws_service service;
	const char *operation;
	const char *target;
	const char *what; /* in texts */
	const char *path; /* of the value in the answer */
} sources[] = {
	[AWS_PARAMETER] = {AWS_SERVICE_SSM, "GetParameter", "AmazonSSM",
			   "parameter", "Parameter.Value"},
	[AWS_SECRET] = {AWS_SERVICE_SECRETS_MANAGER, "GetSecretValue",
			"secretsmanager", "secret", "SecretString"},
};

/* "arn:aws:ssm:eu-west-1:123456789012:parameter/x": the fourth field. */
static bool region_of_arn(char out[AWS_REGION_SIZE], const char *name)
{
	const char *field = name;
	size_t len;

	if (strncmp(name, "arn:", 4) != 0)
		return false;
	for (int i = 0; i < 3; i++) {
		field = strchr(field, ':');
		if (field == NULL)
			return false;
		field++;
	}
	len = strcspn(field, ":");
	if (len == 0 || len >= AWS_REGION_SIZE)
		return false;
	memcpy(out, field, len);
	out[len] = '\0';
	return aws_region_is_valid(out);
}

/* For free(); null: no memory. */
static char *request_body(const struct aws_value *value)
{
	bool parameter = value->kind == AWS_PARAMETER;
	struct buf body;

	buf_init(&body, BODY_MAX);
	buf_puts(&body, parameter ? "{\"Name\":" : "{\"SecretId\":");
	buf_json(&body, value->name, strlen(value->name));
	buf_puts(&body, parameter ? ",\"WithDecryption\":true}" : "}");
	return buf_take(&body);
}

/* aws_call() says what to do about the rest. */
static int explain(const struct aws_value *value, const struct aws_error *error,
		   const struct err *why, struct err *err)
{
	const struct source *s = &sources[value->kind];

	if (strcmp(error->code, "DecryptionFailure") == 0 ||
	    strcmp(error->code, "InvalidKeyId") == 0)
		return err_set(err, why->code,
			       "%s %s cannot be decrypted (is its KMS key "
			       "enabled, is kms:Decrypt allowed?): %s",
			       s->what, value->name, why->msg);
	if (strcmp(error->code, "InvalidRequestException") == 0 &&
	    strstr(why->msg, "deletion") != NULL)
		return err_set(err, why->code,
			       "%s %s is marked for deletion (restore it, or "
			       "name another): %s",
			       s->what, value->name, why->msg);
	return err_set(err, why->code, "%s %s: %s", s->what, value->name,
		       why->msg);
}

/* Takes the value out of an answer that says 200. */
static int read_answer(struct secret *out, const struct aws_value *value,
		       const struct secret *answer, struct err *err)
{
	const struct source *s = &sources[value->kind];
	auto_aws_json struct aws_json *json = NULL;
	auto_secret struct secret type = {0};
	int rc = aws_json_parse(&json, answer->data, answer->len,
				"AWS's answer", err);

	if (rc < 0)
		return rc;
	rc = aws_json_get(json, s->path, out);
	if (rc < 0)
		return err_set(err, -rc, "%s %s: the answer has no value",
			       s->what, value->name);
	if (value->kind == AWS_SECRET && rc == 0)
		return err_set(err, EINVAL,
			       "%s %s is binary, and a text (SecretString) is "
			       "needed",
			       s->what, value->name);
	if (value->kind == AWS_PARAMETER) {
		rc = aws_json_get(json, "Parameter.Type", &type);
		if (rc > 0 && strcmp(type.data, "StringList") == 0)
			return err_set(err, EINVAL,
				       "%s %s is a StringList, and a "
				       "SecureString or a String is needed",
				       s->what, value->name);
	}
	if (out->len == 0)
		return err_set(err, EINVAL, "%s %s is empty", s->what,
			       value->name);
	return 0;
}

/* Without an answer, or with one that says that AWS cannot now. */
static bool is_transient(const struct aws_error *error, int code)
{
	if (error->code[0] != '\0')
		return error->transient;
	switch (code) {
	case EAGAIN:
	case ECANCELED:
	case ECONNREFUSED:
	case EHOSTUNREACH:
	case ENETUNREACH:
	case ETIMEDOUT:
		return true;
	default:
		return error->transient;
	}
}

int values_fetch(struct secret *out, const struct aws_value *value,
		 bool *transient, struct err *err)
{
	const struct source *s = &sources[value->kind];
	auto_secret struct secret answer = {0};
	auto_free char *body = request_body(value);
	char region[AWS_REGION_SIZE];
	struct aws_error error = {0};
	struct err why = {0};
	struct aws_request request = {
		.service = s->service,
		.region = region,
		.operation = s->operation,
		.target = s->target,
		.body = body,
	};
	int rc = 0;

	*transient = false;
	if (body == NULL)
		return err_set(err, ENOMEM, "out of memory");
	request.body_len = strlen(body);
	if (!region_of_arn(region, value->name))
		rc = aws_identity_region(value->identity, region, &why);
	if (rc < 0)
		return err_set(err, why.code, "%s %s: %s", s->what, value->name,
			       why.msg);
	rc = aws_service_call(&answer, value->identity, &request, &error, &why);
	if (rc < 0) {
		*transient = is_transient(&error, why.code);
		return explain(value, &error, &why, err);
	}
	rc = read_answer(out, value, &answer, err);
	if (rc < 0)
		secret_finish(out);
	return rc;
}
