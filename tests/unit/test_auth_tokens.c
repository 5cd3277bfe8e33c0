/* SPDX-License-Identifier: MIT */
/*
 * What takes the place of a password: what AWS is asked for it, and by whose
 * keys.
 *
 *     test_auth_tokens DIRECTORY
 */
#include "auth/resolution.h"

#include <errno.h>

#include "auth/aws/clock.h"
#include "tests/unit/attempt.h"
#include "tests/unit/check.h"

#define EXPIRES    "2099-01-02T03:04:05Z"
#define EXPIRES_AT 4071006245
#define RDS_HOST   "shop.abc.eu-west-1.rds.amazonaws.com"
#define CLUSTER    "abcdefghijklmnopqrstuvwxyz"
#define DSQL_HOST  CLUSTER ".dsql.eu-west-2.on.aws"

static struct auth_config rds(void)
{
	struct auth_config config = attempt_config();

	config.host = RDS_HOST;
	config.token = AUTH_TOKEN_RDS;
	return config;
}

static void test_rds_token(void)
{
	struct auth_config config = rds();
	struct resolved got = {0};
	int64_t before = aws_now();

	attempt_succeed(&config, &got);
	CHECK(attempt_begins(got.credential.password.data,
			     RDS_HOST ":5432/?Action=connect&DBUser=scott&"));
	CHECK(strstr(got.credential.password.data,
		     "%2Feu-west-1%2Frds-db%2Faws4_request") != NULL);
	CHECK(got.credential.expires_at >= before + 900 &&
	      got.credential.expires_at <= aws_now() + 900);
	CHECK(got.credential.is_token && got.keep == KEEP_SIGNED);
	CHECK(got.keys != NULL && got.credential.dsql_id == NULL);
	CHECK_TEXT(got.source, "rds-iam");
	resolved_finish(&got);

	/* The spec's region goes before the name's. */
	config.region = "us-gov-west-1";
	attempt_succeed(&config, &got);
	CHECK(strstr(got.credential.password.data, "us-gov-west-1") != NULL);
	resolved_finish(&got);

	config.region = NULL;
	config.host = "db.example.com";
	attempt_fail(&config,
		     "region: not known: set it in the spec, in AWS_REGION, "
		     "or in the profile (the host db.example.com does not "
		     "tell it)");
	config.host = NULL;
	attempt_fail(&config, "host: is not known: give it in the spec");
}

/* A secret that has all but the password leaves that to the type. */
static void test_rds_token_with_secret(void)
{
	static const struct http_answer secret = {
		.status = "200 OK",
		.body = ATTEMPT_SECRET(
			"{\\\"username\\\":\\\"u\\\",\\\"port\\\":3307,"
			"\\\"host\\\":\\\"" RDS_HOST "\\\","
			"\\\"dbname\\\":\\\"d\\\"}"),
	};
	const struct auth_config config = {
		.needs_login = true,
		.token = AUTH_TOKEN_RDS,
		.secret_id = "shop",
		.region = "eu-west-1",
	};
	struct resolved got = {0};

	attempt_serve(&secret, 1);
	attempt_succeed(&config, &got);
	http_server_stop(&attempt_server);
	CHECK(attempt_begins(got.credential.password.data,
			     RDS_HOST ":3307/?Action=connect&DBUser=u&"));
	CHECK_TEXT(got.source, "rds-iam");
	CHECK(got.keep == KEEP_SIGNED);
	resolved_finish(&got);
}

static const struct {
	const char *host;
	const char *cluster_id;
	const char *user;
	const char *region;
	const char *token; /* begins with */
	const char *dialled;
	const char *dsql_id;
} clusters[] = {
	{DSQL_HOST, NULL, NULL, NULL, DSQL_HOST "/?Action=DbConnectAdmin&",
	 DSQL_HOST, NULL},
	{DSQL_HOST, CLUSTER, "app", NULL, DSQL_HOST "/?Action=DbConnect&",
	 DSQL_HOST, NULL},
	{CLUSTER, NULL, NULL, "eu-west-2", DSQL_HOST "/?Action=DbConnectAdmin&",
	 DSQL_HOST, NULL},
	{NULL, CLUSTER, NULL, "eu-west-2", DSQL_HOST "/?Action=DbConnectAdmin&",
	 DSQL_HOST, NULL},
	{CLUSTER, NULL, NULL, "cn-north-1",
	 CLUSTER ".dsql.cn-north-1.on.amazonwebservices.com.cn/?",
	 CLUSTER ".dsql.cn-north-1.on.amazonwebservices.com.cn", NULL},
	/* PrivateLink: with its own name for the service, and with none. */
	{CLUSTER ".dsql-fnh4.eu-west-2.on.aws", CLUSTER, NULL, NULL,
	 CLUSTER ".dsql-fnh4.eu-west-2.on.aws/?",
	 CLUSTER ".dsql-fnh4.eu-west-2.on.aws", NULL},
	{"vpce-1.dsql-fnh4.eu-west-2.vpce.amazonaws.com", CLUSTER, NULL,
	 "eu-west-2", DSQL_HOST "/?",
	 "vpce-1.dsql-fnh4.eu-west-2.vpce.amazonaws.com", CLUSTER},
	{"10.1.2.3", CLUSTER, NULL, "eu-west-2", DSQL_HOST "/?", "10.1.2.3",
	 CLUSTER},
};

static void test_dsql_token(void)
{
	struct auth_config config = {
		.default_port = 5432,
		.needs_login = true,
		.token = AUTH_TOKEN_DSQL,
	};

	for (size_t i = 0; i < COUNT(clusters); i++) {
		const char *user = clusters[i].user;
		struct resolved got = {0};

		config.host = clusters[i].host;
		config.cluster_id = clusters[i].cluster_id;
		config.region = clusters[i].region;
		config.user = user;
		attempt_succeed(&config, &got);
		CHECK(attempt_begins(got.credential.password.data,
				     clusters[i].token));
		CHECK_TEXT(got.credential.user, user != NULL ? user : "admin");
		CHECK_TEXT(got.credential.database, "postgres");
		CHECK_TEXT(got.credential.host, clusters[i].dialled);
		CHECK_TEXT(got.credential.dsql_id, clusters[i].dsql_id);
		CHECK_TEXT(got.source, "dsql-iam");
		resolved_finish(&got);
	}
	config.host = "10.1.2.3";
	config.cluster_id = NULL;
	config.region = "eu-west-2";
	attempt_fail(&config, "host: an address does not say which cluster, "
			      "give cluster_id");
}

static void test_dsql_duration(void)
{
	struct auth_config config = {
		.needs_login = true,
		.token = AUTH_TOKEN_DSQL,
		.host = DSQL_HOST,
		.token_duration_s = 604800,
	};
	struct resolved got = {0};
	int64_t before = aws_now();

	attempt_succeed(&config, &got);
	CHECK(strstr(got.credential.password.data, "X-Amz-Expires=604800&") !=
	      NULL);
	CHECK(got.credential.expires_at >= before + 604800);
	resolved_finish(&got);
}

#define REDSHIFT_ANSWER(operation, user)                                     \
	"<" operation "Response xmlns=\"http://redshift.amazonaws.com/"      \
	"doc/2012-12-01/\"><" operation "Result><DbUser>" user               \
	"</DbUser><DbPassword>a&lt;b&amp;c</DbPassword><Expiration>" EXPIRES \
	"</Expiration></" operation "Result></" operation "Response>"

#define REDSHIFT_HOST "dev.abc.eu-west-1.redshift.amazonaws.com"

static const struct {
	const char *user;
	const char *host;
	const char *cluster_id;
	const char *request;
	const char *answer;
	const char *given_user;
} redshifts[] = {
	{"etl+x", REDSHIFT_HOST, NULL,
	 "Action=GetClusterCredentials&Version=2012-12-01&ClusterIdentifier=dev"
	 "&DbName=shop&DurationSeconds=900&DbUser=etl%2Bx&AutoCreate=false",
	 REDSHIFT_ANSWER("GetClusterCredentials", "IAM:etl+x"), "IAM:etl+x"},
	{"etl", REDSHIFT_HOST, "prod",
	 "Action=GetClusterCredentials&Version=2012-12-01"
	 "&ClusterIdentifier=prod&DbName=shop&DurationSeconds=900&DbUser=etl"
	 "&AutoCreate=false",
	 REDSHIFT_ANSWER("GetClusterCredentials", "IAM:etl"), "IAM:etl"},
	{NULL, "dwh.example.com", NULL,
	 "Action=GetClusterCredentialsWithIAM&Version=2012-12-01"
	 "&CustomDomainName=dwh.example.com&DbName=shop&DurationSeconds=900",
	 REDSHIFT_ANSWER("GetClusterCredentialsWithIAM", "IAMR:etl"),
	 "IAMR:etl"},
};

static void test_redshift(void)
{
	struct auth_config config = {
		.default_port = 5439,
		.needs_login = true,
		.token = AUTH_TOKEN_REDSHIFT,
		.database = "shop",
		.region = "eu-west-1",
	};

	for (size_t i = 0; i < COUNT(redshifts); i++) {
		const struct http_answer answer = {
			.status = "200 OK",
			.body = redshifts[i].answer,
		};
		struct resolved got = {0};

		config.user = redshifts[i].user;
		config.host = redshifts[i].host;
		config.cluster_id = redshifts[i].cluster_id;
		attempt_serve(&answer, 1);
		attempt_succeed(&config, &got);
		attempt_expect(0, NULL, redshifts[i].request);
		attempt_expect_signed(0, "/eu-west-1/redshift/aws4_request");
		http_server_stop(&attempt_server);
		CHECK_TEXT(got.credential.user, redshifts[i].given_user);
		CHECK_TEXT(got.credential.password.data, "a<b&c");
		CHECK(got.credential.expires_at == EXPIRES_AT);
		CHECK(got.credential.is_token && got.keep == KEEP_TEMPORARY);
		CHECK_TEXT(got.source, "redshift-iam");
		resolved_finish(&got);
	}
}

static const struct {
	struct http_answer answer;
	const char *error;
} redshift_failures[] = {
	{{.status = "404 Not Found",
	  .body = "<ErrorResponse><Error><Type>Sender</Type>"
		  "<Code>ClusterNotFound</Code><Message>Cluster dev not found."
		  "</Message></Error></ErrorResponse>"},
	 "cluster_id: dev is not there: GetClusterCredentials: "
	 "ClusterNotFound: Cluster dev not found; check the name and the "
	 "region eu-west-1"},
	{{.status = "200 OK", .body = "<GetClusterCredentialsResponse/>"},
	 "GetClusterCredentials: the answer lacks the user, the password or "
	 "the time when it expires"},
};

static void test_redshift_fails(void)
{
	const struct auth_config config = {
		.needs_login = true,
		.token = AUTH_TOKEN_REDSHIFT,
		.user = "etl",
		.host = REDSHIFT_HOST,
		.database = "shop",
	};

	for (size_t i = 0; i < COUNT(redshift_failures); i++) {
		attempt_serve(&redshift_failures[i].answer, 1);
		attempt_fail(&config, redshift_failures[i].error);
		http_server_stop(&attempt_server);
	}
}

static const struct {
	const char *host;
	const char *workgroup;
	const char *request;
} workgroups[] = {
	{"wg.123456789012.eu-west-1.redshift-serverless.amazonaws.com", NULL,
	 "{\"workgroupName\":\"wg\",\"dbName\":\"shop\","
	 "\"durationSeconds\":3600}"},
	{"wg.123456789012.eu-west-1.redshift-serverless.amazonaws.com", "other",
	 "{\"workgroupName\":\"other\",\"dbName\":\"shop\","
	 "\"durationSeconds\":3600}"},
	{"dwh.example.com", NULL,
	 "{\"customDomainName\":\"dwh.example.com\",\"dbName\":\"shop\","
	 "\"durationSeconds\":3600}"},
};

static void test_redshift_serverless(void)
{
	static const struct http_answer answer = {
		.status = "200 OK",
		.body = "{\"dbUser\":\"IAMR:etl\",\"dbPassword\":\"pw\","
			"\"expiration\":4071006245.5}",
	};
	struct auth_config config = {
		.needs_login = true,
		.token = AUTH_TOKEN_REDSHIFT_SERVERLESS,
		.user = "ignored",
		.database = "shop",
		.region = "eu-west-1",
		.password_duration_s = 3600,
	};

	for (size_t i = 0; i < COUNT(workgroups); i++) {
		struct resolved got = {0};

		config.host = workgroups[i].host;
		config.workgroup = workgroups[i].workgroup;
		attempt_serve(&answer, 1);
		attempt_succeed(&config, &got);
		attempt_expect(0, "RedshiftServerless.GetCredentials",
			       workgroups[i].request);
		http_server_stop(&attempt_server);
		CHECK_TEXT(got.credential.user, "IAMR:etl");
		CHECK_TEXT(got.credential.password.data, "pw");
		CHECK(got.credential.expires_at == EXPIRES_AT);
		CHECK_TEXT(got.source, "redshift-serverless-iam");
		resolved_finish(&got);
	}
}

#define ROLE "arn:aws:iam::123456789012:role/etl"

/*
 * The external id is fetched by the keys of this machine, the role assumed by
 * them too, and only then the token is signed, by what the role gave.
 */
static void test_role(void)
{
	static const struct http_answer script[] = {
		{.status = "200 OK", .body = attempt_parameter},
		{.status = "200 OK",
		 .body = "<AssumeRoleResponse><AssumeRoleResult><Credentials>"
			 "<AccessKeyId>ASIAROLE</AccessKeyId>"
			 "<SecretAccessKey>r</SecretAccessKey>"
			 "<SessionToken>session</SessionToken>"
			 "<Expiration>" EXPIRES "</Expiration></Credentials>"
			 "</AssumeRoleResult></AssumeRoleResponse>"},
	};
	static const struct auth_tag tag = {"team", "etl"};
	struct auth_config config = rds();
	struct resolved got = {0};

	config.conn_id = "shop/eu";
	config.role_arn = ROLE;
	config.external_id = "/shop/external";
	config.tags = &tag;
	config.n_tags = 1;
	config.region = "eu-west-1";
	attempt_serve(script, 2);
	attempt_succeed(&config, &got);
	attempt_expect(0, "AmazonSSM.GetParameter",
		       "{\"Name\":\"/shop/external\",\"WithDecryption\":true}");
	attempt_expect_signed(0, "Credential=AKIDBASE/");
	attempt_expect_signed(1, "Credential=AKIDBASE/");
	CHECK(strstr(http_server_body(&attempt_server, 1),
		     "ExternalId=ti%22ger") != NULL);
	CHECK(strstr(http_server_body(&attempt_server, 1),
		     "RoleSessionName=connfs-shop") != NULL);
	CHECK(strstr(http_server_body(&attempt_server, 1),
		     "Tags.member.1.Key=team") != NULL);
	CHECK(strstr(got.credential.password.data, "Credential=ASIAROLE%2F") !=
	      NULL);
	http_server_stop(&attempt_server);
	resolved_finish(&got);
}

static void expect_refusal(const struct auth_config *config, const char *error)
{
	struct resolved got = {0};
	struct err err = {0};

	CHECK(attempt_run(config, &got, &err) == -EACCES);
	CHECK(attempt_begins(err.msg, error));
	CHECK(strstr(err.msg, "trust policy") != NULL);
	resolved_finish(&got);
}

static void test_role_refused(void)
{
	static const struct http_answer script[] = {
		{.status = "200 OK", .body = attempt_parameter},
		{.status = "403 Forbidden",
		 .body = "<ErrorResponse><Error><Code>AccessDenied</Code>"
			 "<Message>no</Message></Error></ErrorResponse>"},
		{.status = "200 OK", .body = attempt_parameter},
		{.status = "403 Forbidden",
		 .body = "<ErrorResponse><Error><Code>AccessDenied</Code>"
			 "<Message>no</Message></Error></ErrorResponse>"},
	};
	struct auth_config config = rds();

	config.role_arn = ROLE "2";
	config.external_id = "/shop/external2";
	config.cache_ttl_ms = 60000;
	config.region = "eu-west-1";
	attempt_serve(script, 4);
	expect_refusal(&config, "role etl2: AssumeRole: AccessDenied: no");
	/* The id may be what is wrong: it is not kept. */
	expect_refusal(&config, "role etl2: AssumeRole: AccessDenied: no");
	attempt_expect(2, "AmazonSSM.GetParameter",
		       "{\"Name\":\"/shop/external2\",\"WithDecryption\":true}");
	http_server_stop(&attempt_server);
}

int main(int argc, char **argv)
{
	check_init(argc, argv);
	attempt_init();
	test_rds_token();
	test_rds_token_with_secret();
	test_dsql_token();
	test_dsql_duration();
	test_redshift();
	test_redshift_fails();
	test_redshift_serverless();
	test_role();
	test_role_refused();
	return 0;
}
