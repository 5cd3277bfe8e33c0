/* SPDX-License-Identifier: MIT */
/*
 * What names of hosts and regions tell.
 *
 *     test_aws_region aws-tokens.json
 */
#include "auth/aws/region.h"

#include "tests/unit/aws_vectors.h"

static enum aws_family family_of(const char *service)
{
	static const char *const names[] = {
		[AWS_RDS] = "rds",
		[AWS_DSQL] = "dsql",
		[AWS_REDSHIFT] = "redshift",
		[AWS_REDSHIFT_SERVERLESS] = "redshift-serverless",
	};
	size_t i = 0;

	while (strcmp(names[i], service) != 0)
		CHECK(++i < COUNT(names));
	return (enum aws_family)i;
}

/* Null: none. */
static const char *region_of(enum aws_family family, const char *host)
{
	static char region[AWS_REGION_SIZE];

	return aws_region_of_host(region, family, host) ? region : NULL;
}

static const char *label_of(enum aws_family family, const char *host)
{
	static char label[AWS_LABEL_SIZE];

	return aws_label_of_host(label, family, host) ? label : NULL;
}

static void test_region_vectors(const json_t *file)
{
	const json_t *vector;
	size_t at = 0, n = 0;

	for (; (vector = vector_next(file, "region", &at)) != NULL; n++) {
		const json_t *inputs = json_object_get(vector, "inputs");
		const json_t *expected = json_object_get(vector, "expected");
		const char *host = vector_text(inputs, "host");
		enum aws_family family =
			family_of(vector_text(inputs, "service"));
		const json_t *id = json_object_get(expected, "cluster_id");

		CHECK_TEXT(region_of(family, host),
			   vector_text(expected, "region"));
		if (id != NULL)
			CHECK(aws_is_dsql_id(host) == json_is_true(id));
		if (family == AWS_REDSHIFT)
			CHECK_TEXT(label_of(family, host),
				   vector_text(expected, "cluster_identifier"));
		if (family == AWS_REDSHIFT_SERVERLESS)
			CHECK_TEXT(label_of(family, host),
				   vector_text(expected, "workgroup"));
	}
	CHECK(n == 19);
}

static const struct {
	enum aws_family family;
	const char *host;
	const char *region; /* null: none */
	const char *label;
} hosts[] = {
	/* Whatever stands before the hash. */
	{AWS_RDS, "d.c9ak.eu-west-1.rds.amazonaws.com", "eu-west-1", "d"},
	{AWS_RDS, "d.cluster-c9ak.eu-west-1.rds.amazonaws.com", "eu-west-1",
	 "d"},
	{AWS_RDS, "d.cluster-custom-c9ak.ap-south-2.rds.amazonaws.com",
	 "ap-south-2", "d"},
	{AWS_RDS, "n.endpoint.proxy-c9ak.us-east-2.rds.amazonaws.com",
	 "us-east-2", "n"},
	{AWS_RDS, "d.c9ak.us-east-1.rds-fips.amazonaws.com", "us-east-1", "d"},
	{AWS_RDS, "D.C9AK.US-East-1.RDS.AmazonAWS.com.", "us-east-1", "d"},
	/* The suffixes of all partitions, in both orders. */
	{AWS_RDS, "d.c9ak.cn-north-1.rds.amazonaws.com.cn", "cn-north-1", "d"},
	{AWS_RDS, "d.c9ak.rds.cn-north-1.amazonaws.com.cn", "cn-north-1", "d"},
	{AWS_RDS, "d.c9ak.rds.us-gov-east-1.amazonaws.com", "us-gov-east-1",
	 "d"},
	{AWS_RDS, "d.c9ak.us-iso-east-1.rds.c2s.ic.gov", "us-iso-east-1", "d"},
	{AWS_RDS, "d.c9ak.rds.us-isob-east-1.sc2s.sgov.gov", "us-isob-east-1",
	 "d"},
	{AWS_RDS, "d.c9ak.rds.eu-isoe-west-1.cloud.adc-e.uk", "eu-isoe-west-1",
	 "d"},
	{AWS_RDS, "d.c9ak.rds.us-isof-south-1.csp.hci.ic.gov",
	 "us-isof-south-1", "d"},
	{AWS_RDS, "d.c9ak.eusc-de-east-1.rds.amazonaws.eu", "eusc-de-east-1",
	 "d"},
	{AWS_RDS, "d.c9ak.ap-southeast-2.rds.amazonaws.au", "ap-southeast-2",
	 "d"},
	{AWS_RDS, "d.c9ak.eu-west-2.rds.amazonaws.uk", "eu-west-2", "d"},
	/* Other names, and such as look like one. */
	{AWS_RDS, "g.global-c9ak.global.rds.amazonaws.com", NULL, NULL},
	{AWS_RDS, "rds.us-east-1.amazonaws.com", NULL, NULL},
	{AWS_RDS, "us-east-1.rds.amazonaws.com", NULL, NULL},
	{AWS_RDS, "d.us-east-1.rds.amazonaws.com", NULL, NULL},
	{AWS_RDS, ".c9ak.us-east-1.rds.amazonaws.com", NULL, NULL},
	{AWS_RDS, "d..us-east-1.rds.amazonaws.com", NULL, NULL},
	{AWS_RDS, "d.c9ak.us-east-1.rds.notamazonaws.com", NULL, NULL},
	{AWS_RDS, "d.c9ak.us-east-1.rdsxamazonaws.com", NULL, NULL},
	{AWS_RDS, "d.c9ak.us-east-1.rds.amazonaws.com.de", NULL, NULL},
	{AWS_RDS, "d.c9ak.10-0-1.rds.amazonaws.com", NULL, NULL},
	{AWS_RDS, "d.c9ak.us-east-1.rds.amazonaws.org", NULL, NULL},
	{AWS_RDS, "d.c9ak.us-east-1.rdsx.amazonaws.com", NULL, NULL},
	{AWS_RDS, "d.c9ak.us-east-1/.rds.amazonaws.com", NULL, NULL},
	{AWS_RDS, "d.c9ak.us-east-1.redshift.amazonaws.com", NULL, NULL},
	{AWS_RDS, "amazonaws.com", NULL, NULL},
	{AWS_RDS, "", NULL, NULL},
	{AWS_RDS, ".", NULL, NULL},
	{AWS_RDS, "::1", NULL, NULL},

	{AWS_DSQL, "weaexampleclusteridqqqq4dq.dsql.eu-west-1.on.aws",
	 "eu-west-1", "weaexampleclusteridqqqq4dq"},
	{AWS_DSQL, "WEAexampleclusteridqqqq4dq.DSQL-FNH4.eu-west-1.on.aws.",
	 "eu-west-1", "weaexampleclusteridqqqq4dq"},
	{AWS_DSQL, "short.dsql.eu-west-1.on.aws", "eu-west-1", NULL},
	{AWS_DSQL, ".dsql.eu-west-1.on.aws", NULL, NULL},
	{AWS_DSQL, "weaexampleclusteridqqqq4dq.eu-west-1.on.aws", NULL, NULL},
	{AWS_DSQL, "weaexampleclusteridqqqq4dq.dsql.eu-west-1.on.aws.net", NULL,
	 NULL},
	{AWS_DSQL, "weaexampleclusteridqqqq4dq", NULL, NULL},

	{AWS_REDSHIFT, "c.abc123.eu-west-1.redshift.amazonaws.com", "eu-west-1",
	 "c"},
	{AWS_REDSHIFT, "C.abc123.cn-north-1.redshift.amazonaws.com.cn",
	 "cn-north-1", "c"},
	{AWS_REDSHIFT, "c.redshift.eu-west-1.amazonaws.com", NULL, NULL},
	{AWS_REDSHIFT, "c.abc123.redshift.eu-west-1.amazonaws.com", NULL, NULL},
	{AWS_REDSHIFT, "redshift.eu-west-1.amazonaws.com", NULL, NULL},
	{AWS_REDSHIFT,
	 "w.123456789012.eu-west-1.redshift-serverless."
	 "amazonaws.com",
	 NULL, NULL},

	{AWS_REDSHIFT_SERVERLESS,
	 "w.123456789012.cn-north-1.redshift-serverless.amazonaws.com.cn",
	 "cn-north-1", "w"},
	{AWS_REDSHIFT_SERVERLESS,
	 "123456789012.us-east-1.redshift-serverless.amazonaws.com",
	 "us-east-1", NULL},
	{AWS_REDSHIFT_SERVERLESS, "us-east-1.redshift-serverless.amazonaws.com",
	 NULL, NULL},
	{AWS_REDSHIFT_SERVERLESS, "c.abc123.eu-west-1.redshift.amazonaws.com",
	 NULL, NULL},
};

static void test_hosts(void)
{
	for (size_t i = 0; i < COUNT(hosts); i++) {
		(void)printf("%s\n", hosts[i].host);
		(void)fflush(stdout);
		CHECK_TEXT(region_of(hosts[i].family, hosts[i].host),
			   hosts[i].region);
		CHECK_TEXT(label_of(hosts[i].family, hosts[i].host),
			   hosts[i].label);
	}
}

static const char end_of_name[] = ".c9ak.us-east-1.rds.amazonaws.com";

/* More than DNS takes, in one label and in all. */
static void test_names_that_are_too_long(void)
{
	char host[1024];

	for (size_t len = 1; len < sizeof(host) - sizeof(end_of_name); len++) {
		memset(host, 'd', len);
		memcpy(host + len, end_of_name, sizeof(end_of_name));
		CHECK_TEXT(region_of(AWS_RDS, host),
			   len <= 63 ? "us-east-1" : NULL);
	}
}

static void test_names_of_many_labels(void)
{
	char host[1024];

	for (size_t n = 20; n < 400; n++) {
		for (size_t i = 0; i < 2 * n; i++)
			host[i] = i % 2 == 0 ? 'd' : '.';
		memcpy(host + 2 * n - 1, end_of_name, sizeof(end_of_name));
		CHECK_TEXT(region_of(AWS_RDS, host), NULL);
	}
}

static void test_dsql_ids(void)
{
	CHECK(aws_is_dsql_id("weaexampleclusteridqqqq4dq"));
	CHECK(!aws_is_dsql_id("weaexampleclusteridqqqq4d"));
	CHECK(!aws_is_dsql_id("weaexampleclusteridqqqq4dqq"));
	CHECK(!aws_is_dsql_id("weaexampleclusteridqqqq4dQ"));
	CHECK(!aws_is_dsql_id("weaexampleclusteridqqqq4d-"));
	CHECK(!aws_is_dsql_id(""));
}

static void test_valid_regions(void)
{
	static const char *const valid[] = {"us-east-1", "eusc-de-east-1",
					    "local", "EU-West-1", "a"};
	static const char *const invalid[] = {
		"",          "-",           "us-east-1-",      "-us-east-1",
		"us_east_1", "us-east-1.x", "us-east-1/",      "us east 1",
		"a@b",       "a:1",         "\xc3\xa9-west-1", "a#"};
	char text[128];

	for (size_t i = 0; i < COUNT(valid); i++)
		CHECK(aws_region_is_valid(valid[i]));
	for (size_t i = 0; i < COUNT(invalid); i++)
		CHECK(!aws_region_is_valid(invalid[i]));
	memset(text, 'a', sizeof(text));
	text[63] = '\0';
	CHECK(aws_region_is_valid(text));
	text[63] = 'a';
	text[64] = '\0';
	CHECK(!aws_region_is_valid(text));
}

static void test_partitions(void)
{
	static const char *const cases[][2] = {
		{"us-east-1", "aws"},
		{"mx-central-1", "aws"},
		{"cn-northwest-1", "aws-cn"},
		{"us-gov-west-1", "aws-us-gov"},
		{"eusc-de-east-1", "aws-eusc"},
		{"us-iso-west-1", "aws-iso"},
		{"us-isob-east-1", "aws-iso-b"},
		{"eu-isoe-west-1", "aws-iso-e"},
		{"us-isof-south-1", "aws-iso-f"},
		{"mars-north-1", "aws"},
		{"cn-", "aws"},
		{"cn-north", "aws"},
		{"cn-north-", "aws"},
		{"cn-north-1a", "aws"},
		{"us-gov-1", "aws"},
		{"cn-north-west-1", "aws"},
		{"eusc-fr-east-1", "aws"},
		{"", "aws"},
	};

	for (size_t i = 0; i < COUNT(cases); i++)
		CHECK_TEXT(aws_partition_of(cases[i][0])->name, cases[i][1]);
}

int main(int argc, char **argv)
{
	json_t *file = vectors_load(argc, argv);

	test_region_vectors(file);
	test_hosts();
	test_names_that_are_too_long();
	test_names_of_many_labels();
	test_dsql_ids();
	test_valid_regions();
	test_partitions();
	json_decref(file);
	return 0;
}
