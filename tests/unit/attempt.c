/* SPDX-License-Identifier: MIT */
#include "tests/unit/attempt.h"

#include "tests/unit/aws_home.h"
#include "tests/unit/check.h"

const char attempt_parameter[] =
	"{\"Parameter\":{\"Name\":\"/shop/password\",\"Type\":\"SecureString\","
	"\"Value\":\"ti\\\"ger\",\"Version\":3}}";

struct http_server attempt_server;

void attempt_init(void)
{
	aws_home_init();
	CHECK(setenv("AWS_ACCESS_KEY_ID", "AKIDBASE", 1) == 0);
	CHECK(setenv("AWS_SECRET_ACCESS_KEY", "hunter2", 1) == 0);
}

void attempt_serve(const struct http_answer *script, size_t n)
{
	http_server_start(&attempt_server, script, n);
	CHECK(setenv("AWS_ENDPOINT_URL", attempt_server.url, 1) == 0);
}

struct auth_config attempt_config(void)
{
	return (struct auth_config){
		.conn_id = "shop",
		.user = "scott",
		.host = "db.example.com",
		.default_port = 5432,
		.database = "shop",
		.needs_login = true,
	};
}

int attempt_run(const struct auth_config *config, struct resolved *out,
		struct err *err)
{
	struct resolution *r;
	int rc;

	CHECK(resolution_create(&r, config, err) == 0);
	rc = resolution_run(r, (struct resolution_wish){0}, out, err);
	resolution_destroy(r);
	return rc;
}

void attempt_succeed(const struct auth_config *config, struct resolved *out)
{
	struct err err = {0};
	int rc = attempt_run(config, out, &err);

	CHECK_TEXT(err.msg, "");
	CHECK(rc == 0);
}

void attempt_fail(const struct auth_config *config, const char *error)
{
	struct resolved got = {0};
	struct err err = {0};

	CHECK(attempt_run(config, &got, &err) < 0);
	CHECK(err.code > 0);
	CHECK_TEXT(err.msg, error);
	resolved_finish(&got);
}

void attempt_expect(size_t n, const char *target, const char *body)
{
	CHECK_TEXT(http_server_header(&attempt_server, n, "x-amz-target"),
		   target);
	CHECK_TEXT(http_server_body(&attempt_server, n), body);
}

void attempt_expect_signed(size_t n, const char *with)
{
	CHECK(strstr(http_server_header(&attempt_server, n, "authorization"),
		     with) != NULL);
}

bool attempt_begins(const char *text, const char *with)
{
	return strncmp(text, with, strlen(with)) == 0;
}
