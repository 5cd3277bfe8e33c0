/* SPDX-License-Identifier: MIT */
#include "tests/unit/aws_source.h"

#include <time.h>

#include "tests/unit/check.h"

struct http_server aws_server;

void aws_set(const char *name, const char *value)
{
	CHECK(value != NULL ? setenv(name, value, 1) == 0
			    : unsetenv(name) == 0);
}

struct aws_source *aws_source_of(struct aws_settings *settings,
				 const char *profile)
{
	unsigned char digest[AWS_SOURCE_DIGEST_SIZE];
	struct aws_source *source;
	struct err err = {0};

	CHECK(aws_settings_init(settings, profile, NULL, &err) == 0);
	if (aws_chain_create(&source, digest, settings, &err) < 0)
		CHECK_TEXT(err.msg, "");
	return source;
}

void expect_keys(const char *profile, const char *access_key, const char *token,
		 int64_t expires_at)
{
	auto_settings struct aws_settings settings = {0};
	struct aws_source *source = aws_source_of(&settings, profile);
	auto_aws_keys struct aws_keys keys = {0};
	struct err err = {0};

	(void)aws_source_fetch(source, &keys, &err);
	CHECK_TEXT(err.msg, "");
	CHECK_TEXT(keys.access_key.data, access_key);
	CHECK_TEXT(keys.secret_key.data, "s3cr3t");
	CHECK_TEXT(keys.session_token.data, token);
	CHECK(keys.expires_at == expires_at);
	aws_source_destroy(source);
}

void expect_error(const char *profile, const char *error)
{
	auto_settings struct aws_settings settings = {0};
	struct aws_source *source = aws_source_of(&settings, profile);
	auto_aws_keys struct aws_keys keys = {0};
	struct err err = {0};

	CHECK(aws_source_fetch(source, &keys, &err) == -err.code);
	CHECK(err.code != 0);
	CHECK_TEXT(err.msg, error);
	CHECK(keys.access_key.len == 0);
	aws_source_destroy(source);
}

void expect_request(size_t n, const char *line)
{
	char got[512];

	http_server_wait(&aws_server, n + 1);
	(void)snprintf(got, sizeof(got), "%.*s",
		       (int)strcspn(aws_server.requests[n], "\r"),
		       aws_server.requests[n]);
	CHECK_TEXT(got, line);
}

int64_t expiry(void)
{
	struct tm tm = {.tm_year = 199,
			.tm_mday = 2,
			.tm_hour = 3,
			.tm_min = 4,
			.tm_sec = 5};

	return timegm(&tm);
}
