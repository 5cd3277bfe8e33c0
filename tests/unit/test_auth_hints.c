/* SPDX-License-Identifier: MIT */
/* What is said when a server refuses a login. */
#include "auth/hints.h"

#include <errno.h>

#include "auth/aws/clock.h"
#include "common/clock.h"
#include "tests/unit/check.h"

/* Whoever holds keys shows this. */
static struct aws_identity_status keys;

void __wrap_aws_identity_status(struct aws_identity *identity,
				struct aws_identity_status *out);
void __wrap_aws_identity_status(struct aws_identity *identity,
				struct aws_identity_status *out)
{
	*out = keys;
}

static char nobody;

static const struct {
	struct auth_config config;
	const char *source;
	const char *user;
	const char *host;
	bool is_token;
	const char *hint;
} cases[] = {
	{{0}, "static", "u", "h", false, ""},
	{{.token = AUTH_TOKEN_NONE}, "", "u", "h", false, ""},
	{{.token = AUTH_TOKEN_NONE},
	 "ssm",
	 "u",
	 "h",
	 false,
	 " (the value in SSM may be older than the database's)"},
	{{.token = AUTH_TOKEN_RDS},
	 "secretsmanager",
	 "u",
	 "h",
	 false,
	 " (the value in Secrets Manager may be older than the database's; "
	 "granting rds_iam to a PostgreSQL role turns its password login off)"},
	{{.token = AUTH_TOKEN_RDS},
	 "rds-iam",
	 "u",
	 "a.b.cn-north-1.rds.amazonaws.com.cn",
	 true,
	 " (the database user needs rds_iam (PostgreSQL) or "
	 "AWSAuthenticationPlugin (MySQL); the AWS keys need rds-db:connect "
	 "on arn:aws-cn:rds-db:cn-north-1:ACCOUNT:dbuser:RESOURCE-ID/u)"},
	{{.token = AUTH_TOKEN_RDS},
	 "rds-iam",
	 "u",
	 "db.example.com",
	 true,
	 " (host must be the endpoint that AWS gave the database, and "
	 "db.example.com looks like another name of it; the database user "
	 "needs rds_iam (PostgreSQL) or AWSAuthenticationPlugin (MySQL); the "
	 "AWS keys need rds-db:connect on "
	 "arn:aws:rds-db:REGION:ACCOUNT:dbuser:RESOURCE-ID/u)"},
	{{.token = AUTH_TOKEN_DSQL, .region = "us-east-1"},
	 "dsql-iam",
	 "admin",
	 "h",
	 true,
	 " (the AWS keys need dsql:DbConnectAdmin on "
	 "arn:aws:dsql:us-east-1:ACCOUNT:cluster/ID)"},
	{{.token = AUTH_TOKEN_DSQL, .region = "us-east-1"},
	 "dsql-iam",
	 "app",
	 "h",
	 true,
	 " (the AWS keys need dsql:DbConnect on "
	 "arn:aws:dsql:us-east-1:ACCOUNT:cluster/ID, and the database AWS IAM "
	 "GRANT app TO their role)"},
	{{.token = AUTH_TOKEN_REDSHIFT},
	 "redshift-iam",
	 "IAM:u",
	 "h",
	 true,
	 " (the password is a temporary one for the database user IAM:u, who "
	 "has to be there already; redshift:GetClusterCredentials has to be "
	 "allowed on that dbuser and the dbname)"},
	{{.token = AUTH_TOKEN_REDSHIFT_SERVERLESS},
	 "redshift-serverless-iam",
	 "IAMR:r",
	 "h",
	 true,
	 " (the password is a temporary one for the database user IAMR:r, "
	 "whom AWS names after the role of its keys; see role_arn and "
	 "workgroup)"},
};

static void hint(struct err *err, size_t i, const char *reason,
		 struct aws_identity *identity)
{
	const struct credential used = {
		.user = (char *)(uintptr_t)cases[i].user,
		.host = (char *)(uintptr_t)cases[i].host,
		.is_token = cases[i].is_token,
	};
	const struct resolved resolved = {
		.source = cases[i].source,
		.keys = identity,
	};

	auth_hint(err, reason, &cases[i].config, &used, &resolved);
	CHECK(err->code == EKEYREJECTED);
}

static void test_each_source(void)
{
	char expected[ERR_MSG_SIZE];
	struct err err = {0};

	for (size_t i = 0; i < COUNT(cases); i++) {
		(void)snprintf(expected, sizeof(expected), "refused: x%s",
			       cases[i].hint);
		hint(&err, i, "refused: x", NULL);
		CHECK_TEXT(err.msg, expected);
	}
}

/* What is known to be wrong comes first. */
static void test_keys_and_clock(void)
{
	struct err err = {0};

	keys.expires_at = 1767225600;
	(void)snprintf(keys.source, sizeof(keys.source), "profile etl");
	CHECK(aws_clock_learn(clock_wall_ms() / 1000 + 36000));
	hint(&err, 6, "no", (struct aws_identity *)&nobody);
	CHECK(strstr(err.msg, "no (the AWS keys (profile etl) expired at "
			      "2026-01-01T00:00:00.000Z; the clock of this "
			      "machine is 36000 s behind AWS's; the AWS keys "
			      "need ") == err.msg);
	/* Keys that never do, or not yet. */
	keys.expires_at = 0;
	hint(&err, 6, "no", (struct aws_identity *)&nobody);
	CHECK(strstr(err.msg, "expired at") == NULL);
	keys.expires_at = aws_now() + 60;
	hint(&err, 6, "no", (struct aws_identity *)&nobody);
	CHECK(strstr(err.msg, "expired at") == NULL);
}

/* A server may have much to say; the hint is not lost for that. */
static void test_a_long_reason(void)
{
	char reason[2000];
	struct err err = {0};

	memset(reason, 'x', sizeof(reason) - 1);
	reason[sizeof(reason) - 1] = '\0';
	hint(&err, 2, reason, NULL);
	CHECK(strstr(err.msg, "x (the value in SSM may be older than the "
			      "database's)") != NULL);
	hint(&err, 0, "short", NULL);
	CHECK_TEXT(err.msg, "short");
}

int main(int argc, char **argv)
{
	check_init(argc, argv);
	test_each_source();
	test_a_long_reason();
	test_keys_and_clock();
	return 0;
}
