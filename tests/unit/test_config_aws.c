/* SPDX-License-Identifier: MIT */
/*
 * A spec that AWS has a part in: which fields go with which types, what may be
 * missing, what TLS tokens get, and every complaint word for word.
 *
 *     test_config_aws DIRECTORY
 */
#include "fs/config.h"

#include "tests/unit/config_loading.h"

#define ID     "abcdefghijklmnopqrstuvwxy2"
#define OTHER  "zzzzzzzzzzzzzzzzzzzzzzzzz2"
#define ROLE   "arn:aws:iam::123456789012:role/reader"
#define DIGITS "0123456789abcdef0123456789abcdef"
#define PIN    ", \"tls_fingerprint\": \"" DIGITS DIGITS "\""

#define TYPE(name)   "{" HEAD ", \"type\": \"" name "\""
#define LOGIN        ", \"user\": \"u\", \"database\": \"d\""
#define RDS_HOST     "db.abc123.eu-west-1.rds.amazonaws.com"
#define RDS          TYPE("postgres-rds") LOGIN ", \"host\": \"" RDS_HOST "\""
#define MY_RDS       TYPE("mysql-rds") LOGIN ", \"host\": \"" RDS_HOST "\""
#define CLUSTER_HOST "c1.abc123.eu-west-1.redshift.amazonaws.com"
#define REDSHIFT     TYPE("redshift") LOGIN ", \"host\": \"" CLUSTER_HOST "\""
#define DSQL_HOST    ID ".dsql.eu-west-1.on.aws"
#define DSQL         TYPE("dsql") ", \"host\": \"" DSQL_HOST "\""
#define PRIVATE_LINK              \
	TYPE("dsql")              \
	", \"cluster_id\": \"" ID \
	"\", \"host\": \"vpce-0abc.dsql-fnh4.eu-west-1.vpce.amazonaws.com\""
#define SERVERLESS                  \
	TYPE("redshift-serverless") \
	LOGIN ", \"host\": \"wg.1.eu-west-1.redshift-serverless.amazonaws.com\""

#define NOT_WITH(key, type) "shop: " key ": does not go with type " type
#define NO_NAME(key)                                                     \
	"shop: " key ": must be the name of an SSM parameter (letters, " \
	"digits and any of _.-/:), not what it holds"
#define NO_ROLE                                                     \
	"shop: role_arn: must look like arn:aws:iam::123456789012:" \
	"role/NAME"
#define NO_TAGS "shop: tags: must be an object of at most 50 strings"
#define NO_OWN_NAME                                                     \
	"shop: host: must be the cluster's own name or its id of 26 "   \
	"characters; with another name, as of a PrivateLink endpoint, " \
	"cluster_id says which cluster"
#define TOO_WEAK(mode, type, more)                     \
	"shop: sslmode: \"" mode                       \
	"\" is too weak for the token that type " type \
	" logs in with: verify-full is the default" more

static const struct {
	const char *json;
	const char *error;
} bad_specs[] = {
	/* which key goes with which type */
	{LITE ", \"password\": \"/a\"}", NOT_WITH("password", "sqlite3")},
	{LITE ", \"secret_id\": \"a\"}", NOT_WITH("secret_id", "sqlite3")},
	{LITE ", \"region\": \"eu-west-1\"}", NOT_WITH("region", "sqlite3")},
	{LITE ", \"profile\": \"a\"}", NOT_WITH("profile", "sqlite3")},
	{LITE ", \"expose_token\": true}", NOT_WITH("expose_token", "sqlite3")},
	{PG ", \"role_arn\": \"" ROLE "\"}", NOT_WITH("role_arn", "postgres")},
	{MY ", \"external_id\": \"/a\"}", NOT_WITH("external_id", "mysql")},
	{PG ", \"tags\": {}}", NOT_WITH("tags", "postgres")},
	{RDS ", \"cluster_id\": \"c1\"}",
	 NOT_WITH("cluster_id", "postgres-rds")},
	{SERVERLESS ", \"cluster_id\": \"c1\"}",
	 NOT_WITH("cluster_id", "redshift-serverless")},
	{REDSHIFT ", \"workgroup\": \"wg\"}",
	 NOT_WITH("workgroup", "redshift")},
	{RDS ", \"token_duration\": 900}",
	 NOT_WITH("token_duration", "postgres-rds")},
	{REDSHIFT ", \"token_duration\": 900}",
	 NOT_WITH("token_duration", "redshift")},
	{DSQL ", \"password_duration\": 900}",
	 NOT_WITH("password_duration", "dsql")},

	/* names */
	{PG ", \"password\": 5}", "shop: password: must be a string"},
	{PG ", \"password\": \"\"}", NO_NAME("password")},
	{PG ", \"password\": \"hunter2!\"}", NO_NAME("password")},
	{PG ", \"password\": \"two words\"}", NO_NAME("password")},
	{PG ", \"password\": \"/a\", \"password_env\": \"HOME\"}",
	 "shop: password_env: password is given already, and exactly one is "
	 "used"},
	{PG ", \"secret_id\": \"\"}", "shop: secret_id: must not be empty"},
	{PG ", \"secret_id\": \"a b\"}",
	 "shop: secret_id: must be the name or the ARN of a secret"},
	{PG ", \"region\": \"eu-west-1.evil.example\"}",
	 "shop: region: \"eu-west-1.evil.example\" is not the name of a region, "
	 "such as eu-west-1"},
	{PG ", \"profile\": \"\"}", "shop: profile: must not be empty"},

	/* roles */
	{RDS ", \"role_arn\": \"reader\"}", NO_ROLE},
	{RDS ", \"role_arn\": \"arn:aws:iam::12345678901:role/reader\"}",
	 NO_ROLE},
	{RDS ", \"role_arn\": \"arn:aws:iam::1234567890123:role/reader\"}",
	 NO_ROLE},
	{RDS ", \"role_arn\": \"arn:aws:iam::123456789012:user/reader\"}",
	 NO_ROLE},
	{RDS ", \"role_arn\": \"arn:aws:iam::123456789012:role/\"}", NO_ROLE},
	{RDS ", \"role_arn\": \"arn:aws:sts::123456789012:role/reader\"}",
	 NO_ROLE},
	{RDS ", \"role_arn\": \"arn:other:iam::123456789012:role/reader\"}",
	 NO_ROLE},
	{RDS ", \"external_id\": \"/a\"}",
	 "shop: external_id: is of no use without role_arn"},
	{RDS ", \"tags\": {\"a\": \"b\"}}",
	 "shop: tags: is of no use without role_arn"},
	{RDS ", \"role_arn\": \"" ROLE "\", \"external_id\": \"it self\"}",
	 NO_NAME("external_id")},
	{RDS ", \"role_arn\": \"" ROLE "\", \"tags\": [\"a\"]}", NO_TAGS},
	{RDS ", \"role_arn\": \"" ROLE "\", \"tags\": {\"a\": 1}}",
	 "shop: tags: \"a\" must be a string"},

	/* how long */
	{DSQL ", \"token_duration\": 0}",
	 "shop: token_duration: must be from 1s to 604800s"},
	{DSQL ", \"token_duration\": 604801}",
	 "shop: token_duration: must be from 1s to 604800s"},
	{DSQL ", \"token_duration\": \"1500ms\"}",
	 "shop: token_duration: must be whole seconds, or a text like \"15m\" "
	 "(s m h d w)"},
	{DSQL ", \"token_duration\": \"soon\"}",
	 "shop: token_duration: must be whole seconds, or a text like \"15m\" "
	 "(s m h d w)"},
	{DSQL ", \"token_duration\": 1e300}",
	 "shop: token_duration: must be from 1s to 604800s"},
	{REDSHIFT ", \"password_duration\": 899}",
	 "shop: password_duration: must be from 900s to 3600s"},
	{SERVERLESS ", \"password_duration\": \"2h\"}",
	 "shop: password_duration: must be from 900s to 3600s"},
	{DSQL ", \"expose_token\": \"yes\"}",
	 "shop: expose_token: must be true or false, without quotes"},

	/* what may not be missing */
	{TYPE("postgres-rds") "}", "shop: host: is missing"},
	{TYPE("dsql") "}", "shop: host: is missing"},
	{TYPE("redshift") ", \"host\": \"" CLUSTER_HOST "\"}",
	 "shop: database: is missing"},
	{TYPE("redshift") ", \"host\": \"" CLUSTER_HOST "\", "
			  "\"database\": \"d\", \"password\": \"/a\"}",
	 "shop: user: is missing"},
	{TYPE("postgres-rds") ", \"host\": \"" RDS_HOST "\", "
			      "\"database\": \"d\"}",
	 "shop: user: is missing"},
	{TYPE("postgres") ", \"password\": \"/a\"}", "shop: host: is missing"},

	/* DSQL */
	{DSQL ", \"database\": \"shop\"}",
	 "shop: database: a cluster has only one, \"postgres\""},
	{DSQL ", \"cluster_id\": \"short\"}",
	 "shop: cluster_id: must be 26 lower case letters and digits"},
	{DSQL ", \"cluster_id\": \"" OTHER "\"}",
	 "shop: cluster_id: host is the name of another cluster, " ID},
	{TYPE("dsql") ", \"host\": \"" OTHER "\", \"cluster_id\": \"" ID "\"}",
	 "shop: cluster_id: host is the name of another cluster, " OTHER},
	{TYPE("dsql") ", \"host\": \"192.0.2.1\"}", NO_OWN_NAME},
	{TYPE("dsql") ", \"host\": \"db.example.com\"}", NO_OWN_NAME},

	/* the endpoint */
	{RDS ", \"port\": 443}",
	 "shop: port: 443 cannot be signed for; connect_to says where to dial"},
	{TYPE("postgres-rds") LOGIN ", \"host\": \"/run/postgresql\"}",
	 "shop: host: without a password type postgres-rds logs in by a token "
	 "of AWS, and not over a unix socket"},
	{TYPE("mysql-aurora") LOGIN ", \"host\": \"/run/mysqld.sock\"}",
	 "shop: host: without a password type mysql-aurora logs in by a token "
	 "of AWS, and not over a unix socket"},

	/* TLS of tokens */
	{RDS ", \"sslmode\": \"prefer\"}",
	 TOO_WEAK("prefer", "postgres-rds", "")},
	{DSQL ", \"sslmode\": \"disable\"}", TOO_WEAK("disable", "dsql", "")},
	{DSQL ", \"password_env\": \"HOME\", \"sslmode\": \"allow\"}",
	 TOO_WEAK("allow", "dsql", "")},
	{REDSHIFT ", \"sslmode\": \"allow\"}",
	 TOO_WEAK("allow", "redshift", "")},
	{MY_RDS ", \"sslmode\": \"prefer\"}",
	 TOO_WEAK("prefer", "mysql-rds", ", tls_fingerprint does too")},
	{MY_RDS ", \"sslmode\": \"require\"}",
	 TOO_WEAK("require", "mysql-rds", ", tls_fingerprint does too")},
	{MY_RDS ", \"sslmode\": \"prefer\"" PIN "}",
	 TOO_WEAK("prefer", "mysql-rds", ", tls_fingerprint does too")},
	{MY_RDS ", \"connect_to\": \"tunnel:1\"}",
	 "shop: connect_to: needs tls_fingerprint with TLS and type mysql-rds: "
	 "the name of \"host\" cannot be verified while another is dialled"},
	{PRIVATE_LINK ", \"sslmode\": \"verify-full\"}",
	 "shop: sslmode: \"verify-full\" cannot be kept: the certificate of the "
	 "cluster does not have the name of the PrivateLink endpoint in "
	 "\"host\"; verify-ca can"},
	{RDS ", \"ca_cert\": \"/nowhere/ca.pem\"}",
	 "shop: ca_cert: /nowhere: No such file or directory"},

	/* a password type's own rules are what they were */
	{RDS ", \"password\": \"/a\", \"sslmode\": \"verify-full\"}",
	 "shop: sslmode: \"verify-full\" needs ca_cert, a PEM file (the "
	 "system's: /etc/ssl/certs/ca-certificates.crt)"},
	{RDS ", \"password\": \"/a\", \"ca_cert\": \"/etc/passwd\"}",
	 "shop: ca_cert: nothing is verified without \"ssl\": true, or sslmode "
	 "require or stronger"},
};

static void test_bad_specs(void)
{
	for (size_t i = 0; i < COUNT(bad_specs); i++)
		refuse_one(bad_specs[i].json, bad_specs[i].error);
}

static void test_tags_are_counted(void)
{
	char json[2048] = RDS ", \"role_arn\": \"" ROLE "\", \"tags\": {";
	size_t len = strlen(json);

	for (int i = 0; i < 51; i++)
		len += (size_t)snprintf(json + len, sizeof(json) - len,
					"%s\"t%d\": \"\"", i > 0 ? ", " : "",
					i);
	(void)snprintf(json + len, sizeof(json) - len, "}}");
	refuse_one(json, NO_TAGS);
}

/* What a login by token and one by password get; null: there is none. */
static const struct {
	const char *json;
	const char *sslmode;
	const char *token_sslmode;
} tls[] = {
	/* by token only: there is nothing weaker to fall back to */
	{RDS "}", "verify-full", "verify-full"},
	{RDS ", \"ssl\": true}", "verify-full", "verify-full"},
	{RDS ", \"ssl\": false}", "verify-full", "verify-full"},
	{RDS ", \"sslmode\": \"require\"}", "require", "require"},
	{RDS ", \"sslmode\": \"verify-ca\"}", "verify-ca", "verify-ca"},
	{RDS ", \"sslmode\": \"verify-full\"}", "verify-full", "verify-full"},
	{RDS ", \"ca_cert\": \"/etc/passwd\"}", "verify-full", "verify-full"},
	{RDS ", \"connect_to\": \"tunnel:1\"}", "verify-full", "verify-full"},
	{REDSHIFT "}", "verify-full", "verify-full"},
	{SERVERLESS "}", "verify-full", "verify-full"},
	{DSQL "}", "verify-full", "verify-full"},
	{PRIVATE_LINK "}", "verify-ca", "verify-ca"},
	{PRIVATE_LINK ", \"sslmode\": \"require\"}", "require", "require"},
	{MY_RDS "}", "verify-full", "verify-full"},
	/* libmariadb verifies the name with it */
	{MY_RDS ", \"sslmode\": \"verify-ca\"}", "verify-full", "verify-full"},
	{MY_RDS PIN "}", "require", "require"},
	{MY_RDS PIN ", \"connect_to\": \"tunnel:1\"}", "require", "require"},
	{MY_RDS PIN ", \"sslmode\": \"verify-full\"}", "verify-full",
	 "verify-full"},

	/* by password only: as for types without IAM */
	{RDS ", \"password\": \"/a\"}", "prefer", NULL},
	{RDS ", \"password\": \"/a\", \"ssl\": true}", "require", NULL},
	{MY_RDS ", \"password\": \"/a\", \"sslmode\": \"disable\"}", "disable",
	 NULL},
	{PG ", \"secret_id\": \"a\"}", "prefer", NULL},

	/* by what the secret has */
	{RDS ", \"secret_id\": \"a\"}", "prefer", "verify-full"},
	{RDS ", \"secret_id\": \"a\", \"ssl\": true}", "require",
	 "verify-full"},
	{RDS ", \"secret_id\": \"a\", \"sslmode\": \"require\"}", "require",
	 "require"},
	{RDS ", \"secret_id\": \"a\", \"sslmode\": \"verify-full\"}",
	 "verify-full", "verify-full"},
	{RDS ", \"secret_id\": \"a\", \"sslmode\": \"prefer\"}", "prefer",
	 NULL},
	{MY_RDS ", \"secret_id\": \"a\", \"sslmode\": \"require\"}", "require",
	 NULL},
	{TYPE("postgres-rds") ", \"secret_id\": \"a\", \"host\": \"/run\"}",
	 "disable", NULL},
};

static void test_tls(void)
{
	for (size_t i = 0; i < COUNT(tls); i++) {
		struct config *config = load_one(tls[i].json);

		CHECK_TEXT(config->specs[0]->sslmode, tls[i].sslmode);
		CHECK_TEXT(config->specs[0]->token_sslmode,
			   tls[i].token_sslmode);
		config_destroy(config);
	}
}

/* With all that can stand in the secret left out. */
static void test_a_secret_is_enough(void)
{
	static const char *const types[] = {
		"postgres",     "psql",     "postgresql",
		"postgres-rds", "redshift", "redshift-serverless",
		"mysql",        "mariadb",  "mysql-aurora",
	};
	char json[256];

	for (size_t i = 0; i < COUNT(types); i++) {
		struct config *config;
		const struct spec *spec;

		(void)snprintf(json, sizeof(json),
			       "{" HEAD ", \"type\": \"%s\", "
			       "\"secret_id\": \"/prod/shop\"}",
			       types[i]);
		config = load_one(json);
		spec = config->specs[0];
		CHECK_TEXT(spec->secret_id, "/prod/shop");
		CHECK(spec->host == NULL && spec->user == NULL);
		CHECK(spec->database == NULL);
		CHECK(spec->port == spec->engine->default_port);
		config_destroy(config);
	}
}

static void test_names_of_secrets(void)
{
	static const char *const names[] = {
		"prod/shop",
		"rds!cluster-0a1b",
		"arn:aws-cn:secretsmanager:cn-north-1:123456789012:secret:a-Ab1",
	};
	char json[256];

	for (size_t i = 0; i < COUNT(names); i++) {
		struct config *config;

		(void)snprintf(json, sizeof(json),
			       PG ", \"secret_id\": \"%s\"}", names[i]);
		config = load_one(json);
		CHECK_TEXT(config->specs[0]->secret_id, names[i]);
		config_destroy(config);
	}
}

/* Redshift's users come with the password, DSQL has defaults. */
static void test_what_may_be_missing(void)
{
	struct config *config;
	const struct spec *spec;

	config = load_one(TYPE("redshift") ", \"host\": \"" CLUSTER_HOST "\", "
					   "\"database\": \"d\"}");
	CHECK_TEXT(config->specs[0]->user, NULL);
	CHECK(config->specs[0]->port == 5439);
	config_destroy(config);

	config = load_one(DSQL "}");
	spec = config->specs[0];
	CHECK_TEXT(spec->user, "admin");
	CHECK_TEXT(spec->database, "postgres");
	CHECK(spec->port == 5432 && spec->engine->retries_conflicts);
	config_destroy(config);

	config = load_one(TYPE("dsql") ", \"host\": \"" ID "\", "
				       "\"user\": \"reader\"}");
	CHECK_TEXT(config->specs[0]->user, "reader");
	CHECK_TEXT(config->specs[0]->host, ID);
	config_destroy(config);

	/* The secret may name another. */
	config = load_one(TYPE("dsql") ", \"secret_id\": \"a\"}");
	CHECK_TEXT(config->specs[0]->user, NULL);
	CHECK_TEXT(config->specs[0]->database, "postgres");
	config_destroy(config);
}

static void test_every_field(void)
{
	struct config *config = load_one(TYPE(
		"redshift-serverless") ", \"host\": \"custom.example\","
				       " \"database\": \"d\", \"workgroup\": \"wg\","
				       " \"role_arn\": \"arn:aws-us-gov:iam::123456789012:role/a/b+c\","
				       " \"external_id\": \"/prod/id\", \"tags\": {\"a\": \"\"},"
				       " \"profile\": \"etl\", \"region\": \"us-gov-west-1\","
				       " \"password_duration\": \"30m\", \"expose_token\": true}");
	const struct spec *spec = config->specs[0];

	CHECK_TEXT(spec->workgroup, "wg");
	CHECK_TEXT(spec->profile, "etl");
	CHECK_TEXT(spec->region, "us-gov-west-1");
	CHECK(spec->password_duration_s == 1800 && spec->expose_token);
	check_shown(spec,
		    "{\n"
		    "  \"conn_id\": \"shop\",\n"
		    "  \"type\": \"redshift-serverless\",\n"
		    "  \"enabled\": true,\n"
		    "  \"host\": \"custom.example\",\n"
		    "  \"port\": 5439,\n"
		    "  \"database\": \"d\",\n"
		    "  \"password_source\": \"redshift-serverless-iam\",\n"
		    "  \"region\": \"us-gov-west-1\",\n"
		    "  \"profile\": \"etl\",\n"
		    "  \"role_arn\": "
		    "\"arn:aws-us-gov:iam::123456789012:role/a/b+c\",\n"
		    "  \"workgroup\": \"wg\",\n"
		    "  \"password_duration\": \"1800s\",\n"
		    "  \"sslmode\": \"verify-full\",\n"
		    "  \"read_only\": false,\n"
		    "  \"connect_timeout\": \"10s\",\n"
		    "  \"idle_timeout\": \"600s\",\n"
		    "  \"idle_in_transaction_timeout\": \"300s\",\n"
		    "  \"max_connections\": 10,\n"
		    "  \"sticky\": false\n"
		    "}\n");
	config_destroy(config);

	config = load_one(PRIVATE_LINK ", \"token_duration\": \"7d\"}");
	spec = config->specs[0];
	CHECK_TEXT(spec->cluster_id, ID);
	CHECK(spec->token_duration_s == 604800 && !spec->expose_token);
	CHECK(is_shown(spec, "  \"cluster_id\": \"" ID "\",\n"
			     "  \"token_duration\": \"604800s\",\n"));
	config_destroy(config);

	config = load_one(DSQL ", \"token_duration\": \"1\"}");
	CHECK(config->specs[0]->token_duration_s == 1);
	config_destroy(config);
}

static const struct {
	const char *json;
	const char *source;
} sources[] = {
	{PG "}", "none"},
	{PG ", \"password\": \"/prod/pw\"}", "ssm"},
	{PG ", \"secret_id\": \"a\"}", "secretsmanager"},
	{PG ", \"secret_id\": \"a\", \"password\": \"/pw:3\"}", "ssm"},
	{RDS "}", "rds-iam"},
	{MY_RDS ", \"secret_id\": \"a\"}", "secretsmanager or rds-iam"},
	{MY_RDS ", \"secret_id\": \"a\", \"password\": \"/pw\"}", "ssm"},
	{DSQL "}", "dsql-iam"},
	{REDSHIFT "}", "redshift-iam"},
	{SERVERLESS ", \"secret_id\": \"a\"}",
	 "secretsmanager or redshift-serverless-iam"},
};

static void test_the_source_is_shown(void)
{
	char expected[128];

	for (size_t i = 0; i < COUNT(sources); i++) {
		struct config *config = load_one(sources[i].json);

		(void)snprintf(expected, sizeof(expected),
			       "  \"password_source\": \"%s\",\n",
			       sources[i].source);
		CHECK(is_shown(config->specs[0], expected));
		config_destroy(config);
	}
}

/* Names of what is asked for are not names of what was answered. */
static void test_names_of_parameters_stay_inside(void)
{
	struct config *config = load_one(
		RDS ", \"password\": \"/prod/pw\", \"role_arn\": \"" ROLE "\","
		    " \"external_id\": \"/prod/id\"}");

	CHECK(!is_shown(config->specs[0], "/prod/"));
	config_destroy(config);
}

int main(int argc, char **argv)
{
	(void)umask(022);
	check_init(argc, argv);
	test_bad_specs();
	test_tags_are_counted();
	test_tls();
	test_a_secret_is_enough();
	test_names_of_secrets();
	test_what_may_be_missing();
	test_every_field();
	test_the_source_is_shown();
	test_names_of_parameters_stay_inside();
	return 0;
}
