/* SPDX-License-Identifier: MIT */
/* auth/aws/source.h: the providers beside us: files, programs, metadata. */
#include "auth/aws/source.h"

#include <errno.h>
#include <stdbool.h>

#include "auth/auth.h"
#include "tests/unit/aws_home.h"
#include "tests/unit/aws_source.h"
#include "tests/unit/check.h"

static void test_keys_of_the_environment(void)
{
	aws_set("AWS_ACCESS_KEY_ID", "AKIAENV");
	expect_error(NULL, "environment: AWS_SECRET_ACCESS_KEY is not set");
	aws_set("AWS_SECRET_ACCESS_KEY", "s3cr3t");
	expect_keys(NULL, "AKIAENV", NULL, 0);
	aws_set("AWS_SECURITY_TOKEN", "old");
	expect_keys(NULL, "AKIAENV", "old", 0);
	aws_set("AWS_SESSION_TOKEN", "token");
	aws_set("AWS_CREDENTIAL_EXPIRATION", EXPIRES);
	expect_keys(NULL, "AKIAENV", "token", expiry());
	aws_set("AWS_CREDENTIAL_EXPIRATION", "2020-01-01T00:00:00Z");
	expect_error(NULL, "environment: the keys expired at "
			   "2020-01-01T00:00:00Z, and those of an "
			   "environment cannot be renewed: mount again with "
			   "new ones, or use a profile");
	aws_set("AWS_CREDENTIAL_EXPIRATION", "tomorrow");
	expect_error(NULL, "environment: AWS_CREDENTIAL_EXPIRATION is no "
			   "ISO 8601 time");
	aws_set("AWS_CREDENTIAL_EXPIRATION", NULL);
	aws_set("AWS_ACCESS_KEY_ID", NULL);
	aws_set("AWS_SECRET_ACCESS_KEY", NULL);
	aws_set("AWS_SESSION_TOKEN", NULL);
	aws_set("AWS_SECURITY_TOKEN", NULL);
}

static void test_keys_of_a_profile(void)
{
	check_write("config", 0644, "");
	check_write("credentials", 0600,
		    "[a]\naws_access_key_id = AKIAFILE\n"
		    "aws_secret_access_key = s3cr3t\n"
		    "aws_session_token = token\n");
	expect_keys("a", "AKIAFILE", "token", 0);
}

static const struct {
	const char *command;
	const char *words; /* each with a "|" behind it; null: error */
	const char *error;
} splits[] = {
	{"/bin/x", "/bin/x|", NULL},
	{"  a  b\tc ", "a|b|c|", NULL},
	{"a 'b c' \"d e\"", "a|b c|d e|", NULL},
	{"a b'c d'e\"f g\"h", "a|bc def gh|", NULL},
	{"a '' \"\"", "a|||", NULL},
	{"a b\\ c \\'d", "a|b c|'d|", NULL},
	{"a 'b\\c' \"d\\e\\\"f\\\\\"", "a|b\\c|d\\e\"f\\|", NULL},
	{"a $HOME `id` > x; y", "a|$HOME|`id`|>|x;|y|", NULL},
	{"a 'b", NULL, "credential_process: it ends inside of a quote"},
	{"a \"b\\\"", NULL, "credential_process: it ends inside of a quote"},
	{"a b\\", NULL, "credential_process: it ends inside of a quote"},
	{"  ", NULL, "credential_process: no program is named"},
};

static void test_commands_are_split_as_a_shell_does(void)
{
	for (size_t i = 0; i < COUNT(splits); i++) {
		char words[256] = "";
		struct err err = {0};
		char **argv;
		int rc = aws_process_split(&argv, splits[i].command, &err);

		CHECK((rc < 0) == (splits[i].words == NULL));
		for (size_t k = 0; argv != NULL && argv[k] != NULL; k++) {
			size_t len = strlen(words);

			(void)snprintf(words + len, sizeof(words) - len, "%s|",
				       argv[k]);
		}
		CHECK_TEXT(words, rc == 0 ? splits[i].words : "");
		CHECK_TEXT(err.msg, rc < 0 ? splits[i].error : "");
		aws_process_argv_free(argv);
	}
}

#define BY_HAND " (run it by hand as the user who mounted)"

static const struct {
	const char *script;
	const char *error; /* null: keys */
} processes[] = {
	{"echo '{\"Version\":1,\"AccessKeyId\":\"AKIAP\","
	 "\"SecretAccessKey\":\"s3cr3t\",\"SessionToken\":\"token\","
	 "\"Expiration\":\"" EXPIRES "\"}'",
	 NULL},
	{"echo 'log in first' >&2; exit 7",
	 "profile p: credential_process: /bin/sh ended with exit status 7: log "
	 "in first" BY_HAND},
	{"echo '{\"Version\":2}'",
	 "profile p: credential_process: its output has no \"Version\": 1"},
	{"echo '{\"Version\":1,\"AccessKeyId\":\"AKIAP\"}'",
	 "profile p: credential_process: the answer has no SecretAccessKey"},
	{"echo '{\"Version\":1,\"AccessKeyId\":\"AKIAP\","
	 "\"SecretAccessKey\":\"x\",\"Expiration\":\"soon\"}'",
	 "profile p: credential_process: the Expiration in the answer is no ISO "
	 "8601 time"},
	{"echo AKIAP",
	 "profile p: credential_process: its output is not a JSON object (line "
	 "1, column 5)"},
};

static void test_keys_of_a_program(void)
{
	for (size_t i = 0; i < COUNT(processes); i++) {
		char config[1024];

		check_write("script", 0700, processes[i].script);
		(void)snprintf(config, sizeof(config),
			       "[profile p]\ncredential_process = /bin/sh "
			       "\"%s\"\n",
			       check_path("script"));
		check_write("config", 0644, config);
		if (processes[i].error == NULL)
			expect_keys("p", "AKIAP", "token", expiry());
		else
			expect_error("p", processes[i].error);
	}
}

/* A program of PATH, which is given what was taken from the environment. */
static void test_programs_see_the_keys_that_were_taken(void)
{
	char path[1200];

	aws_set("AWS_SECRET_ACCESS_KEY", "s3cr3t");
	CHECK(auth_take_env("AWS_SECRET_ACCESS_KEY") == 0);
	CHECK(getenv("AWS_SECRET_ACCESS_KEY") == NULL);
	check_write("in-path", 0700,
		    "#!/bin/sh\necho '{\"Version\":1,\"AccessKeyId\":\"AKIAQ\","
		    "\"SecretAccessKey\":\"'$AWS_SECRET_ACCESS_KEY'\"}'\n");
	(void)snprintf(path, sizeof(path), "%s:/bin", check_dir);
	aws_set("PATH", path);
	check_write("config", 0644, "[profile p]\ncredential_process=in-path");
	expect_keys("p", "AKIAQ", NULL, 0);
}

#define KEYS(token)                                           \
	"{\"Code\":\"Success\",\"AccessKeyId\":\"AKIAHTTP\"," \
	"\"SecretAccessKey\":\"s3cr3t\",\"" token             \
	"\":\"token\",\"Expiration\":\"" EXPIRES "\"}"

static void test_keys_of_a_container(void)
{
	static const struct http_answer script[] = {
		{.status = "500 Internal Server Error"},
		{.status = "200 OK", .body = KEYS("Token")},
		{.status = "200 OK", .body = KEYS("Token")},
		{.status = "403 Forbidden",
		 .body = "{\"Code\":\"x\",\"Message\":\"no token\"}"},
		{.status = "400 Bad Request", .body = "<html>"},
	};
	char url[80], error[1200];

	check_write("config", 0644, "");
	check_write("credentials", 0600, "");
	http_server_start(&aws_server, script, COUNT(script));
	(void)snprintf(url, sizeof(url), "%s/v1/keys?a=b", aws_server.url);
	aws_set("AWS_CONTAINER_CREDENTIALS_FULL_URI", url);
	aws_set("AWS_CONTAINER_AUTHORIZATION_TOKEN", "of the variable");
	expect_keys(NULL, "AKIAHTTP", "token", expiry());
	expect_request(1, "GET /v1/keys?a=b HTTP/1.1");
	CHECK_TEXT(http_server_header(&aws_server, 1, "Accept"),
		   "application/json");
	CHECK_TEXT(http_server_header(&aws_server, 1, "Authorization"),
		   "of the variable");
	/* The file wins, and is read each time. */
	aws_set("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", check_path("token"));
	check_write("token", 0600, "of the file \r\n");
	expect_keys(NULL, "AKIAHTTP", "token", expiry());
	CHECK_TEXT(http_server_header(&aws_server, 2, "Authorization"),
		   "of the file");
	check_write("token", 0600, "another");
	expect_error(NULL, "container: the container's agent answered 403: "
			   "no token");
	CHECK_TEXT(http_server_header(&aws_server, 3, "Authorization"),
		   "another");
	expect_error(NULL, "container: the container's agent answered 400");
	check_write("token", 0600, "a\r\nHost: evil");
	(void)snprintf(error, sizeof(error),
		       "container: AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE: %s "
		       "holds more than one line",
		       check_path("token"));
	expect_error(NULL, error);
	CHECK(http_server_count(&aws_server) == 5);
	http_server_stop(&aws_server);
	aws_set("AWS_CONTAINER_CREDENTIALS_FULL_URI", NULL);
	aws_set("AWS_CONTAINER_AUTHORIZATION_TOKEN", NULL);
	aws_set("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", NULL);
}

static const struct {
	const char *url;
	bool is_allowed;
} container_urls[] = {
	{"http://127.0.0.1:1/", true},
	{"http://127.8.9.10/", true},
	{"http://LOCALHOST/", true},
	{"http://[::1]:80/x", true},
	{"http://169.254.170.2/", true},
	{"http://169.254.170.23/v1/credentials", true},
	{"http://[fd00:ec2::23]/v1/credentials", true},
	{"https://example.com/", true},
	{"http://example.com/", false},
	{"http://169.254.169.254/", false},
	{"http://[fd00:ec2::254]/", false},
	{"http://127.0.0.1@example.com/", false},
	{"http://127.0.0.1.example.com/", false},
	{"http://localhost.example.com/", false},
	{"http://[::ffff:127.0.0.1]/", false},
	{"ftp://127.0.0.1/", false},
	{"file:///etc/passwd", false},
};

static void test_tokens_of_containers_go_to_known_hosts_only(void)
{
	for (size_t i = 0; i < COUNT(container_urls); i++) {
		struct aws_source *source;
		struct err err = {0};
		int rc;

		aws_set("AWS_CONTAINER_CREDENTIALS_FULL_URI",
			container_urls[i].url);
		rc = aws_container_source_create(&source, &err);
		if ((rc == 0) != container_urls[i].is_allowed)
			CHECK_TEXT(err.msg, container_urls[i].url);
		aws_source_destroy(source);
	}
	aws_set("AWS_CONTAINER_CREDENTIALS_FULL_URI", NULL);
}

static void start_imds(const struct http_answer *script, size_t n)
{
	check_write("config", 0644,
		    "[profile i]\nrole_arn=arn:aws:iam::1:role/r\n"
		    "credential_source=Ec2InstanceMetadata\n");
	http_server_start(&aws_server, script, n);
	aws_set("AWS_EC2_METADATA_DISABLED", NULL);
	aws_set("AWS_EC2_METADATA_SERVICE_ENDPOINT", aws_server.url);
}

static void stop_imds(void)
{
	http_server_stop(&aws_server);
	aws_set("AWS_EC2_METADATA_DISABLED", "true");
	aws_set("AWS_EC2_METADATA_SERVICE_ENDPOINT", NULL);
}

/* Without the text of what else was looked for. */
static void expect_imds_error(const char *error)
{
	auto_settings struct aws_settings settings = {0};
	auto_aws_keys struct aws_keys keys = {0};
	struct aws_source *source;
	struct err err = {0};

	CHECK(aws_settings_init(&settings, NULL, NULL, &err) == 0);
	CHECK(aws_imds_source_create(&source, &settings, NULL, &err) == 0);
	CHECK(aws_source_fetch(source, &keys, &err) == -err.code);
	CHECK(strstr(err.msg, error) != NULL);
	aws_source_destroy(source);
}

#define ROLES "GET /latest/meta-data/iam/security-credentials/"

static void test_keys_of_an_instance(void)
{
	static const struct http_answer script[] = {
		{.status = "200 OK", .body = "session"},
		{.status = "200 OK", .body = "my-role\n"},
		{.status = "401 Unauthorized"},
		{.status = "200 OK", .body = "session2"},
		{.status = "200 OK", .body = KEYS("Token")},
		{.status = "200 OK", .body = "session3"},
		{.status = "200 OK", .body = "my-role"},
		{.status = "200 OK",
		 .body = "{\"Code\":\"AssumeRoleUnauthorizedAccess\","
			 "\"Message\":\"EC2 cannot assume it\"}"},
		{.status = "200 OK", .body = "session4"},
		{.status = "200 OK", .body = "../evil"},
	};

	start_imds(script, COUNT(script));
	expect_keys(NULL, "AKIAHTTP", "token", expiry());
	expect_request(0, "PUT /latest/api/token HTTP/1.1");
	CHECK_TEXT(http_server_header(&aws_server, 0,
				      "x-aws-ec2-metadata-token-ttl-seconds"),
		   "21600");
	expect_request(1, ROLES " HTTP/1.1");
	CHECK_TEXT(http_server_header(&aws_server, 1,
				      "x-aws-ec2-metadata-token"),
		   "session");
	expect_request(2, ROLES "my-role HTTP/1.1");
	expect_request(4, ROLES "my-role HTTP/1.1");
	CHECK_TEXT(http_server_header(&aws_server, 4,
				      "x-aws-ec2-metadata-token"),
		   "session2");
	expect_imds_error("imds: the metadata service says "
			  "AssumeRoleUnauthorizedAccess: EC2 cannot assume it");
	expect_imds_error("imds: the metadata service names no role");
	stop_imds();
}

static void test_an_instance_without_a_role_is_remembered(void)
{
	static const struct http_answer script[] = {
		{.status = "200 OK", .body = "session"},
		{.status = "404 Not Found"},
	};

	start_imds(script, COUNT(script));
	expect_imds_error("imds: the instance has no role");
	expect_imds_error("imds: the instance has no role");
	CHECK(http_server_count(&aws_server) == 2);
	stop_imds();
}

/* As in a container, where the answer is one hop too far away. */
static void test_silence_of_an_instance_is_remembered(void)
{
	static const struct http_answer script[] = {{.manner = HTTP_STALLS}};

	start_imds(script, COUNT(script));
	expect_imds_error("imds: 127.0.0.1");
	expect_imds_error("imds: 127.0.0.1");
	CHECK(http_server_count(&aws_server) == 1);
	stop_imds();
}

static void test_version_1_is_not_spoken(void)
{
	static const struct http_answer script[] = {
		{.status = "403 Forbidden"},
		{.status = "200 OK", .body = "my-role"},
	};

	start_imds(script, COUNT(script));
	expect_imds_error("imds: the metadata service refused a session of "
			  "version 2 (status 403)");
	CHECK(http_server_count(&aws_server) == 1);
	stop_imds();
}

static void test_region_of_an_instance_is_the_last_to_be_asked(void)
{
	static const struct http_answer script[] = {
		{.status = "200 OK", .body = "session"},
		{.status = "200 OK", .body = "eu-central-1"},
	};
	auto_settings struct aws_settings settings = {0};
	char region[AWS_REGION_SIZE];
	struct err err = {0};

	start_imds(script, COUNT(script));
	CHECK(aws_settings_init(&settings, NULL, NULL, &err) == 0);
	for (int i = 0; i < 2; i++) {
		CHECK(aws_settings_region(&settings, NULL, region, &err) == 0);
		CHECK_TEXT(region, "eu-central-1");
	}
	CHECK(http_server_count(&aws_server) == 2);
	expect_request(1, "GET /latest/meta-data/placement/region HTTP/1.1");
	aws_set("AWS_EC2_METADATA_DISABLED", "true");
	CHECK(aws_settings_region(&settings, NULL, region, &err) == -EINVAL);
	stop_imds();
	aws_set("AWS_DEFAULT_REGION", "eu-west-3");
	CHECK(aws_settings_region(&settings, NULL, region, &err) == 0);
	CHECK_TEXT(region, "eu-west-3");
	aws_set("AWS_REGION", "eu-west-2");
	CHECK(aws_settings_region(&settings, NULL, region, &err) == 0);
	CHECK_TEXT(region, "eu-west-2");
	CHECK(aws_settings_region(&settings, "eu-west-1", region, &err) == 0);
	CHECK_TEXT(region, "eu-west-1");
	aws_set("AWS_REGION", "evil.example/");
	CHECK(aws_settings_region(&settings, NULL, region, &err) == -EINVAL);
	CHECK_TEXT(err.msg, "AWS_REGION: not the name of a region of AWS");
	aws_set("AWS_REGION", NULL);
	aws_set("AWS_DEFAULT_REGION", NULL);
	CHECK(aws_settings_region(&settings, NULL, region, &err) == -EINVAL);
	CHECK_TEXT(err.msg, "region: not known: set it in the spec, in "
			    "AWS_REGION, or in the profile");
}

int main(int argc, char **argv)
{
	check_init(argc, argv);
	aws_home_init();
	test_keys_of_the_environment();
	test_keys_of_a_profile();
	test_commands_are_split_as_a_shell_does();
	test_keys_of_a_program();
	test_keys_of_a_container();
	test_tokens_of_containers_go_to_known_hosts_only();
	test_keys_of_an_instance();
	test_an_instance_without_a_role_is_remembered();
	test_silence_of_an_instance_is_remembered();
	test_version_1_is_not_spoken();
	test_region_of_an_instance_is_the_last_to_be_asked();
	test_programs_see_the_keys_that_were_taken();
	return 0;
}
