/* SPDX-License-Identifier: MIT */
/* auth/aws/identity.h: who shares keys, and what renews them. */
#include "auth/aws/identity.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <time.h>

#include "auth/auth.h"
#include "auth/env.h"
#include "auth/provider.h"
#include "tests/unit/aws_home.h"
#include "tests/unit/check.h"
#include "tests/unit/http_server.h"

enum { N_THREADS = 50, LOOK_MS = 10, LOOKS = 2000 };

static struct aws_identity *get(const struct aws_identity_config *config)
{
	struct aws_identity *id;
	struct err err = {0};

	CHECK(aws_identity_get(&id, config, &err) == 0);
	return id;
}

static struct aws_identity *get_profile(const char *profile)
{
	const struct aws_identity_config config = {.profile = profile};

	return get(&config);
}

static void expect(struct aws_identity *id, const char *access_key)
{
	auto_aws_keys struct aws_keys keys = {0};
	struct err err = {0};

	(void)aws_identity_keys(id, 0, &keys, &err);
	CHECK_TEXT(err.msg, "");
	CHECK_TEXT(keys.access_key.data, access_key);
}

static void test_equal_configs_share_an_identity(void)
{
	const struct aws_tag tags[] = {{"team", "etl"}, {"env", "dev"}};
	const struct aws_identity_config configs[] = {
		{0},
		{.profile = "a"},
		{.profile = "a", .region = "eu-west-1"},
		{.role_arn = "arn:aws:iam::1:role/r"},
		{.role_arn = "arn:aws:iam::1:role/r", .external_id = "x"},
		{.role_arn = "arn:aws:iam::1:role/r", .session_name = "s"},
		{.role_arn = "arn:aws:iam::1:role/r", .tags = tags, .n_tags = 1},
		{.role_arn = "arn:aws:iam::1:role/r", .tags = tags, .n_tags = 2},
		{.role_arn = "arn:aws:iam::1:role/r",
		 .tags = tags + 1,
		 .n_tags = 1},
	};
	struct aws_identity *first[COUNT(configs)];

	for (size_t i = 0; i < COUNT(configs); i++) {
		first[i] = get(&configs[i]);
		for (size_t k = 0; k < i; k++)
			CHECK(first[i] != first[k]);
	}
	for (size_t i = 0; i < COUNT(configs); i++) {
		struct aws_identity *again = get(&configs[i]);

		CHECK(again == first[i]);
		aws_identity_unref(again);
		aws_identity_unref(first[i]);
	}
}

/* A session's name is of no use to who assumes no role. */
static void test_what_only_a_role_needs_does_not_part_others(void)
{
	const struct aws_identity_config named = {.session_name = "s",
						  .external_id = "x"};
	struct aws_identity *a = get_profile(NULL);
	struct aws_identity *b = get(&named);

	CHECK(a == b);
	aws_identity_unref(a);
	aws_identity_unref(b);
}

static void write_credentials(const char *access_key)
{
	char text[200];

	(void)snprintf(text, sizeof(text),
		       "[a]\naws_access_key_id=%s\naws_secret_access_key=s\n",
		       access_key);
	check_write("credentials", 0600, text);
}

static void test_files_that_change_are_seen_at_once(void)
{
	struct aws_identity_status status;
	struct aws_identity *id;

	check_write("config", 0644, "");
	write_credentials("AKIAONE");
	id = get_profile("a");
	aws_identity_status(id, &status);
	CHECK_TEXT(status.source, "");
	expect(id, "AKIAONE");
	aws_identity_status(id, &status);
	CHECK_TEXT(status.source, "profile a");
	CHECK(status.expires_at == 0 && status.error.code == 0);
	write_credentials("AKIATWO");
	expect(id, "AKIATWO");
	/* Half written, by whatever rotates it. */
	check_write("credentials", 0600, "[a]\naws_access_key_id=AKIATHREE\n");
	expect(id, "AKIATWO");
	aws_identity_status(id, &status);
	CHECK(status.error.code == EINVAL);
	write_credentials("AKIATHREE");
	expect(id, "AKIATHREE");
	aws_identity_status(id, &status);
	CHECK_TEXT(status.error.msg, "");
	aws_identity_unref(id);
}

/* Keys with seconds to live, by a program that counts its runs. */
static void write_process(int seconds)
{
	char text[2000];

	check_write("runs", 0600, "");
	(void)snprintf(text, sizeof(text),
		       "echo x >>%s\n"
		       "n=$(wc -l <%s)\n"
		       "e=$(date -u -d '%d seconds' +%%Y-%%m-%%dT%%H:%%M:%%SZ)\n"
		       "echo '{\"Version\":1,\"AccessKeyId\":\"AKIA'$n'\","
		       "\"SecretAccessKey\":\"s\",\"SessionToken\":\"t\","
		       "\"Expiration\":\"'$e'\"}'\n",
		       check_path("runs"), check_path("runs"), seconds);
	check_write("script", 0700, text);
	(void)snprintf(text, sizeof(text),
		       "[profile p]\ncredential_process = /bin/sh %s\n",
		       check_path("script"));
	check_write("config", 0644, text);
}

static long n_runs(void)
{
	struct stat st;

	CHECK(stat(check_path("runs"), &st) == 0);
	return (long)st.st_size / 2;
}

static void *use(void *arg)
{
	auto_aws_keys struct aws_keys keys = {0};
	struct aws_identity *id = get_profile("p");
	struct aws_identity_status status;
	struct err err = {0};

	(void)aws_identity_keys(id, 900, &keys, &err);
	CHECK_TEXT(err.msg, "");
	CHECK_TEXT(keys.access_key.data, "AKIA1");
	aws_identity_status(id, &status);
	CHECK_TEXT(status.source, "profile p");
	aws_identity_unref(id);
	return NULL;
}

static void test_a_crowd_runs_a_program_once(void)
{
	struct aws_identity *held = get_profile("p");
	pthread_t threads[N_THREADS];

	write_process(3600);
	for (size_t i = 0; i < N_THREADS; i++)
		CHECK(pthread_create(&threads[i], NULL, use, NULL) == 0);
	for (size_t i = 0; i < N_THREADS; i++)
		CHECK(pthread_join(threads[i], NULL) == 0);
	CHECK(n_runs() == 1);
	/* Changes that are none of its business. */
	write_credentials("AKIAOTHER");
	expect(held, "AKIA1");
	CHECK(n_runs() == 1);
	aws_identity_unref(held);
	/* Nobody held it: it starts anew. */
	held = get_profile("p");
	expect(held, "AKIA2");
	aws_identity_unref(held);
}

/* The last reference is then that of the thread that is renewing them. */
static void test_keys_are_renewed_in_the_background(void)
{
	struct aws_identity *id = get_profile("p");
	int looks = 0;

	write_process(6);
	expect(id, "AKIA1");
	while (n_runs() < 2 && looks++ < LOOKS)
		CHECK(poll(NULL, 0, LOOK_MS) == 0);
	CHECK(n_runs() == 2);
	aws_identity_unref(id);
}

static void test_a_failure_names_the_source_and_is_shown(void)
{
	struct aws_identity *id = get_profile("missing");
	auto_aws_keys struct aws_keys keys = {0};
	struct aws_identity_status status;
	struct err err = {0};

	CHECK(aws_identity_keys(id, 0, &keys, &err) == -ENOENT);
	CHECK(strncmp(err.msg, "profile missing: there is neither ", 34) == 0);
	aws_identity_status(id, &status);
	CHECK_TEXT(status.error.msg, err.msg);
	/* What was missing is found as soon as it is there. */
	check_write("config", 0644,
		    "[profile missing]\naws_access_key_id=AKIAFOUND\n"
		    "aws_secret_access_key=s\n");
	expect(id, "AKIAFOUND");
	aws_identity_unref(id);
}

#define STS_ANSWER(key)                                       \
	"<AssumeRoleResponse><AssumeRoleResult><Credentials>" \
	"<AccessKeyId>" key "</AccessKeyId>"                  \
	"<SecretAccessKey>s</SecretAccessKey>"                \
	"<SessionToken>t</SessionToken>"                      \
	"<Expiration>2099-01-02T03:04:05Z</Expiration>"       \
	"</Credentials></AssumeRoleResult></AssumeRoleResponse>"

#define DENIED                                                        \
	"<ErrorResponse><Error><Type>Sender</Type><Code>AccessDenied" \
	"</Code><Message>not authorized</Message></Error></ErrorResponse>"

static struct http_server server;

static void test_a_role_is_assumed_with_what_the_spec_says(void)
{
	static const struct http_answer script[] = {
		{.status = "403 Forbidden", .body = DENIED},
		{.status = "200 OK", .body = STS_ANSWER("ASIAROLE")},
	};
	const struct aws_tag tags[] = {{"team", "a b"}, {"env", "dev"}};
	const struct aws_identity_config config = {
		.profile = "a",
		.region = "eu-west-1",
		.role_arn = "arn:aws:iam::1:role/path/reader",
		.external_id = "ext=1",
		.session_name = "lava dev/etl",
		.tags = tags,
		.n_tags = COUNT(tags),
	};
	auto_aws_keys struct aws_keys keys = {0};
	struct aws_identity_status status;
	struct aws_identity *id;
	struct err err = {0};

	http_server_start(&server, script, COUNT(script));
	CHECK(setenv("AWS_ENDPOINT_URL_STS", server.url, 1) == 0);
	check_write("config", 0644, "");
	write_credentials("AKIABASE");
	id = get(&config);
	CHECK(aws_identity_keys(id, 0, &keys, &err) == -EACCES);
	CHECK(strncmp(err.msg, "role reader: ", 13) == 0);
	CHECK(strstr(err.msg, "AccessDenied") != NULL);
	CHECK(strstr(err.msg, "external_id") != NULL);
	CHECK_TEXT(http_server_body(&server, 0),
		   "Action=AssumeRole&Version=2011-06-15"
		   "&RoleArn=arn%3Aaws%3Aiam%3A%3A1%3Arole%2Fpath%2Freader"
		   "&RoleSessionName=lava.dev.etl&DurationSeconds=3600"
		   "&ExternalId=ext%3D1"
		   "&Tags.member.1.Key=team&Tags.member.1.Value=a%20b"
		   "&Tags.member.2.Key=env&Tags.member.2.Value=dev");
	CHECK(strstr(http_server_header(&server, 0, "Authorization"),
		     "/eu-west-1/sts/aws4_request") != NULL);
	/* The same text for a while, without another call. */
	CHECK(aws_identity_keys(id, 0, &keys, &err) == -EACCES);
	CHECK(http_server_count(&server) == 1);
	/* But who insists is served. */
	for (int i = 0; i < LOOKS && keys.access_key.len == 0; i++) {
		const struct aws_signer *signer = aws_identity_signer(id);

		CHECK(poll(NULL, 0, LOOK_MS) == 0);
		(void)signer->keys(signer->arg, true, &keys, &err);
	}
	CHECK_TEXT(keys.access_key.data, "ASIAROLE");
	aws_identity_status(id, &status);
	CHECK_TEXT(status.source, "role reader");
	CHECK(status.expires_at > 4000000000 && status.error.code == 0);
	aws_identity_unref(id);
	http_server_stop(&server);
	CHECK(unsetenv("AWS_ENDPOINT_URL_STS") == 0);
}

/* creds/refresh, once somebody has logged in. */
static void test_refreshing_a_role_asks_who_assumes_it(void)
{
	static const struct http_answer script[] = {
		{.status = "200 OK", .body = STS_ANSWER("ASIAROLE")},
	};
	const struct aws_identity_config config = {
		.profile = "p",
		.region = "eu-west-1",
		.role_arn = "arn:aws:iam::1:role/reader",
	};
	auto_aws_keys struct aws_keys keys = {0};
	struct aws_identity *id = get(&config);
	const struct aws_signer *signer = aws_identity_signer(id);
	struct err err = {0};

	http_server_start(&server, script, COUNT(script));
	CHECK(setenv("AWS_ENDPOINT_URL_STS", server.url, 1) == 0);
	write_process(3600);
	check_write("script", 0700, "exit 1");
	CHECK(aws_identity_keys(id, 0, &keys, &err) < 0);
	CHECK(strstr(err.msg, "profile p: credential_process: ") != NULL);
	CHECK(http_server_count(&server) == 0);
	write_process(3600);
	for (int i = 0; i < LOOKS && keys.access_key.len == 0; i++) {
		CHECK(poll(NULL, 0, LOOK_MS) == 0);
		(void)signer->keys(signer->arg, true, &keys, &err);
	}
	CHECK_TEXT(keys.access_key.data, "ASIAROLE");
	aws_identity_unref(id);
	http_server_stop(&server);
	CHECK(unsetenv("AWS_ENDPOINT_URL_STS") == 0);
}

static void test_the_profile_says_where_services_are(void)
{
	struct aws_identity *id = get_profile("here");
	char region[AWS_REGION_SIZE];
	struct err err = {0};
	char *text;

	check_write("config", 0644,
		    "[profile here]\nregion = eu-north-1\nservices = local\n"
		    "ca_bundle = ~/ca.pem\nendpoint_url = http://all:1\n"
		    "[services local]\nssm =\n  endpoint_url = http://ssm:2\n");
	CHECK(aws_identity_region(id, region, &err) == 0);
	CHECK_TEXT(region, "eu-north-1");
	CHECK(aws_identity_endpoint(id, AWS_SERVICE_SSM, region, &text, &err) ==
	      0);
	CHECK_TEXT(text, "http://ssm:2");
	free(text);
	CHECK(aws_identity_endpoint(id, AWS_SERVICE_STS, region, &text, &err) ==
	      0);
	CHECK_TEXT(text, "http://all:1");
	free(text);
	text = aws_identity_ca_file(id);
	CHECK_TEXT(text, check_path("ca.pem"));
	free(text);
	aws_identity_unref(id);
}

static void expect_child_sees(const char *entry, bool sees)
{
	struct auth_environ e;
	bool found = false;

	CHECK(auth_environ_enter(&e) == 0);
	for (size_t i = 0; e.vars[i] != NULL; i++)
		found |= strcmp(e.vars[i], entry) == 0;
	auth_environ_leave(&e);
	CHECK(found == sees);
}

static void test_keys_are_taken_out_of_the_environment(void)
{
	const struct auth_config password = {.kind = AUTH_ENV,
					     .value = "AWS_SESSION_TOKEN"};
	auto_secret struct secret value = {0};
	auto_aws_keys struct aws_keys keys = {0};
	struct aws_identity *id;
	struct err err = {0};
	void *state;

	CHECK(setenv("AWS_ACCESS_KEY_ID", "AKIAENV", 1) == 0);
	CHECK(setenv("AWS_SECRET_ACCESS_KEY", "s3cr3t", 1) == 0);
	CHECK(setenv("AWS_SESSION_TOKEN", "token", 1) == 0);
	CHECK(auth_take_aws_env() == 0);
	CHECK(getenv("AWS_ACCESS_KEY_ID") == NULL);
	CHECK(getenv("AWS_SECRET_ACCESS_KEY") == NULL);
	CHECK(getenv("AWS_SESSION_TOKEN") == NULL);
	id = get_profile(NULL);
	CHECK(aws_identity_keys(id, 900, &keys, &err) == 0);
	CHECK_TEXT(keys.access_key.data, "AKIAENV");
	CHECK_TEXT(keys.secret_key.data, "s3cr3t");
	CHECK_TEXT(keys.session_token.data, "token");
	aws_identity_unref(id);
	CHECK(auth_taken_env(&value, "AWS_SECURITY_TOKEN") == -ENOENT);
	expect_child_sees("AWS_SECRET_ACCESS_KEY=s3cr3t", true);
	expect_child_sees("AWS_SESSION_TOKEN=token", true);
	/* As the password of a connection it is no program's business. */
	CHECK(auth_env_provider.create(&state, &password, &err) == 0);
	expect_child_sees("AWS_SESSION_TOKEN=token", false);
	auth_env_provider.destroy(state);
}

int main(int argc, char **argv)
{
	check_init(argc, argv);
	aws_home_init();
	test_equal_configs_share_an_identity();
	test_what_only_a_role_needs_does_not_part_others();
	test_files_that_change_are_seen_at_once();
	test_a_crowd_runs_a_program_once();
	test_keys_are_renewed_in_the_background();
	test_a_failure_names_the_source_and_is_shown();
	test_a_role_is_assumed_with_what_the_spec_says();
	test_refreshing_a_role_asks_who_assumes_it();
	test_the_profile_says_where_services_are();
	test_keys_are_taken_out_of_the_environment();
	return 0;
}
