/* SPDX-License-Identifier: MIT */
#include "auth/aws/redshift.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "auth/aws/iam.h"
#include "auth/aws/json.h"
#include "auth/aws/service.h"
#include "auth/aws/text.h"
#include "auth/aws/xml.h"
#include "common/buf.h"

enum { BODY_MAX = 16 * 1024, DURATION_S = 900 };

void redshift_password_finish(struct redshift_password *password)
{
	free(password->user);
	secret_finish(&password->password);
	*password = (struct redshift_password){0};
}

static unsigned duration_of(const struct redshift_login *login)
{
	return login->duration_s != 0 ? login->duration_s : DURATION_S;
}

/* One of the three operations. */
struct operation {
	enum aws_service service;
	const char *name;
	const char *target; /* null: a query service */
	const char *key;    /* of a spec, by which the target is named */
};

static const struct operation for_user = {
	.service = AWS_SERVICE_REDSHIFT,
	.name = "GetClusterCredentials",
	.key = "cluster_id",
};

static const struct operation for_identity = {
	.service = AWS_SERVICE_REDSHIFT,
	.name = "GetClusterCredentialsWithIAM",
	.key = "cluster_id",
};

static const struct operation serverless = {
	.service = AWS_SERVICE_REDSHIFT_SERVERLESS,
	.name = "GetCredentials",
	.target = "RedshiftServerless",
	.key = "workgroup",
};

/* Which cluster or workgroup. */
struct target {
	char region[AWS_REGION_SIZE];
	const char *member; /* of the request */
	const char *name;
	char label[AWS_LABEL_SIZE];
};

/* By what the spec says, by an AWS name, else by a domain name of its own. */
static void find_target(struct target *out, const struct redshift_login *login,
			bool is_serverless)
{
	enum aws_family family =
		is_serverless ? AWS_REDSHIFT_SERVERLESS : AWS_REDSHIFT;

	out->member = is_serverless ? "workgroupName" : "ClusterIdentifier";
	out->name = is_serverless ? login->workgroup : login->cluster_id;
	if (out->name == NULL &&
	    aws_label_of_host(out->label, family, login->host))
		out->name = out->label;
	if (out->name == NULL) {
		out->member =
			is_serverless ? "customDomainName" : "CustomDomainName";
		out->name = login->host;
	}
}

static int explain(const struct operation *op, const struct target *target,
		   const struct aws_error *error, const struct err *why,
		   struct err *err)
{
	if (error->not_found)
		return err_set(err, why->code, "%s: %s is not there: %s",
			       op->key, target->name, why->msg);
	*err = *why;
	return -why->code;
}

static int call(struct secret *answer, const struct operation *op,
		struct aws_identity *identity, const struct target *target,
		const struct secret *body, struct err *err)
{
	const struct aws_request request = {
		.service = op->service,
		.region = target->region,
		.operation = op->name,
		.target = op->target,
		.body = body->data,
		.body_len = body->len,
	};
	struct aws_error error = {0};
	struct err why = {0};
	int rc = aws_service_call(answer, identity, &request, &error, &why);

	return rc < 0 ? explain(op, target, &error, &why, err) : 0;
}

static int query_body(struct secret *out, const struct operation *op,
		      const struct redshift_login *login,
		      const struct target *target)
{
	auto_aws_text struct aws_text body = {0};
	char duration[16];

	(void)snprintf(duration, sizeof(duration), "%u", duration_of(login));
	aws_text_param(&body, "Action", op->name);
	aws_text_param(&body, "Version", "2012-12-01");
	aws_text_param(&body, target->member, target->name);
	aws_text_param(&body, "DbName", login->database);
	aws_text_param(&body, "DurationSeconds", duration);
	if (op == &for_user) {
		aws_text_param(&body, "DbUser", login->user);
		aws_text_param(&body, "AutoCreate", "false");
	}
	return aws_text_take(&body, out);
}

static int json_body(struct secret *out, const struct redshift_login *login,
		     const struct target *target)
{
	struct buf body;
	int rc = -ENOMEM;

	buf_init(&body, BODY_MAX);
	buf_printf(&body, "{\"%s\":", target->member);
	buf_json(&body, target->name, strlen(target->name));
	buf_puts(&body, ",\"dbName\":");
	buf_json(&body, login->database, strlen(login->database));
	buf_printf(&body, ",\"durationSeconds\":%u}", duration_of(login));
	if (!body.failed)
		rc = secret_set(out, body.data, body.len);
	buf_finish(&body);
	return rc;
}

/* What an answer says. */
struct answer {
	struct secret user;
	struct secret password;
	int64_t expires_at;
};

static int read_xml(struct answer *out, const struct secret *text,
		    struct err *err)
{
	auto_secret struct secret expiration = {0};
	const struct aws_xml_field fields[] = {
		{"DbUser", &out->user},
		{"DbPassword", &out->password},
		{"Expiration", &expiration},
	};
	int rc = aws_xml_get(text->data, text->len, fields, 3, err);

	if (rc == 0 && expiration.len > 0)
		out->expires_at = aws_time_parse(expiration.data);
	return rc;
}

static int read_json(struct answer *out, const struct secret *text,
		     struct err *err)
{
	auto_aws_json struct aws_json *json = NULL;
	int rc = aws_json_parse(&json, text->data, text->len,
				"the answer to GetCredentials", err);

	if (rc < 0)
		return rc;
	if (aws_json_get(json, "dbUser", &out->user) < 0 ||
	    aws_json_get(json, "dbPassword", &out->password) < 0)
		return err_set(err, EIO,
			       "GetCredentials: the answer cannot be read");
	out->expires_at = aws_json_time(json, "expiration");
	return 0;
}

static int take(struct redshift_password *out, struct answer *answer,
		const struct operation *op, struct err *err)
{
	if (answer->user.len == 0 || answer->password.len == 0 ||
	    answer->expires_at == 0)
		return err_set(err, EIO,
			       "%s: the answer lacks the user, the password or "
			       "the time when it expires",
			       op->name);
	out->user = strdup(answer->user.data);
	if (out->user == NULL)
		return err_set(err, ENOMEM, "%s: out of memory", op->name);
	out->password = answer->password;
	answer->password = (struct secret){0};
	out->expires_at = answer->expires_at;
	return 0;
}

static int get(struct redshift_password *out, const struct operation *op,
	       const struct redshift_login *login, struct err *err)
{
	bool is_serverless = op == &serverless;
	auto_secret struct secret body = {0};
	auto_secret struct secret text = {0};
	struct answer answer = {0};
	struct target target;
	int rc;

	*out = (struct redshift_password){0};
	rc = iam_region(target.region, login->identity, login->region,
			is_serverless ? AWS_REDSHIFT_SERVERLESS : AWS_REDSHIFT,
			login->host, err);
	if (rc < 0)
		return rc;
	find_target(&target, login, is_serverless);
	rc = is_serverless ? json_body(&body, login, &target)
			   : query_body(&body, op, login, &target);
	if (rc < 0)
		return err_set(err, ENOMEM, "%s: out of memory", op->name);
	rc = call(&text, op, login->identity, &target, &body, err);
	if (rc < 0)
		return rc;
	rc = is_serverless ? read_json(&answer, &text, err)
			   : read_xml(&answer, &text, err);
	if (rc == 0)
		rc = take(out, &answer, op, err);
	secret_finish(&answer.user);
	secret_finish(&answer.password);
	return rc;
}

int redshift_get(struct redshift_password *out,
		 const struct redshift_login *login, struct err *err)
{
	return get(out, login->user != NULL ? &for_user : &for_identity, login,
		   err);
}

int redshift_get_serverless(struct redshift_password *out,
			    const struct redshift_login *login, struct err *err)
{
	return get(out, &serverless, login, err);
}
