/* SPDX-License-Identifier: MIT */
/* What logs in when nobody gave a password, by the type of the connection. */
#include "auth/resolution_internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "auth/aws/iam.h"
#include "auth/aws/redshift.h"
#include "common/cleanup.h"

#define SESSION_PREFIX "connfs-"

const char *auth_token_source(enum auth_token token)
{
	static const char *const names[] = {
		[AUTH_TOKEN_NONE] = "",
		[AUTH_TOKEN_RDS] = "rds-iam",
		[AUTH_TOKEN_DSQL] = "dsql-iam",
		[AUTH_TOKEN_REDSHIFT] = "redshift-iam",
		[AUTH_TOKEN_REDSHIFT_SERVERLESS] = "redshift-serverless-iam",
	};

	return names[token];
}

enum aws_family resolution_token_family(enum auth_token token)
{
	static const enum aws_family families[] = {
		[AUTH_TOKEN_NONE] = AWS_RDS,
		[AUTH_TOKEN_RDS] = AWS_RDS,
		[AUTH_TOKEN_DSQL] = AWS_DSQL,
		[AUTH_TOKEN_REDSHIFT] = AWS_REDSHIFT,
		[AUTH_TOKEN_REDSHIFT_SERVERLESS] = AWS_REDSHIFT_SERVERLESS,
	};

	return families[token];
}

/*
 * Where the role is asked for: where AWS is asked for anything, and when nobody
 * has said where that is, where the database is. Null: not known.
 */
static const char *role_region(const struct resolution *r, const char *host,
			       char out[AWS_REGION_SIZE])
{
	enum aws_family family = resolution_token_family(r->config.token);

	if (r->config.region != NULL)
		return r->config.region;
	if (aws_identity_region(r->base, out, NULL) == 0)
		return NULL; /* it is found in the same way again */
	return aws_region_of_host(out, family, host) ? out : NULL;
}

/* The identity of role_arn. It is found again while the values are the same. */
static int assume(struct resolution *r, struct resolution_wish wish,
		  const char *host, struct err *err)
{
	const struct auth_config *c = &r->config;
	char region[AWS_REGION_SIZE];
	struct aws_value value =
		resolution_value(r, AWS_PARAMETER, c->external_id);
	auto_secret struct secret external_id = {0};
	auto_free struct aws_tag *tags = NULL;
	auto_free char *name = NULL;
	struct aws_identity_config config = {
		.profile = c->profile,
		.region = role_region(r, host, region),
		.role_arn = c->role_arn,
		.n_tags = c->n_tags,
	};
	struct aws_identity *role;
	bool cached;
	int rc = 0;

	tags = calloc(c->n_tags + 1, sizeof(*tags));
	if (tags == NULL || asprintf(&name, SESSION_PREFIX "%s",
				     c->conn_id != NULL ? c->conn_id : "") < 0)
		return err_set(err, ENOMEM, "role_arn: out of memory");
	for (size_t i = 0; i < c->n_tags; i++)
		tags[i] = (struct aws_tag){c->tags[i].key, c->tags[i].value};
	config.tags = tags;
	config.session_name = name;
	value.fresh = wish.fresh;
	if (c->external_id != NULL)
		rc = resolution_get_value(r, &external_id, &value,
					  "external_id", &cached, err);
	if (rc < 0)
		return rc;
	config.external_id = external_id.data;
	rc = aws_identity_get(&role, &config, err);
	if (rc < 0)
		return rc;
	aws_identity_unref(r->role);
	r->role = role;
	return 0;
}

/* Whose keys sign: *out is the resolution's own. */
static int identity(struct resolution *r, struct resolution_wish wish,
		    const char *host, struct aws_identity **out,
		    struct err *err)
{
	const struct aws_signer *signer;
	struct aws_keys keys = {0};
	int rc = 0;

	*out = r->base;
	if (r->config.role_arn != NULL) {
		rc = assume(r, wish, host, err);
		if (rc < 0)
			return rc;
		*out = r->role;
	}
	if (!wish.fresh_keys)
		return 0;
	signer = aws_identity_signer(*out);
	rc = signer->keys(signer->arg, true, &keys, err);
	aws_keys_finish(&keys);
	return rc;
}

static int sign(struct resolution *r, struct aws_identity *who,
		struct credential *c, struct err *err)
{
	const struct auth_config *config = &r->config;
	const struct iam_login login = {
		.identity = who,
		.host = c->host,
		.port = c->port,
		.user = c->user,
		.region = config->region,
		.cluster_id = config->cluster_id,
		.duration_s = config->token_duration_s,
	};
	struct iam_token token;
	int rc = config->token == AUTH_TOKEN_RDS
			 ? iam_rds(&token, &login, err)
			 : iam_dsql(&token, &login, err);

	if (rc < 0) {
		iam_token_finish(&token);
		return rc;
	}
	c->password = token.token;
	c->expires_at = token.expires_at;
	c->dsql_id = token.dsql_id;
	if (token.host != NULL) {
		free(c->host);
		c->host = token.host;
	}
	return 0;
}

static int ask_redshift(struct resolution *r, struct aws_identity *who,
			struct credential *c, struct err *err)
{
	const struct auth_config *config = &r->config;
	const struct redshift_login login = {
		.identity = who,
		.host = c->host,
		.database = c->database,
		.region = config->region,
		.user = c->user,
		.cluster_id = config->cluster_id,
		.workgroup = config->workgroup,
		.duration_s = config->password_duration_s,
	};
	struct redshift_password password;
	int rc = config->token == AUTH_TOKEN_REDSHIFT
			 ? redshift_get(&password, &login, err)
			 : redshift_get_serverless(&password, &login, err);

	if (rc < 0)
		return rc;
	free(c->user);
	c->user = password.user;
	c->password = password.password;
	c->expires_at = password.expires_at;
	return 0;
}

int resolution_token(struct resolution *r, struct resolution_wish wish,
		     struct resolved *out, struct err *err)
{
	bool is_signed = r->config.token == AUTH_TOKEN_RDS ||
			 r->config.token == AUTH_TOKEN_DSQL;
	struct aws_value external_id =
		resolution_value(r, AWS_PARAMETER, r->config.external_id);
	struct aws_identity *who;
	int rc;

	out->source = auth_token_source(r->config.token);
	out->keep = is_signed ? KEEP_SIGNED : KEEP_TEMPORARY;
	out->credential.is_token = true;
	rc = identity(r, wish, out->credential.host, &who, err);
	if (rc < 0)
		return rc;
	aws_identity_unref(out->keys);
	out->keys = aws_identity_ref(who);
	rc = is_signed ? sign(r, who, &out->credential, err)
		       : ask_redshift(r, who, &out->credential, err);
	/* Its value may be what the role refuses. */
	if (rc == -EACCES && r->config.external_id != NULL)
		aws_value_drop(&external_id);
	return rc;
}
