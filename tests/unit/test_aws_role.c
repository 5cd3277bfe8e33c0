/* SPDX-License-Identifier: MIT */
/* auth/aws/source.h: the providers that AWS itself answers: roles and SSO. */
#include "auth/aws/source.h"

#include <errno.h>

#include "auth/aws/sts.h"
#include "tests/unit/aws_home.h"
#include "tests/unit/aws_source.h"
#include "tests/unit/check.h"

#define STS_ANSWER(action)                                           \
	"<" action "Response xmlns=\"https://sts.amazonaws.com/doc/" \
	"2011-06-15/\"><" action                                     \
	"Result><Credentials><AccessKeyId>ASIASTS</AccessKeyId>"     \
	"<SecretAccessKey>s3cr3t</SecretAccessKey>"                  \
	"<SessionToken>token</SessionToken><Expiration>" EXPIRES     \
	"</Expiration></Credentials></" action "Result></" action "Response>"

static void test_role_of_a_web_identity(void)
{
	static const struct http_answer script[] = {
		{.status = "200 OK",
		 .body = STS_ANSWER("AssumeRoleWithWebIdentity")},
	};

	http_server_start(&aws_server, script, COUNT(script));
	aws_set("AWS_ENDPOINT_URL_STS", aws_server.url);
	check_write("token", 0600, "e+y/J\n");
	check_write("config", 0644,
		    "[profile w]\nweb_identity_token_file=~/token\n"
		    "role_arn=arn:aws:iam::1:role/r\nregion=eu-west-1\n"
		    "role_session_name=my job/7\n");
	expect_keys("w", "ASIASTS", "token", expiry());
	CHECK(http_server_header(&aws_server, 0, "Authorization") == NULL);
	CHECK_TEXT(http_server_body(&aws_server, 0),
		   "Action=AssumeRoleWithWebIdentity&Version=2011-06-15"
		   "&RoleArn=arn%3Aaws%3Aiam%3A%3A1%3Arole%2Fr"
		   "&RoleSessionName=my.job.7&DurationSeconds=3600"
		   "&WebIdentityToken=e%2By%2FJ");
	/* Read anew, as it is rotated. */
	check_write("token", 0600, "two");
	expect_keys("w", "ASIASTS", "token", expiry());
	CHECK(strstr(http_server_body(&aws_server, 1),
		     "WebIdentityToken=two") != NULL);
	http_server_stop(&aws_server);
}

static void test_role_of_a_profile(void)
{
	static const struct http_answer script[] = {
		{.status = "200 OK", .body = STS_ANSWER("AssumeRole")},
		{.status = "200 OK", .body = STS_ANSWER("AssumeRole")},
		{.status = "200 OK", .body = STS_ANSWER("AssumeRole")},
		{.status = "400 Bad Request",
		 .body = "<ErrorResponse><Error><Type>Sender</Type><Code>"
			 "ValidationError</Code><Message>The requested "
			 "DurationSeconds exceeds the MaxSessionDuration"
			 "</Message></Error></ErrorResponse>"},
	};
	auto_settings struct aws_settings settings = {0};
	auto_aws_keys struct aws_keys keys = {0};
	struct aws_source *source;
	struct err err = {0};

	http_server_start(&aws_server, script, COUNT(script));
	aws_set("AWS_ENDPOINT_URL_STS", aws_server.url);
	check_write("credentials", 0600,
		    "[base]\naws_access_key_id = AKIABASE\n"
		    "aws_secret_access_key = s3cr3t\n");
	check_write("config", 0644,
		    "[profile one]\nrole_arn=arn:aws:iam::1:role/one\n"
		    "source_profile=base\nregion=eu-west-1\n"
		    "external_id=a&b\nduration_seconds=900\n"
		    "role_session_name=x\n"
		    "[profile two]\nrole_arn=arn:aws:iam::2:role/two\n"
		    "source_profile=one\nregion=eu-west-2\n"
		    "duration_seconds=long\nrole_session_name=two\n");
	expect_keys("one", "ASIASTS", "token", expiry());
	CHECK_TEXT(http_server_body(&aws_server, 0),
		   "Action=AssumeRole&Version=2011-06-15"
		   "&RoleArn=arn%3Aaws%3Aiam%3A%3A1%3Arole%2Fone"
		   "&RoleSessionName=connfs-x&DurationSeconds=900"
		   "&ExternalId=a%26b");
	CHECK(strstr(http_server_header(&aws_server, 0, "Authorization"),
		     "/eu-west-1/sts/aws4_request") != NULL);
	/* One role for another. */
	expect_keys("two", "ASIASTS", "token", expiry());
	CHECK(strstr(http_server_header(&aws_server, 1, "Authorization"),
		     "AKIABASE") != NULL);
	CHECK(strstr(http_server_header(&aws_server, 2, "Authorization"),
		     "ASIASTS") != NULL);
	CHECK(strstr(http_server_header(&aws_server, 2, "Authorization"),
		     "/eu-west-2/sts/aws4_request") != NULL);
	CHECK(strstr(http_server_body(&aws_server, 2),
		     "&RoleSessionName=two&DurationSeconds=3600") != NULL);
	source = aws_source_of(&settings, "one");
	CHECK(aws_source_fetch(source, &keys, &err) < 0);
	CHECK(strncmp(err.msg, "profile one: ", 13) == 0);
	CHECK(strstr(err.msg, "(duration_seconds: ") != NULL);
	aws_source_destroy(source);
	http_server_stop(&aws_server);
}

static const struct {
	const char *wanted;
	const char *name;
} session_names[] = {
	{"etl", "etl"},
	{"lava dev/etl", "lava.dev.etl"},
	{"  -_a//b  ", "_a.b"},
	{"caf\xc3\xa9 \xe2\x82\xac", "caf"},
	{"a+b=c,d.e@f-g", "a+b=c,d.e@f-g"},
	{"ends.--", "ends"},
	{"x", "connfs-x"},
	{"", "connfs"},
	{"???", "connfs"},
	{"0123456789012345678901234567890123456789012345678901234567890123456",
	 "0123456789012345678901234567890123456789012345678901234567890123"},
};

static void test_names_of_sessions_are_cleaned(void)
{
	char name[AWS_SESSION_NAME_SIZE];
	char again[AWS_SESSION_NAME_SIZE];

	for (size_t i = 0; i < COUNT(session_names); i++) {
		aws_session_name(name, session_names[i].wanted);
		CHECK_TEXT(name, session_names[i].name);
	}
	aws_session_name(name, NULL);
	aws_session_name(again, NULL);
	CHECK(strncmp(name, "connfs", 6) == 0);
	CHECK_TEXT(again, name);
}

#define SSO_KEYS                                                     \
	"{\"roleCredentials\":{\"accessKeyId\":\"ASIASSO\","         \
	"\"secretAccessKey\":\"s3cr3t\",\"sessionToken\":\"token\"," \
	"\"expiration\":4071006245000}}"

/* Named after the SHA-1 of "corp", and of "https://old/start". */
#define CACHE     ".aws/sso/cache/"
#define CORP_FILE CACHE "ee0bfd2552fbd840c02cc48b6e823320543c450f.json"
#define OLD_FILE  CACHE "85096cd4931eb1372a63d460a9c91b7600c9ba2b.json"

static void start_sso(const struct http_answer *script, size_t n)
{
	CHECK(mkdir(check_path(".aws"), 0700) == 0 || errno == EEXIST);
	CHECK(mkdir(check_path(".aws/sso"), 0700) == 0 || errno == EEXIST);
	CHECK(mkdir(check_path(".aws/sso/cache"), 0700) == 0 ||
	      errno == EEXIST);
	http_server_start(&aws_server, script, n);
	aws_set("AWS_ENDPOINT_URL_SSO", aws_server.url);
	aws_set("AWS_ENDPOINT_URL_SSO_OIDC", aws_server.url);
	check_write("credentials", 0600, "");
	check_write("config", 0644,
		    "[profile s]\nsso_session=corp\nsso_account_id=123\n"
		    "sso_role_name=read+only\n"
		    "[sso-session corp]\nsso_region=eu-west-1\n"
		    "sso_start_url=https://corp.awsapps.com/start\n"
		    "[profile old]\nsso_start_url=https://old/start\n"
		    "sso_region=eu-west-1\nsso_account_id=123\n"
		    "sso_role_name=r\n");
}

static void stop_sso(void)
{
	http_server_stop(&aws_server);
	aws_set("AWS_ENDPOINT_URL_SSO", NULL);
	aws_set("AWS_ENDPOINT_URL_SSO_OIDC", NULL);
}

#define SESSION(expires)                                                     \
	"{\"startUrl\":\"https://corp.awsapps.com/start\","                  \
	"\"region\":\"eu-west-1\",\"accessToken\":\"access1\","              \
	"\"expiresAt\":\"" expires                                           \
	"\",\"clientId\":\"client\",\"clientSecret\":\"client \\\"secret\"," \
	"\"registrationExpiresAt\":\"2099-01-01T00:00:00Z\","                \
	"\"refreshToken\":\"refresh1\"}"

static void test_keys_of_sso(void)
{
	static const struct http_answer script[] = {
		{.status = "200 OK", .body = SSO_KEYS},
		{.status = "200 OK", .body = SSO_KEYS},
		{.status = "401 Unauthorized"},
		{.status = "403 Forbidden"},
		{.status = "503 Service Unavailable"},
	};
	char error[1200];

	start_sso(script, COUNT(script));
	check_write(CORP_FILE, 0600, SESSION(EXPIRES));
	expect_keys("s", "ASIASSO", "token", expiry());
	expect_request(0, "GET /federation/credentials?account_id=123"
			  "&role_name=read%2Bonly HTTP/1.1");
	CHECK_TEXT(http_server_header(&aws_server, 0, "x-amz-sso_bearer_token"),
		   "access1");
	CHECK(http_server_header(&aws_server, 0, "Authorization") == NULL);
	check_write(OLD_FILE, 0600,
		    "{\"accessToken\":\"old\",\"expiresAt\":\"" EXPIRES "\"}");
	expect_keys("old", "ASIASSO", "token", expiry());
	CHECK_TEXT(http_server_header(&aws_server, 1, "x-amz-sso_bearer_token"),
		   "old");
	expect_error("s", "profile s: SSO refuses the login: run: aws sso "
			  "login --sso-session corp");
	expect_error("s", "profile s: SSO gives no access to role read+only "
			  "of account 123 (sso_role_name, sso_account_id)");
	expect_error("s", "profile s: SSO answered 503");
	check_write(OLD_FILE, 0600,
		    "{\"accessToken\":\"old\","
		    "\"expiresAt\":\"2020-01-01T00:00:00Z\"}");
	expect_error("old", "profile old: the login to SSO has expired: "
			    "run: aws sso login --profile old");
	CHECK(remove(check_path(OLD_FILE)) == 0);
	(void)snprintf(error, sizeof(error),
		       "profile old: nobody is logged in to SSO (%s): run: aws "
		       "sso login --profile old",
		       check_path(OLD_FILE));
	expect_error("old", error);
	stop_sso();
}

static void read_text(const char *name, char *out, size_t size)
{
	FILE *f = fopen(check_path(name), "re");

	CHECK(f != NULL);
	out[fread(out, 1, size - 1, f)] = '\0';
	CHECK(fclose(f) == 0);
}

/* Other tools find the new token, with all else that the file had. */
static void test_a_session_of_sso_is_renewed(void)
{
	static const struct http_answer script[] = {
		{.status = "200 OK",
		 .body = "{\"accessToken\":\"access2\",\"expiresIn\":3600,"
			 "\"refreshToken\":\"refresh2\"}"},
		{.status = "200 OK", .body = SSO_KEYS},
		{.status = "200 OK", .body = SSO_KEYS},
	};
	struct stat st;
	char text[2000];

	start_sso(script, COUNT(script));
	check_write(CORP_FILE, 0600, SESSION("2020-01-01T00:00:00Z"));
	expect_keys("s", "ASIASSO", "token", expiry());
	expect_request(0, "POST /token HTTP/1.1");
	CHECK_TEXT(http_server_body(&aws_server, 0),
		   "{\"grantType\":\"refresh_token\",\"clientId\":\"client\","
		   "\"clientSecret\":\"client \\\"secret\","
		   "\"refreshToken\":\"refresh1\"}");
	CHECK_TEXT(http_server_header(&aws_server, 1, "x-amz-sso_bearer_token"),
		   "access2");
	read_text(CORP_FILE, text, sizeof(text));
	CHECK(strstr(text, "\"accessToken\":\"access2\"") != NULL);
	CHECK(strstr(text, "\"refreshToken\":\"refresh2\"") != NULL);
	CHECK(strstr(text, "\"clientSecret\":\"client \\\"secret\"") != NULL);
	CHECK(strstr(text, "\"registrationExpiresAt\":\"2099-01-01T00:00:00Z"
			   "\"") != NULL);
	CHECK(strstr(text, "\"startUrl\":\"https://corp.awsapps.com/start\"") !=
	      NULL);
	CHECK(stat(check_path(CORP_FILE), &st) == 0);
	CHECK((st.st_mode & 0777) == 0600);
	/* It is good for an hour. */
	expect_keys("s", "ASIASSO", "token", expiry());
	CHECK_TEXT(http_server_header(&aws_server, 2, "x-amz-sso_bearer_token"),
		   "access2");
	stop_sso();
}

static void test_a_session_that_cannot_be_renewed_says_so_once(void)
{
	static const struct http_answer script[] = {
		{.status = "400 Bad Request",
		 .body = "{\"error\":\"invalid_grant\"}"},
	};

	start_sso(script, COUNT(script));
	check_write(CORP_FILE, 0600, SESSION("2020-01-01T00:00:00Z"));
	expect_error("s", "profile s: the login to SSO has expired: SSO "
			  "does not renew the token (status 400): run: aws "
			  "sso login --sso-session corp");
	/* Asked at most once a minute. */
	expect_error("s", "profile s: the login to SSO has expired: run: "
			  "aws sso login --sso-session corp");
	CHECK(http_server_count(&aws_server) == 1);
	stop_sso();
}

int main(int argc, char **argv)
{
	check_init(argc, argv);
	aws_home_init();
	test_role_of_a_web_identity();
	test_role_of_a_profile();
	test_names_of_sessions_are_cleaned();
	test_keys_of_sso();
	test_a_session_of_sso_is_renewed();
	test_a_session_that_cannot_be_renewed_says_so_once();
	return 0;
}
