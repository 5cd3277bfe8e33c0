/* SPDX-License-Identifier: MIT */
/*
 * What a login takes from the spec, SSM and Secrets Manager, and what is said
 * when they do not give it.
 *
 *     test_auth_resolution DIRECTORY
 */
#include "auth/resolution.h"

#include "tests/unit/attempt.h"
#include "tests/unit/check.h"

static void test_parameter(void)
{
	static const struct http_answer ok = {
		.status = "200 OK",
		.body = attempt_parameter,
	};
	struct auth_config config = attempt_config();
	struct resolved got = {0};

	config.kind = AUTH_PARAMETER;
	config.value = "/shop/password";
	config.region = "eu-west-3";
	attempt_serve(&ok, 1);
	attempt_succeed(&config, &got);
	attempt_expect(0, "AmazonSSM.GetParameter",
		       "{\"Name\":\"/shop/password\",\"WithDecryption\":true}");
	attempt_expect_signed(0, "/eu-west-3/ssm/aws4_request");
	CHECK_TEXT(got.credential.password.data, "ti\"ger");
	CHECK_TEXT(got.credential.user, "scott");
	CHECK(got.credential.port == 5432 && got.credential.expires_at == 0);
	CHECK(!got.credential.is_token && !got.credential.was_kept);
	CHECK(got.keep == KEEP_VALUES && got.keys != NULL);
	CHECK_TEXT(got.source, "ssm");
	resolved_finish(&got);

	/* An ARN tells where it is, whatever the spec says. */
	config.value = "arn:aws-cn:ssm:cn-north-1:123456789012:parameter/x";
	config.cache_ttl_ms = 60000;
	attempt_succeed(&config, &got);
	attempt_expect_signed(1, "/cn-north-1/ssm/aws4_request");
	resolved_finish(&got);
	/* It is kept, and the next login may find it outdated. */
	attempt_succeed(&config, &got);
	CHECK(got.credential.was_kept);
	CHECK(http_server_count(&attempt_server) == 2);
	resolved_finish(&got);
	http_server_stop(&attempt_server);
}

static const struct {
	struct http_answer answer;
	const char *error;
} parameter_failures[] = {
	{{.status = "200 OK",
	  .body = "{\"Parameter\":{\"Type\":\"StringList\",\"Value\":\"a,b\"}}"},
	 "password: parameter /shop/password is a StringList, and a "
	 "SecureString or a String is needed"},
	{{.status = "200 OK",
	  .body = "{\"Parameter\":{\"Type\":\"String\",\"Value\":\"\"}}"},
	 "password: parameter /shop/password is empty"},
	{{.status = "200 OK",
	  .body = "{\"Parameter\":{\"Type\":\"String\",\"Value\":\"a\\u0000b\"}}"},
	 "password: AWS's answer is not a JSON object (line 1, column 48)"},
	{{.status = "200 OK", .body = "{}"},
	 "password: parameter /shop/password is empty"},
	{{.status = "400 Bad Request",
	  .body = "{\"__type\":\"ParameterNotFound\"}"},
	 "password: parameter /shop/password: GetParameter: ParameterNotFound; "
	 "check the name and the region eu-west-3"},
	{{.status = "400 Bad Request",
	  .body = "{\"__type\":\"AccessDeniedException\",\"Message\":\"You may "
		  "not\"}"},
	 "password: parameter /shop/password: GetParameter: "
	 "AccessDeniedException: You may not; allow ssm:GetParameter in IAM"},
	{{.status = "400 Bad Request",
	  .body = "{\"__type\":\"InvalidKeyId\",\"message\":\"disabled\"}"},
	 "password: parameter /shop/password cannot be decrypted (is its KMS "
	 "key enabled, is kms:Decrypt allowed?): GetParameter: InvalidKeyId: "
	 "disabled"},
};

static void test_parameter_fails(void)
{
	struct auth_config config = attempt_config();

	config.kind = AUTH_PARAMETER;
	config.value = "/shop/password";
	config.region = "eu-west-3";
	for (size_t i = 0; i < COUNT(parameter_failures); i++) {
		attempt_serve(&parameter_failures[i].answer, 1);
		attempt_fail(&config, parameter_failures[i].error);
		CHECK(http_server_count(&attempt_server) == 1);
		http_server_stop(&attempt_server);
	}
	config.region = NULL;
	attempt_fail(
		&config,
		"password: parameter /shop/password: region: "
		"not known: set it in the spec, in AWS_REGION, or in the profile");
}

#define FULL                                                      \
	"{\\\"username\\\":\\\"u\\\",\\\"password\\\":\\\"p\\\"," \
	"\\\"host\\\":\\\"h\\\",\\\"port\\\":\\\"5433\\\","       \
	"\\\"dbname\\\":\\\"d\\\",\\\"engine\\\":\\\"x\\\"}"

/* What the secret holds, and what a spec with nothing else gets of it. */
static const struct {
	const char *body;
	const char *user;
	const char *host;
	const char *database;
	const char *password;
	uint16_t port;
	const char *error;
} secrets[] = {
	{ATTEMPT_SECRET(FULL), "u", "h", "d", "p", 5433, NULL},
	{ATTEMPT_SECRET("{\\\"username\\\":\\\"u\\\",\\\"password\\\":123,"
			"\\\"host\\\":\\\"h\\\",\\\"port\\\":5434,"
			"\\\"dbname\\\":\\\"d\\\"}"),
	 "u", "h", "d", "123", 5434, NULL},
	{ATTEMPT_SECRET(
		 "{\\\"username\\\":\\\"u\\\",\\\"password\\\":\\\"p\\\","
		 "\\\"host\\\":\\\"h\\\",\\\"port\\\":null,"
		 "\\\"dbname\\\":\\\"d\\\"}"),
	 "u", "h", "d", "p", 5432, NULL},
	/* The case counts. */
	{ATTEMPT_SECRET(
		 "{\\\"Username\\\":\\\"u\\\",\\\"password\\\":\\\"p\\\","
		 "\\\"host\\\":\\\"h\\\",\\\"dbname\\\":\\\"d\\\"}"),
	 .error = "user: is not known: it is neither in the spec nor, as "
		  "\"username\", in the secret shop"},
	{ATTEMPT_SECRET(
		 "{\\\"username\\\":\\\"u\\\",\\\"password\\\":\\\"p\\\","
		 "\\\"dbname\\\":\\\"d\\\"}"),
	 .error = "host: is not known: it is neither in the spec nor, as "
		  "\"host\", in the secret shop"},
	{ATTEMPT_SECRET(
		 "{\\\"username\\\":\\\"u\\\",\\\"password\\\":\\\"p\\\","
		 "\\\"host\\\":\\\"h\\\"}"),
	 .error = "database: is not known: it is neither in the spec nor, as "
		  "\"dbname\", in the secret shop"},
	{ATTEMPT_SECRET("{\\\"username\\\":\\\"u\\\",\\\"password\\\":\\\"\\\","
			"\\\"host\\\":\\\"h\\\",\\\"dbname\\\":\\\"d\\\"}"),
	 .error = "password: is not known: it is neither in the spec nor, as "
		  "\"password\", in the secret shop"},
	{ATTEMPT_SECRET("{\\\"username\\\":[\\\"u\\\"]}"),
	 .error = "secret_id: \"username\" in the secret shop must be a "
		  "string"},
	{ATTEMPT_SECRET("{\\\"username\\\":\\\"u\\\\u0000v\\\"}"),
	 .error = "secret_id: the secret shop is not a JSON object (line 1, "
		  "column 22)"},
	{ATTEMPT_SECRET("{\\\"port\\\":\\\"5432x\\\"}"),
	 .error = "secret_id: \"port\" in the secret shop must be a number "
		  "from 1 to 65535"},
	{ATTEMPT_SECRET("{\\\"port\\\":65536}"),
	 .error = "secret_id: \"port\" in the secret shop must be a number "
		  "from 1 to 65535"},
	{ATTEMPT_SECRET("{\\\"port\\\":0}"),
	 .error = "secret_id: \"port\" in the secret shop must be a number "
		  "from 1 to 65535"},
	{ATTEMPT_SECRET("tiger"),
	 .error = "secret_id: the secret shop is not a JSON object (line 1, "
		  "column 5)"},
	{ATTEMPT_SECRET("[]"),
	 .error = "secret_id: the secret shop is not a JSON "
		  "object"},
	{"{\"Name\":\"shop\",\"SecretBinary\":\"AAAA\"}",
	 .error = "secret_id: secret shop is binary, and a text "
		  "(SecretString) is needed"},
};

static void test_secret_alone(void)
{
	const struct auth_config config = {
		.default_port = 5432,
		.needs_login = true,
		.secret_id = "shop",
		.region = "eu-west-3",
	};

	for (size_t i = 0; i < COUNT(secrets); i++) {
		const struct http_answer answer = {
			.status = "200 OK",
			.body = secrets[i].body,
		};
		struct resolved got = {0};

		attempt_serve(&answer, 1);
		if (secrets[i].error != NULL) {
			attempt_fail(&config, secrets[i].error);
			http_server_stop(&attempt_server);
			continue;
		}
		attempt_succeed(&config, &got);
		attempt_expect(0, "secretsmanager.GetSecretValue",
			       "{\"SecretId\":\"shop\"}");
		http_server_stop(&attempt_server);
		CHECK_TEXT(got.credential.user, secrets[i].user);
		CHECK_TEXT(got.credential.host, secrets[i].host);
		CHECK_TEXT(got.credential.database, secrets[i].database);
		CHECK_TEXT(got.credential.password.data, secrets[i].password);
		CHECK(got.credential.port == secrets[i].port);
		CHECK_TEXT(got.source, "secretsmanager");
		CHECK(got.keep == KEEP_VALUES);
		resolved_finish(&got);
	}
}

static const struct {
	const char *body;
	const char *error;
} secret_failures[] = {
	{"{\"__type\":\"ResourceNotFoundException\",\"Message\":\"Secrets "
	 "Manager can't find the specified secret.\"}",
	 "secret_id: secret shop: GetSecretValue: ResourceNotFoundException: "
	 "Secrets Manager can't find the specified secret; check the name "
	 "and the region eu-west-3"},
	{"{\"__type\":\"InvalidRequestException\",\"Message\":\"You can't "
	 "perform this operation on the secret because it was marked for "
	 "deletion.\"}",
	 "secret_id: secret shop is marked for deletion (restore it, or name "
	 "another): GetSecretValue: InvalidRequestException: You can't "
	 "perform this operation on the secret because it was marked for "
	 "deletion"},
	{"{\"__type\":\"DecryptionFailure\",\"Message\":\"x\"}",
	 "secret_id: secret shop cannot be decrypted (is its KMS key "
	 "enabled, is kms:Decrypt allowed?): GetSecretValue: "
	 "DecryptionFailure: x"},
};

static void test_secret_fails(void)
{
	const struct auth_config config = {
		.needs_login = true,
		.secret_id = "shop",
		.region = "eu-west-3",
	};

	for (size_t i = 0; i < COUNT(secret_failures); i++) {
		const struct http_answer answer = {
			.status = "400 Bad Request",
			.body = secret_failures[i].body,
		};

		attempt_serve(&answer, 1);
		attempt_fail(&config, secret_failures[i].error);
		http_server_stop(&attempt_server);
	}
}

/* What the spec has goes before; the secret is asked for what is missing. */
static void test_spec_before_secret(void)
{
	static const struct http_answer script[] = {
		{.status = "200 OK", .body = attempt_parameter},
		{.status = "200 OK", .body = ATTEMPT_SECRET(FULL)},
	};
	struct auth_config config = attempt_config();
	struct resolved got = {0};

	config.kind = AUTH_PARAMETER;
	config.value = "/shop/password";
	config.secret_id = "shop";
	config.region = "eu-west-3";
	attempt_serve(script, 2);
	attempt_succeed(&config, &got);
	CHECK(http_server_count(&attempt_server) == 2);
	CHECK_TEXT(got.credential.user, "scott");
	CHECK_TEXT(got.credential.host, "db.example.com");
	CHECK_TEXT(got.credential.database, "shop");
	CHECK_TEXT(got.credential.password.data, "ti\"ger");
	CHECK(got.credential.port == 5433);
	CHECK_TEXT(got.source, "ssm");
	http_server_stop(&attempt_server);
	resolved_finish(&got);

	config.port = 6000;
	attempt_serve(script, 2);
	attempt_succeed(&config, &got);
	CHECK(http_server_count(&attempt_server) == 1);
	CHECK(got.credential.port == 6000);
	http_server_stop(&attempt_server);
	resolved_finish(&got);
}

/* A password of this machine goes together with a host out of a secret. */
static void test_local_password_with_secret(void)
{
	static const struct http_answer secret = {
		.status = "200 OK",
		.body = ATTEMPT_SECRET(FULL),
	};
	const struct auth_config config = {
		.kind = AUTH_STATIC,
		.value = "tiger",
		.needs_login = true,
		.secret_id = "shop",
		.region = "eu-west-3",
	};
	struct resolved got = {0};

	attempt_serve(&secret, 1);
	attempt_succeed(&config, &got);
	CHECK_TEXT(got.credential.password.data, "tiger");
	CHECK_TEXT(got.credential.host, "h");
	CHECK_TEXT(got.source, "static");
	http_server_stop(&attempt_server);
	resolved_finish(&got);
}

int main(int argc, char **argv)
{
	check_init(argc, argv);
	attempt_init();
	test_parameter();
	test_parameter_fails();
	test_secret_alone();
	test_secret_fails();
	test_spec_before_secret();
	test_local_password_with_secret();
	return 0;
}
