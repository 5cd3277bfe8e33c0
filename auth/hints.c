/* SPDX-License-Identifier: MIT */
#include "auth/hints.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "auth/aws/clock.h"
#include "auth/aws/identity.h"
#include "auth/aws/region.h"
#include "common/buf.h"
#include "common/clock.h"

enum {
	REASON_MAX = 500,  /* bytes; the rest is for the hints */
	CLOCK_OFF_S = 120, /* worth a word; AWS takes up to 300 */
};

/* What the hints are made of. */
struct facts {
	const struct auth_config *config;
	const struct resolved *resolved;
	enum aws_family family;
	char region[AWS_REGION_SIZE]; /* "REGION" where it is not known */
	const char *partition;
	const char *user;
	const char *host;
};

static void begin(struct buf *out)
{
	buf_puts(out, out->len > 0 ? "; " : " (");
}

static void hint_keys(struct buf *out, const struct facts *f)
{
	struct aws_identity_status status;
	char when[CLOCK_TEXT_SIZE];

	if (f->resolved->keys == NULL)
		return;
	aws_identity_status(f->resolved->keys, &status);
	if (status.expires_at == 0 || status.expires_at > aws_now())
		return;
	clock_text(status.expires_at * 1000, when);
	begin(out);
	buf_printf(out, "the AWS keys (%s) expired at %s", status.source, when);
}

static void hint_clock(struct buf *out)
{
	int64_t offset = aws_clock_offset();

	if (llabs(offset) < CLOCK_OFF_S)
		return;
	begin(out);
	buf_printf(out, "the clock of this machine is %lld s %s AWS's",
		   llabs(offset), offset > 0 ? "behind" : "ahead of");
}

/* Signed is the name that was given; AWS knows the database by its own only. */
static void hint_host(struct buf *out, const struct facts *f)
{
	char region[AWS_REGION_SIZE];

	if (f->config->token != AUTH_TOKEN_RDS ||
	    aws_region_of_host(region, f->family, f->host) ||
	    strstr(f->host, ".global-") != NULL)
		return;
	begin(out);
	buf_printf(out,
		   "host must be the endpoint that AWS gave the database, and "
		   "%.100s looks like another name of it",
		   f->host);
}

static void hint_rds(struct buf *out, const struct facts *f)
{
	begin(out);
	buf_printf(out,
		   "the database user needs rds_iam (PostgreSQL) or "
		   "AWSAuthenticationPlugin (MySQL); the AWS keys need "
		   "rds-db:connect on arn:%s:rds-db:%s:ACCOUNT:dbuser:"
		   "RESOURCE-ID/%.64s",
		   f->partition, f->region, f->user);
}

static void hint_dsql(struct buf *out, const struct facts *f)
{
	bool is_admin = strcmp(f->user, "admin") == 0;

	begin(out);
	buf_printf(out,
		   "the AWS keys need dsql:%s on arn:%s:dsql:%s:ACCOUNT:"
		   "cluster/ID",
		   is_admin ? "DbConnectAdmin" : "DbConnect", f->partition,
		   f->region);
	if (!is_admin)
		buf_printf(out,
			   ", and the database AWS IAM GRANT %.64s TO their "
			   "role",
			   f->user);
}

static void hint_redshift(struct buf *out, const struct facts *f)
{
	begin(out);
	buf_printf(out,
		   "the password is a temporary one for the database user "
		   "%.130s, who has to be there already; "
		   "redshift:GetClusterCredentials has to be allowed on that "
		   "dbuser and the dbname",
		   f->user);
}

static void hint_serverless(struct buf *out, const struct facts *f)
{
	begin(out);
	buf_printf(out,
		   "the password is a temporary one for the database user "
		   "%.130s, whom AWS names after the role of its keys; see "
		   "role_arn and workgroup",
		   f->user);
}

static void hint_token(struct buf *out, const struct facts *f)
{
	hint_keys(out, f);
	hint_clock(out);
	hint_host(out, f);
	switch (f->config->token) {
	case AUTH_TOKEN_NONE:
		break;
	case AUTH_TOKEN_RDS:
		hint_rds(out, f);
		break;
	case AUTH_TOKEN_DSQL:
		hint_dsql(out, f);
		break;
	case AUTH_TOKEN_REDSHIFT:
		hint_redshift(out, f);
		break;
	case AUTH_TOKEN_REDSHIFT_SERVERLESS:
		hint_serverless(out, f);
		break;
	}
}

/* rds_iam takes the password away from a role of PostgreSQL. */
static void hint_password(struct buf *out, const struct facts *f)
{
	const char *source = f->resolved->source;

	if (strcmp(source, "ssm") == 0 ||
	    strcmp(source, "secretsmanager") == 0) {
		begin(out);
		buf_printf(out,
			   "the value in %s may be older than the database's",
			   strcmp(source, "ssm") == 0 ? "SSM"
						      : "Secrets Manager");
	}
	if (f->config->token == AUTH_TOKEN_RDS && source[0] != '\0') {
		begin(out);
		buf_puts(out, "granting rds_iam to a PostgreSQL role turns its "
			      "password login off");
	}
}

static void find_region(struct facts *f)
{
	const char *region = f->config->region;

	f->family = resolution_token_family(f->config->token);
	if (region != NULL)
		(void)snprintf(f->region, sizeof(f->region), "%s", region);
	else if (!aws_region_of_host(f->region, f->family, f->host))
		(void)snprintf(f->region, sizeof(f->region), "REGION");
	f->partition = aws_partition_of(f->region)->name;
}

void auth_hint(struct err *err, const char *reason,
	       const struct auth_config *config, const struct credential *used,
	       const struct resolved *resolved)
{
	struct facts f = {
		.config = config,
		.resolved = resolved,
		.user = used->user != NULL ? used->user : "",
		.host = used->host != NULL ? used->host : "",
	};
	struct buf hints;

	buf_init(&hints, ERR_MSG_SIZE);
	find_region(&f);
	if (used->is_token)
		hint_token(&hints, &f);
	else
		hint_password(&hints, &f);
	if (hints.len > 0)
		buf_putc(&hints, ')');
	if (hints.len > 0 && buf_cstr(&hints) != NULL)
		(void)err_set(err, EKEYREJECTED, "%.*s%s", REASON_MAX, reason,
			      buf_cstr(&hints));
	else
		(void)err_set(err, EKEYREJECTED, "%s", reason);
	buf_finish(&hints);
}
