/* SPDX-License-Identifier: MIT */
/*
 * The keys that have to do with AWS: what can be told to be wrong without
 * asking it. Nothing here needs the network, or a region to be known.
 */
#include "fs/config_internal.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "auth/aws/region.h"
#include "common/err.h"
#include "common/log.h"

enum {
	ARN_MAX = 2048, /* bytes */
	PARAMETER_MAX = 2048,
	ACCOUNT_LEN = 12, /* digits */
	TAGS_MAX = 50,
	HTTPS_PORT = 443,
};

enum token_use aws_token_use(const struct spec *spec, const json_t *object)
{
	if (spec->engine->token == AUTH_TOKEN_NONE || password_is_given(object))
		return TOKEN_NEVER;
	return spec->secret_id != NULL ? TOKEN_MAYBE : TOKEN_ALWAYS;
}

/* Letters, digits and what is in more, at least one of them. */
static bool is_made_of(const char *text, const char *more)
{
	const char *p = text;

	while (isalnum((unsigned char)*p) ||
	       (*p != '\0' && strchr(more, *p) != NULL))
		p++;
	return p > text && *p == '\0';
}

int aws_check_parameter(const char *key, const json_t *value, struct err *err)
{
	const char *text = json_string_value(value);

	if (text == NULL)
		return err_set(err, EINVAL, "%s: must be a string", key);
	/* What is wrong may be a password, and is not shown. */
	if (!is_made_of(text, "_.-/:") || strlen(text) > PARAMETER_MAX)
		return err_set(err, EINVAL,
			       "%s: must be the name of an SSM parameter "
			       "(letters, digits and any of _.-/:), not what it "
			       "holds",
			       key);
	return 0;
}

/* arn:PARTITION:iam::ACCOUNT:role/PATH/NAME */
static int check_role(const char *arn, struct err *err)
{
	static const char resource[] = ":role/";
	static const char service[] = ":iam::";
	const char *p = arn;
	bool good = strncmp(p, "arn:aws", 7) == 0 && strlen(arn) <= ARN_MAX;

	if (good) {
		p += 7;
		p += strspn(p, "abcdefghijklmnopqrstuvwxyz-");
		good = strncmp(p, service, strlen(service)) == 0;
	}
	if (good) {
		p += strlen(service);
		good = strspn(p, "0123456789") == ACCOUNT_LEN &&
		       strncmp(p + ACCOUNT_LEN, resource, strlen(resource)) ==
			       0 &&
		       is_made_of(p + ACCOUNT_LEN + strlen(resource),
				  "_+=,.@-/");
	}
	if (good)
		return 0;
	return err_set(err, EINVAL,
		       "role_arn: must look like "
		       "arn:aws:iam::123456789012:role/NAME");
}

static int check_tags(const json_t *tags, struct err *err)
{
	const char *key;
	json_t *value;

	if (!json_is_object(tags) || json_object_size(tags) > TAGS_MAX)
		return err_set(err, EINVAL,
			       "tags: must be an object of at most %d strings",
			       TAGS_MAX);
	json_object_foreach ((json_t *)tags, key, value) {
		if (!json_is_string(value))
			return err_set(err, EINVAL,
				       "tags: \"%.100s\" must be a string",
				       key);
	}
	return 0;
}

/* What is said to a role, and the role. */
static int check_identity(const struct spec *spec, const json_t *object,
			  struct err *err)
{
	const json_t *external_id = json_object_get(object, "external_id");
	const json_t *tags = json_object_get(object, "tags");
	int rc = 0;

	if (spec->role_arn == NULL && (external_id != NULL || tags != NULL))
		return err_set(err, EINVAL, "%s: is of no use without role_arn",
			       external_id != NULL ? "external_id" : "tags");
	if (spec->role_arn != NULL)
		rc = check_role(spec->role_arn, err);
	if (rc == 0 && external_id != NULL)
		rc = aws_check_parameter("external_id", external_id, err);
	if (rc == 0 && tags != NULL)
		rc = check_tags(tags, err);
	return rc;
}

static int check_names(const struct spec *spec, struct err *err)
{
	if (spec->region != NULL && !aws_region_is_valid(spec->region))
		return err_set(err, EINVAL,
			       "region: \"%.60s\" is not the name of a region, "
			       "such as eu-west-1",
			       spec->region);
	if (spec->secret_id != NULL &&
	    !is_made_of(spec->secret_id, "/_+=.@!:-"))
		return err_set(err, EINVAL,
			       "secret_id: must be the name or the ARN of a "
			       "secret");
	return 0;
}

/* The id of the cluster that the name is the own one of, or false. */
static bool own_id(char out[AWS_LABEL_SIZE], const char *host)
{
	if (!aws_is_dsql_id(host))
		return aws_label_of_host(out, AWS_DSQL, host);
	memcpy(out, host, strlen(host) + 1);
	return true;
}

bool aws_is_private_link(const struct spec *spec)
{
	char id[AWS_LABEL_SIZE];

	return spec->engine->token == AUTH_TOKEN_DSQL && spec->host != NULL &&
	       spec->cluster_id != NULL && !own_id(id, spec->host);
}

/* The server knows the cluster by the name that it is dialled by. */
static int check_cluster(const struct spec *spec, struct err *err)
{
	char id[AWS_LABEL_SIZE];

	if (spec->cluster_id != NULL && !aws_is_dsql_id(spec->cluster_id))
		return err_set(err, EINVAL,
			       "cluster_id: must be 26 lower case letters and "
			       "digits");
	if (spec->host == NULL)
		return 0;
	if (!own_id(id, spec->host))
		return spec->cluster_id != NULL
			       ? 0
			       : err_set(err, EINVAL,
					 "host: must be the cluster's own "
					 "name or its id of 26 characters; "
					 "with another name, as of a "
					 "PrivateLink endpoint, cluster_id "
					 "says which cluster");
	if (spec->cluster_id != NULL && strcmp(id, spec->cluster_id) != 0)
		return err_set(err, EINVAL,
			       "cluster_id: host is the name of another "
			       "cluster, %s",
			       id);
	return 0;
}

static int set_default(char **member, const char *text, struct err *err)
{
	if (*member == NULL)
		*member = strdup(text);
	return *member != NULL ? 0 : err_set(err, ENOMEM, "out of memory");
}

/* A cluster has one database, and its first user is called admin. */
static int resolve_dsql(struct spec *spec, struct err *err)
{
	int rc = set_default(&spec->database, "postgres", err);

	if (rc == 0 && strcmp(spec->database, "postgres") != 0)
		rc = err_set(err, EINVAL,
			     "database: a cluster has only one, \"postgres\"");
	if (rc == 0 && spec->secret_id == NULL)
		rc = set_default(&spec->user, "admin", err);
	return rc < 0 ? rc : check_cluster(spec, err);
}

static bool is_address(const char *host)
{
	unsigned char bytes[sizeof(struct in6_addr)];

	return inet_pton(AF_INET, host, bytes) == 1 ||
	       inet_pton(AF_INET6, host, bytes) == 1;
}

/* host and port are what RDS's token is signed for. */
static int check_endpoint(const struct spec *spec, struct err *err)
{
	const char *host = spec->host;

	if (host == NULL)
		return 0;
	if (host[0] == '/')
		return err_set(err, EINVAL,
			       "host: without a password type %s logs in by a "
			       "token of AWS, and not over a unix socket",
			       spec->engine->type);
	if (spec->engine->token != AUTH_TOKEN_RDS)
		return 0;
	if (spec->port == HTTPS_PORT)
		return err_set(err, EINVAL,
			       "port: %d cannot be signed for; connect_to says "
			       "where to dial",
			       HTTPS_PORT);
	if (is_address(host) || strcasecmp(host, "localhost") == 0)
		log_warn("%s: %s: host: AWS accepts a token only for the "
			 "database's own endpoint, not for %s; connect_to says "
			 "where to dial",
			 spec->file, spec->conn_id, host);
	return 0;
}

int aws_resolve(struct spec *spec, const json_t *object, struct err *err)
{
	int rc = check_names(spec, err);

	if (rc == 0)
		rc = check_identity(spec, object, err);
	if (rc == 0 && spec->engine->token == AUTH_TOKEN_DSQL)
		rc = resolve_dsql(spec, err);
	if (rc == 0 && aws_token_use(spec, object) == TOKEN_ALWAYS)
		rc = check_endpoint(spec, err);
	return rc;
}
