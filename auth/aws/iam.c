/* SPDX-License-Identifier: MIT */
#include "auth/aws/iam.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "auth/aws/clock.h"
#include "auth/aws/token.h"
#include "common/cleanup.h"

/*
 * Seconds that keys are to live when they sign. With less, a token dies before
 * its time; with more asked for, keys that are given for an hour would be
 * obtained anew for every token that is to live longer.
 */
enum { KEYS_MIN_LEFT = 900 };

int iam_region(char out[AWS_REGION_SIZE], struct aws_identity *identity,
	       const char *region, enum aws_family family, const char *host,
	       struct err *err)
{
	struct err why = {0};

	if (region != NULL) {
		(void)snprintf(out, AWS_REGION_SIZE, "%s", region);
		return 0;
	}
	if (aws_region_of_host(out, family, host))
		return 0;
	if (aws_identity_region(identity, out, &why) == 0)
		return 0;
	return err_set(err, why.code, "%s (the host %.100s does not tell it)",
		       why.msg, host);
}

void iam_token_finish(struct iam_token *token)
{
	secret_finish(&token->token);
	free(token->host);
	free(token->dsql_id);
	*token = (struct iam_token){0};
}

/* A token dies with the keys that signed it. */
static int64_t expiry(const struct aws_keys *keys, int64_t now, unsigned life)
{
	int64_t end = now + life;

	return keys->expires_at != 0 && keys->expires_at < end
		       ? keys->expires_at
		       : end;
}

int iam_rds(struct iam_token *out, const struct iam_login *login,
	    struct err *err)
{
	auto_aws_keys struct aws_keys keys = {0};
	char region[AWS_REGION_SIZE];
	struct token_login signed_login = {
		.host = login->host,
		.port = login->port,
		.user = login->user,
		.region = region,
	};
	int rc;

	*out = (struct iam_token){0};
	rc = iam_region(region, login->identity, login->region, AWS_RDS,
			login->host, err);
	if (rc == 0)
		rc = aws_identity_keys(login->identity, KEYS_MIN_LEFT, &keys,
				       err);
	if (rc < 0)
		return rc;
	signed_login.now = aws_now();
	out->expires_at = expiry(&keys, signed_login.now, RDS_TOKEN_LIFE);
	return rds_token(&out->token, &keys, &signed_login, err);
}

/* "<id>.dsql.<region>.on.aws": what dual-stack names begin with "api" for. */
static char *cluster_name(const char *id, const char *region)
{
	const char *suffix = aws_partition_of(region)->dualstack_suffix;
	char *name;

	if (asprintf(&name, "%s.dsql.%s.on%s", id, region,
		     strchr(suffix, '.')) < 0)
		return NULL;
	return name;
}

static bool is_address(const char *host)
{
	unsigned char bytes[sizeof(struct in6_addr)];

	return inet_pton(AF_INET, host, bytes) == 1 ||
	       inet_pton(AF_INET6, host, bytes) == 1;
}

/*
 * Which name is signed, which is connected to, and whether the server has to
 * be told the id, because that name does not.
 */
static int name_cluster(struct iam_token *out, char **signed_host,
			const struct iam_login *login, const char *region,
			struct err *err)
{
	const char *id = login->cluster_id;
	char own[AWS_LABEL_SIZE];

	if (aws_is_dsql_id(login->host)) {
		out->host = cluster_name(login->host, region);
		*signed_host = cluster_name(login->host, region);
	} else if (id == NULL ||
		   (aws_label_of_host(own, AWS_DSQL, login->host) &&
		    strcmp(own, id) == 0)) {
		if (is_address(login->host))
			return err_set(err, EINVAL,
				       "host: an address does not say which "
				       "cluster, give cluster_id");
		out->host = strdup(login->host);
		*signed_host = strdup(login->host);
	} else {
		out->host = strdup(login->host);
		out->dsql_id = strdup(id);
		*signed_host = cluster_name(id, region);
	}
	if (out->host == NULL || *signed_host == NULL)
		return err_set(err, ENOMEM, "host: out of memory");
	return 0;
}

int iam_dsql(struct iam_token *out, const struct iam_login *login,
	     struct err *err)
{
	unsigned life =
		login->duration_s != 0 ? login->duration_s : DSQL_TOKEN_LIFE;
	auto_aws_keys struct aws_keys keys = {0};
	auto_free char *host = NULL;
	char region[AWS_REGION_SIZE];
	struct token_login signed_login = {
		.user = login->user,
		.region = region,
	};
	int rc;

	*out = (struct iam_token){0};
	rc = iam_region(region, login->identity, login->region, AWS_DSQL,
			login->host, err);
	if (rc == 0)
		rc = name_cluster(out, &host, login, region, err);
	if (rc == 0)
		rc = aws_identity_keys(login->identity,
				       life < KEYS_MIN_LEFT ? life
							    : KEYS_MIN_LEFT,
				       &keys, err);
	if (rc < 0)
		return rc;
	signed_login.host = host;
	signed_login.now = aws_now();
	out->expires_at = expiry(&keys, signed_login.now, life);
	return dsql_token(&out->token, &keys, &signed_login, life, err);
}
