/* SPDX-License-Identifier: MIT */
/*
 * Where the APIs are: by the rules of AWS, as botocore 1.43 has them, and by
 * what is configured instead.
 *
 *     test_aws_endpoint aws-tokens.json
 */
#include "auth/aws/endpoint.h"

#include <errno.h>

#include "common/cleanup.h"
#include "tests/unit/aws_vectors.h"

static const char *const variables[] = {
	"AWS_ENDPOINT_URL",
	"AWS_ENDPOINT_URL_REDSHIFT",
	"AWS_ENDPOINT_URL_REDSHIFT_SERVERLESS",
	"AWS_ENDPOINT_URL_SECRETS_MANAGER",
	"AWS_ENDPOINT_URL_SSM",
	"AWS_ENDPOINT_URL_SSO",
	"AWS_ENDPOINT_URL_SSO_OIDC",
	"AWS_ENDPOINT_URL_STS",
	"AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
	"AWS_USE_DUALSTACK_ENDPOINT",
	"AWS_USE_FIPS_ENDPOINT",
};

static void forget_variables(void)
{
	for (size_t i = 0; i < COUNT(variables); i++)
		CHECK(unsetenv(variables[i]) == 0);
}

static void check_endpoint(enum aws_service service, const char *region,
			   const struct aws_endpoint_profile *profile,
			   const char *expected)
{
	auto_free char *got = NULL;
	struct err err = {0};

	CHECK(aws_endpoint(&got, service, region, profile, &err) == 0);
	CHECK_TEXT(got, expected);
}

/* By the profile, then by the environment. */
static void check_flags(enum aws_service service, const char *region, bool fips,
			bool dualstack, const char *expected)
{
	const struct aws_endpoint_profile nothing = {0};
	const struct aws_endpoint_profile profile = {
		.fips = fips ? "true" : "false",
		.dualstack = dualstack ? "TRUE" : NULL,
	};

	check_endpoint(service, region, &profile, expected);
	CHECK(setenv("AWS_USE_FIPS_ENDPOINT", fips ? "True" : "false", 1) == 0);
	CHECK(setenv("AWS_USE_DUALSTACK_ENDPOINT", dualstack ? "true" : "",
		     1) == 0);
	check_endpoint(service, region, &nothing, expected);
	forget_variables();
}

static const struct {
	enum aws_service service;
	const char *region;
	const char *plain;
	const char *dualstack;
	const char *fips;
	const char *fips_dualstack;
} endpoints[] = {
	{AWS_SERVICE_SSM, "us-east-1", "ssm.us-east-1.amazonaws.com",
	 "ssm.us-east-1.api.aws", "ssm-fips.us-east-1.amazonaws.com",
	 "ssm-fips.us-east-1.api.aws"},
	{AWS_SERVICE_SSM, "us-gov-west-1", "ssm.us-gov-west-1.amazonaws.com",
	 "ssm.us-gov-west-1.api.aws", "ssm.us-gov-west-1.amazonaws.com",
	 "ssm-fips.us-gov-west-1.api.aws"},
	{AWS_SERVICE_SECRETS_MANAGER, "us-east-1",
	 "secretsmanager.us-east-1.amazonaws.com",
	 "secretsmanager.us-east-1.amazonaws.com",
	 "secretsmanager-fips.us-east-1.amazonaws.com",
	 "secretsmanager-fips.us-east-1.amazonaws.com"},
	{AWS_SERVICE_SECRETS_MANAGER, "mars-north-1",
	 "secretsmanager.mars-north-1.amazonaws.com",
	 "secretsmanager.mars-north-1.amazonaws.com",
	 "secretsmanager-fips.mars-north-1.amazonaws.com",
	 "secretsmanager-fips.mars-north-1.amazonaws.com"},
	{AWS_SERVICE_SECRETS_MANAGER, "cn-north-1",
	 "secretsmanager.cn-north-1.amazonaws.com.cn",
	 "secretsmanager.cn-north-1.amazonaws.com.cn",
	 "secretsmanager-fips.cn-north-1.amazonaws.com.cn",
	 "secretsmanager-fips.cn-north-1.amazonaws.com.cn"},
	{AWS_SERVICE_SECRETS_MANAGER, "us-gov-west-1",
	 "secretsmanager.us-gov-west-1.amazonaws.com",
	 "secretsmanager.us-gov-west-1.amazonaws.com",
	 "secretsmanager-fips.us-gov-west-1.amazonaws.com",
	 "secretsmanager-fips.us-gov-west-1.amazonaws.com"},
	{AWS_SERVICE_SECRETS_MANAGER, "eusc-de-east-1",
	 "secretsmanager.eusc-de-east-1.amazonaws.eu",
	 "secretsmanager.eusc-de-east-1.api.amazonwebservices.eu",
	 "secretsmanager-fips.eusc-de-east-1.amazonaws.eu",
	 "secretsmanager-fips.eusc-de-east-1.api.amazonwebservices.eu"},
	{AWS_SERVICE_SECRETS_MANAGER, "us-iso-east-1",
	 "secretsmanager.us-iso-east-1.c2s.ic.gov",
	 "secretsmanager.us-iso-east-1.api.aws.ic.gov",
	 "secretsmanager-fips.us-iso-east-1.c2s.ic.gov",
	 "secretsmanager-fips.us-iso-east-1.api.aws.ic.gov"},
	{AWS_SERVICE_SECRETS_MANAGER, "us-isob-east-1",
	 "secretsmanager.us-isob-east-1.sc2s.sgov.gov",
	 "secretsmanager.us-isob-east-1.api.aws.scloud",
	 "secretsmanager-fips.us-isob-east-1.sc2s.sgov.gov",
	 "secretsmanager-fips.us-isob-east-1.api.aws.scloud"},
	{AWS_SERVICE_SECRETS_MANAGER, "eu-isoe-west-1",
	 "secretsmanager.eu-isoe-west-1.cloud.adc-e.uk",
	 "secretsmanager.eu-isoe-west-1.api.cloud-aws.adc-e.uk",
	 "secretsmanager-fips.eu-isoe-west-1.cloud.adc-e.uk",
	 "secretsmanager-fips.eu-isoe-west-1.api.cloud-aws.adc-e.uk"},
	{AWS_SERVICE_SECRETS_MANAGER, "us-isof-south-1",
	 "secretsmanager.us-isof-south-1.csp.hci.ic.gov",
	 "secretsmanager.us-isof-south-1.api.aws.hci.ic.gov",
	 "secretsmanager-fips.us-isof-south-1.csp.hci.ic.gov",
	 "secretsmanager-fips.us-isof-south-1.api.aws.hci.ic.gov"},
	{AWS_SERVICE_STS, "us-east-1", "sts.us-east-1.amazonaws.com",
	 "sts.us-east-1.api.aws", "sts-fips.us-east-1.amazonaws.com",
	 "sts-fips.us-east-1.api.aws"},
	{AWS_SERVICE_STS, "mars-north-1", "sts.mars-north-1.amazonaws.com",
	 "sts.mars-north-1.api.aws", "sts-fips.mars-north-1.amazonaws.com",
	 "sts-fips.mars-north-1.api.aws"},
	{AWS_SERVICE_STS, "cn-north-1", "sts.cn-north-1.amazonaws.com.cn",
	 "sts.cn-north-1.api.amazonwebservices.com.cn",
	 "sts-fips.cn-north-1.amazonaws.com.cn",
	 "sts-fips.cn-north-1.api.amazonwebservices.com.cn"},
	{AWS_SERVICE_STS, "us-gov-west-1", "sts.us-gov-west-1.amazonaws.com",
	 "sts.us-gov-west-1.api.aws", "sts.us-gov-west-1.amazonaws.com",
	 "sts-fips.us-gov-west-1.api.aws"},
	{AWS_SERVICE_STS, "eusc-de-east-1", "sts.eusc-de-east-1.amazonaws.eu",
	 "sts.eusc-de-east-1.api.amazonwebservices.eu",
	 "sts-fips.eusc-de-east-1.amazonaws.eu",
	 "sts-fips.eusc-de-east-1.api.amazonwebservices.eu"},
	{AWS_SERVICE_STS, "us-iso-east-1", "sts.us-iso-east-1.c2s.ic.gov",
	 "sts.us-iso-east-1.api.aws.ic.gov",
	 "sts-fips.us-iso-east-1.c2s.ic.gov",
	 "sts-fips.us-iso-east-1.api.aws.ic.gov"},
	{AWS_SERVICE_STS, "us-isob-east-1", "sts.us-isob-east-1.sc2s.sgov.gov",
	 "sts.us-isob-east-1.api.aws.scloud",
	 "sts-fips.us-isob-east-1.sc2s.sgov.gov",
	 "sts-fips.us-isob-east-1.api.aws.scloud"},
	{AWS_SERVICE_STS, "eu-isoe-west-1", "sts.eu-isoe-west-1.cloud.adc-e.uk",
	 "sts.eu-isoe-west-1.api.cloud-aws.adc-e.uk",
	 "sts-fips.eu-isoe-west-1.cloud.adc-e.uk",
	 "sts-fips.eu-isoe-west-1.api.cloud-aws.adc-e.uk"},
	{AWS_SERVICE_STS, "us-isof-south-1",
	 "sts.us-isof-south-1.csp.hci.ic.gov",
	 "sts.us-isof-south-1.api.aws.hci.ic.gov",
	 "sts-fips.us-isof-south-1.csp.hci.ic.gov",
	 "sts-fips.us-isof-south-1.api.aws.hci.ic.gov"},
	{AWS_SERVICE_REDSHIFT, "us-east-1", "redshift.us-east-1.amazonaws.com",
	 "redshift.us-east-1.api.aws", "redshift-fips.us-east-1.amazonaws.com",
	 "redshift-fips.us-east-1.api.aws"},
	{AWS_SERVICE_REDSHIFT, "us-gov-west-1",
	 "redshift.us-gov-west-1.amazonaws.com",
	 "redshift.us-gov-west-1.api.aws",
	 "redshift.us-gov-west-1.amazonaws.com",
	 "redshift-fips.us-gov-west-1.api.aws"},
	{AWS_SERVICE_REDSHIFT_SERVERLESS, "us-east-1",
	 "redshift-serverless.us-east-1.amazonaws.com",
	 "redshift-serverless.us-east-1.api.aws",
	 "redshift-serverless-fips.us-east-1.amazonaws.com",
	 "redshift-serverless-fips.us-east-1.api.aws"},
	{AWS_SERVICE_REDSHIFT_SERVERLESS, "us-gov-west-1",
	 "redshift-serverless.us-gov-west-1.amazonaws.com",
	 "redshift-serverless.us-gov-west-1.api.aws",
	 "redshift-serverless-fips.us-gov-west-1.amazonaws.com",
	 "redshift-serverless-fips.us-gov-west-1.api.aws"},
	{AWS_SERVICE_SSO, "us-east-1", "portal.sso.us-east-1.amazonaws.com",
	 "portal.sso.us-east-1.api.aws",
	 "portal.sso-fips.us-east-1.amazonaws.com",
	 "portal.sso-fips.us-east-1.api.aws"},
	{AWS_SERVICE_SSO, "us-gov-west-1",
	 "portal.sso.us-gov-west-1.amazonaws.com",
	 "portal.sso.us-gov-west-1.api.aws",
	 "portal.sso.us-gov-west-1.amazonaws.com",
	 "portal.sso-fips.us-gov-west-1.api.aws"},
	{AWS_SERVICE_SSO_OIDC, "us-east-1", "oidc.us-east-1.amazonaws.com",
	 "oidc.us-east-1.api.aws", "oidc-fips.us-east-1.amazonaws.com",
	 "oidc-fips.us-east-1.api.aws"},
	{AWS_SERVICE_SSO_OIDC, "us-gov-west-1",
	 "oidc.us-gov-west-1.amazonaws.com", "oidc.us-gov-west-1.api.aws",
	 "oidc.us-gov-west-1.amazonaws.com", "oidc-fips.us-gov-west-1.api.aws"},
};

static void expect(size_t i, bool fips, bool dualstack, const char *host)
{
	char url[256];

	(void)snprintf(url, sizeof(url), "https://%s", host);
	check_flags(endpoints[i].service, endpoints[i].region, fips, dualstack,
		    url);
}

static void test_endpoints(void)
{
	for (size_t i = 0; i < COUNT(endpoints); i++) {
		expect(i, false, false, endpoints[i].plain);
		expect(i, false, true, endpoints[i].dualstack);
		expect(i, true, false, endpoints[i].fips);
		expect(i, true, true, endpoints[i].fips_dualstack);
	}
}

/* The environment decides when it says anything, also when it says no. */
static void test_environment_before_profile(void)
{
	const struct aws_endpoint_profile profile = {.fips = "true",
						     .dualstack = "true"};

	CHECK(setenv("AWS_USE_FIPS_ENDPOINT", "false", 1) == 0);
	check_endpoint(AWS_SERVICE_STS, "us-east-1", &profile,
		       "https://sts.us-east-1.api.aws");
	CHECK(setenv("AWS_USE_DUALSTACK_ENDPOINT", "no", 1) == 0);
	check_endpoint(AWS_SERVICE_STS, "us-east-1", &profile,
		       "https://sts.us-east-1.amazonaws.com");
	CHECK(setenv("AWS_USE_FIPS_ENDPOINT", "", 1) == 0);
	check_endpoint(AWS_SERVICE_STS, "us-east-1", &profile,
		       "https://sts-fips.us-east-1.amazonaws.com");
	forget_variables();
}

static const struct {
	enum aws_service service;
	const char *name;
	const char *key;
	const char *variable;
} services[] = {
	{AWS_SERVICE_SSM, "ssm", "ssm", "AWS_ENDPOINT_URL_SSM"},
	{AWS_SERVICE_SECRETS_MANAGER, "secretsmanager", "secrets_manager",
	 "AWS_ENDPOINT_URL_SECRETS_MANAGER"},
	{AWS_SERVICE_STS, "sts", "sts", "AWS_ENDPOINT_URL_STS"},
	{AWS_SERVICE_REDSHIFT, "redshift", "redshift",
	 "AWS_ENDPOINT_URL_REDSHIFT"},
	{AWS_SERVICE_REDSHIFT_SERVERLESS, "redshift-serverless",
	 "redshift_serverless", "AWS_ENDPOINT_URL_REDSHIFT_SERVERLESS"},
	{AWS_SERVICE_SSO, "awsssoportal", "sso", "AWS_ENDPOINT_URL_SSO"},
	{AWS_SERVICE_SSO_OIDC, "sso-oauth", "sso_oidc",
	 "AWS_ENDPOINT_URL_SSO_OIDC"},
};

/* Each is looked for in turn; the first that is there is taken. */
static void test_order_of_overrides(void)
{
	const struct aws_endpoint_profile nothing = {.service_url = "",
						     .endpoint_url = ""};

	for (size_t i = 0; i < COUNT(services); i++) {
		enum aws_service service = services[i].service;
		struct aws_endpoint_profile profile = {
			.service_url = "https://three",
			.endpoint_url = "https://four",
			.fips = "true",
		};

		CHECK_TEXT(aws_service_name(service), services[i].name);
		CHECK_TEXT(aws_service_key(service), services[i].key);
		CHECK(setenv("AWS_ENDPOINT_URL", "https://two", 1) == 0);
		for (size_t j = 0; j < COUNT(services); j++)
			CHECK(setenv(services[j].variable,
				     j == i ? "https://one" : "https://other",
				     1) == 0);
		check_endpoint(service, NULL, &profile, "https://one");
		CHECK(unsetenv(services[i].variable) == 0);
		check_endpoint(service, NULL, &profile, "https://two");
		CHECK(setenv("AWS_ENDPOINT_URL", "", 1) == 0);
		check_endpoint(service, NULL, &profile, "https://three");
		profile.service_url = NULL;
		check_endpoint(service, NULL, &profile, "https://four");
		forget_variables();
	}
	check_endpoint(AWS_SERVICE_SSM, "us-east-1", &nothing,
		       "https://ssm.us-east-1.amazonaws.com");
}

static void test_overrides_can_be_ignored(void)
{
	static const char *const says_no[] = {"false", "1", "yes"};
	struct aws_endpoint_profile profile = {
		.service_url = "https://three",
		.endpoint_url = "https://four",
		.ignore = "true",
	};
	static const char normal[] = "https://ssm.us-east-1.amazonaws.com";

	CHECK(setenv("AWS_ENDPOINT_URL_SSM", "https://one", 1) == 0);
	CHECK(setenv("AWS_ENDPOINT_URL", "https://two", 1) == 0);
	check_endpoint(AWS_SERVICE_SSM, "us-east-1", &profile, normal);
	for (size_t i = 0; i < COUNT(says_no); i++) {
		CHECK(setenv("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", says_no[i],
			     1) == 0);
		check_endpoint(AWS_SERVICE_SSM, "us-east-1", &profile,
			       "https://one");
	}
	profile.ignore = NULL;
	CHECK(setenv("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "TRUE", 1) == 0);
	check_endpoint(AWS_SERVICE_SSM, "us-east-1", &profile, normal);
	forget_variables();
}

static void test_urls(void)
{
	static const char *const cases[][2] = {
		{"http://127.0.0.1:4566", "http://127.0.0.1:4566"},
		{"http://127.0.0.1:4566/", "http://127.0.0.1:4566"},
		{"https://h//", "https://h"},
		{"https://h/base/path/", "https://h/base/path"},
		{"https://h/a%20b/~c:@", "https://h/a%20b/~c:@"},
		{"HTTPS://VPCE-1.Example.COM/Base",
		 "https://vpce-1.example.com/Base"},
		{"https://h:443/b", "https://h/b"},
		{"https://h:80", "https://h:80"},
		{"http://h:80", "http://h"},
		{"http://h:443", "http://h:443"},
		{"http://h:65535", "http://h:65535"},
		{"http://[::1]:8080/", "http://[::1]:8080"},
		{"http://[FE80::1]", "http://[fe80::1]"},
		{"http://my_host.local.", "http://my_host.local."},
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		const struct aws_endpoint_profile profile = {
			.endpoint_url = cases[i][0],
		};

		check_endpoint(AWS_SERVICE_STS, "us-east-1", &profile,
			       cases[i][1]);
	}
}

/* The text names who set it and not the URL, which may hold a password. */
static void check_refused(const char *region,
			  const struct aws_endpoint_profile *profile,
			  const char *expected)
{
	char *got = (char *)"";
	struct err err = {0};

	CHECK(aws_endpoint(&got, AWS_SERVICE_SSM, region, profile, &err) ==
	      -EINVAL);
	CHECK(got == NULL && err.code == EINVAL);
	CHECK_TEXT(err.msg, expected);
}

static void test_bad_urls(void)
{
	static const char *const cases[] = {
		"ftp://h",
		"h",
		"//h",
		"https:/h",
		"https://",
		"https:///path",
		"https://:80",
		"https://h:",
		"https://h:0",
		"https://h:65536",
		"https://h:4294967297",
		"https://h:99999999999999999999",
		"https://h:8x",
		"https://h: 80",
		"https://h:-1",
		"https://u@h",
		"https://u:p@h",
		"https://h/?q",
		"https://h?q",
		"https://h#f",
		"https://h/#f",
		"https://h h",
		"https://h/a b",
		"https://h\r\n",
		"https://h/\r\nX: y",
		"https://h\\@x",
		"https://h/\\",
		"https://[::1",
		"https://[]",
		"https://::1",
		"https://[::1]x",
		"https://[h]",
		"https://h/\xc3\xa9",
		"https://\xc3\xa9",
		"file:///etc/passwd",
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		const struct aws_endpoint_profile profile = {
			.endpoint_url = cases[i],
		};

		(void)printf("%s\n", cases[i]);
		(void)fflush(stdout);
		check_refused("us-east-1", &profile,
			      "endpoint_url: not the http:// or https:// URL "
			      "of a host");
	}
}

static void test_who_set_a_bad_url(void)
{
	struct aws_endpoint_profile profile = {.service_url = "x"};

	check_refused("us-east-1", &profile,
		      "endpoint_url of the service: not the http:// or "
		      "https:// URL of a host");
	CHECK(setenv("AWS_ENDPOINT_URL", "x", 1) == 0);
	check_refused("us-east-1", &profile,
		      "AWS_ENDPOINT_URL: not the http:// or https:// URL of a "
		      "host");
	CHECK(setenv("AWS_ENDPOINT_URL_SSM", "x", 1) == 0);
	check_refused("us-east-1", &profile,
		      "AWS_ENDPOINT_URL_SSM: not the http:// or https:// URL "
		      "of a host");
	forget_variables();
}

/* It would end up in the name of the host that gets a signed request. */
static void test_bad_regions(void)
{
	static const char *const cases[] = {NULL, "", "x.example.com/#",
					    "us-east-1@evil", "a b"};
	const struct aws_endpoint_profile nothing = {0};

	for (size_t i = 0; i < COUNT(cases); i++)
		check_refused(cases[i], &nothing,
			      "region: must be letters, digits and \"-\"");
}

/* What is signed there is sent to the endpoint and a "/". */
static void test_urls_of_vectors(const json_t *file)
{
	const json_t *vector;
	size_t at = 0, n = 0;

	for (; (vector = vector_next(file, "header", &at)) != NULL; n++) {
		const json_t *inputs = json_object_get(vector, "inputs");
		const struct aws_endpoint_profile profile = {
			.endpoint_url =
				vector_text(inputs, "endpoint_override"),
		};
		size_t i = 0;
		char expected[256];

		(void)snprintf(expected, sizeof(expected), "%s",
			       vector_text(inputs, "url"));
		expected[strlen(expected) - 1] = '\0';
		while (strcmp(services[i].name,
			      vector_text(inputs, "service")) != 0)
			CHECK(++i < COUNT(services));
		check_endpoint(services[i].service,
			       vector_text(inputs, "region"), &profile,
			       expected);
	}
	CHECK(n == 11);
}

int main(int argc, char **argv)
{
	json_t *file = vectors_load(argc, argv);

	forget_variables();
	test_endpoints();
	test_environment_before_profile();
	test_order_of_overrides();
	test_overrides_can_be_ignored();
	test_urls();
	test_bad_urls();
	test_who_set_a_bad_url();
	test_bad_regions();
	test_urls_of_vectors(file);
	json_decref(file);
	return 0;
}
