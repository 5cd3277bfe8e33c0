/* SPDX-License-Identifier: MIT */
/*
 * Signatures and tokens against those of AWS's own signers. Those that are
 * written down here were made by botocore 1.43.
 *
 *     test_aws_sign aws-tokens.json
 */
#include "auth/aws/sigv4.h"

#include <errno.h>
#include <limits.h>
#include <time.h>

#include "auth/aws/canonical.h"
#include "auth/aws/text.h"
#include "auth/aws/token.h"
#include "tests/unit/aws_vectors.h"

enum { MAX_HEADERS = 8, DEFAULT_PORT = 5432 };

static const char access_key[] = "AKIDEXAMPLE";
static const char secret_key[] = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
static const char edge_key[] = "x"; /* that edge_cases are signed by */

static void set(struct secret *s, const char *text)
{
	CHECK(secret_set(s, text, text != NULL ? strlen(text) : 0) == 0);
}

/* For aws_keys_finish(). */
static struct aws_keys keys_of(const char *access, const char *secret,
			       const char *token)
{
	struct aws_keys keys = {0};

	set(&keys.access_key, access);
	set(&keys.secret_key, secret);
	set(&keys.session_token, token);
	return keys;
}

static struct aws_keys keys_in(const json_t *inputs)
{
	const json_t *from = json_object_get(inputs, "credentials");

	return keys_of(vector_text(from, "access_key"),
		       vector_text(from, "secret_key"),
		       vector_text(from, "session_token"));
}

static int64_t time_of(const char *text)
{
	struct tm tm = {0};
	const char *end = strptime(text, "%Y-%m-%dT%H:%M:%SZ", &tm);

	CHECK(end != NULL && *end == '\0');
	return timegm(&tm);
}

static struct token_login login_in(const json_t *inputs)
{
	return (struct token_login){
		.host = vector_text(inputs, "host"),
		.port = (uint16_t)json_integer_value(
			json_object_get(inputs, "port")),
		.user = vector_text(inputs, "user"),
		.region = vector_text(inputs, "region"),
		.now = time_of(vector_text(inputs, "time")),
	};
}

static void test_rds_vectors(const json_t *file)
{
	const json_t *vector;
	size_t at = 0, n = 0;

	for (; (vector = vector_next(file, "rds", &at)) != NULL; n++) {
		const json_t *inputs = json_object_get(vector, "inputs");
		auto_aws_keys struct aws_keys keys = keys_in(inputs);
		struct token_login login = login_in(inputs);
		auto_secret struct secret token = {0};

		CHECK(rds_token(&token, &keys, &login, NULL) == 0);
		CHECK_TEXT(token.data, vector_text(vector, "expected_token"));
		CHECK(token.len == strlen(token.data));
	}
	CHECK(n == 12);
}

static void test_dsql_vectors(const json_t *file)
{
	const json_t *vector;
	size_t at = 0, n = 0;

	for (; (vector = vector_next(file, "dsql", &at)) != NULL; n++) {
		const json_t *inputs = json_object_get(vector, "inputs");
		auto_aws_keys struct aws_keys keys = keys_in(inputs);
		struct token_login login = login_in(inputs);
		bool given =
			json_is_true(json_object_get(inputs, "expires_given"));
		json_int_t expires = json_integer_value(
			json_object_get(inputs, "expires_in"));
		auto_secret struct secret token = {0};

		login.user = strcmp(vector_text(inputs, "action"),
				    "DbConnectAdmin") == 0
				     ? "admin"
				     : "administrator";
		CHECK(dsql_token(&token, &keys, &login,
				 given ? (unsigned)expires : DSQL_TOKEN_LIFE,
				 NULL) == 0);
		CHECK_TEXT(token.data, vector_text(vector, "expected_token"));
	}
	CHECK(n == 12);
}

/* "https://host:8443/base/" in pieces; no port of these is the scheme's. */
static void split_url(const char *url, char host[128], const char **path)
{
	const char *start = strstr(url, "://");

	CHECK(start != NULL);
	start += 3;
	*path = strchr(start, '/');
	CHECK(*path != NULL && *path - start < 128);
	memcpy(host, start, (size_t)(*path - start));
	host[*path - start] = '\0';
}

static void check_header_vector(const json_t *vector)
{
	const json_t *inputs = json_object_get(vector, "inputs");
	const json_t *expected = json_object_get(vector, "expected");
	json_t *headers = json_object_get(inputs, "headers_to_sign");
	auto_aws_keys struct aws_keys keys = keys_in(inputs);
	const struct sigv4_scope scope = {
		.region = vector_text(inputs, "region"),
		.service = vector_text(inputs, "service"),
		.time = time_of(vector_text(inputs, "time")),
	};
	struct sigv4_pair pairs[MAX_HEADERS];
	char host[128], date[SIGV4_DATE_SIZE];
	struct sigv4_request request = {
		.method = vector_text(inputs, "method"),
		.host = host,
		.headers = pairs,
		.body = vector_text(inputs, "body"),
		.body_len = strlen(vector_text(inputs, "body")),
	};
	auto_secret struct secret got = {0};
	const char *name;
	json_t *value;

	split_url(vector_text(inputs, "url"), host, &request.path);
	json_object_foreach (headers, name, value) {
		CHECK(request.n_headers < MAX_HEADERS);
		pairs[request.n_headers++] =
			(struct sigv4_pair){name, json_string_value(value)};
	}
	sigv4_date(date, scope.time);
	CHECK_TEXT(date, vector_text(expected, "x_amz_date"));
	CHECK(sigv4_authorization(&got, &keys, &scope, &request, NULL) == 0);
	CHECK_TEXT(got.data, vector_text(expected, "authorization"));
}

static void test_header_vectors(const json_t *file)
{
	const json_t *vector;
	size_t at = 0, n = 0;

	for (; (vector = vector_next(file, "header", &at)) != NULL; n++)
		check_header_vector(vector);
	CHECK(n == 11);
}

/* A body, a query, a path and headers as no API here has them, yet. */
static void test_whole_canonical_form(void)
{
	auto_aws_keys struct aws_keys keys =
		keys_of(access_key, secret_key, "tok/en+=");
	const struct sigv4_scope scope = {"eu-west-1", "ssm",
					  time_of("2026-01-02T03:04:05Z")};
	const struct sigv4_pair headers[] = {
		{"My-Header", "  two   blanks\t here "},
		{"Content-Type", "text/plain"},
		{"my-header", "second"},
		{"A-First", ""},
	};
	const struct sigv4_request request = {
		.method = "PUT",
		.host = "VPC.Example.com:8443",
		.path = "//base/./x/../p%20q/",
		.query = "b=2&a-=1&a=2&a=%2F&c&a=10",
		.headers = headers,
		.n_headers = COUNT(headers),
		.body = "payload",
		.body_len = strlen("payload"),
	};
	auto_secret struct secret got = {0};

	CHECK(sigv4_authorization(&got, &keys, &scope, &request, NULL) == 0);
	CHECK_TEXT(
		got.data,
		"AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20260102/eu-west-1/ssm"
		"/aws4_request, SignedHeaders=a-first;content-type;host;"
		"my-header;x-amz-date;x-amz-security-token, Signature="
		"7d54877d62ab81efec65b3cb4a700872fcc2e1e72cbe98fed439a4bf63524c"
		"f9");
}

/* Nothing but a host, which is an address; no body at all. */
static void test_bare_request(void)
{
	auto_aws_keys struct aws_keys keys =
		keys_of(access_key, secret_key, NULL);
	const struct sigv4_scope scope = {"us-east-1", "sts",
					  time_of("2026-01-02T03:04:05Z")};
	const struct sigv4_request request = {
		.method = "GET",
		.host = "[FE80::1]:8080",
		.path = "/",
	};
	auto_secret struct secret got = {0};

	CHECK(sigv4_authorization(&got, &keys, &scope, &request, NULL) == 0);
	CHECK_TEXT(
		got.data,
		"AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20260102/us-east-1/sts"
		"/aws4_request, SignedHeaders=host;x-amz-date, Signature="
		"aa905249a494880d08fda934bef82a25509782b21d89e3197d5083f2346ec6"
		"0c");
}

static void check_text_is(struct aws_text *text, const char *expected)
{
	CHECK(!text->failed);
	CHECK_TEXT(text->secret.data != NULL ? text->secret.data : "",
		   expected);
}

static void test_paths(void)
{
	static const char *const cases[][2] = {
		{"", "/"},
		{"/", "/"},
		{"//a///b/", "/a/b/"},
		{"/a/./b/../c", "/a/c"},
		{"/../a", "/a"},
		{"/a/..", "/"},
		{"/a/.", "/a"},
		{"/a/../../b/", "/b/"},
		{"/...", "/..."},
		{"/a%20b", "/a%2520b"},
		{"/~-._!*'()", "/~-._%21%2A%27%28%29"},
		{"/a:b@c", "/a%3Ab%40c"},
		{"/\xc3\xa9", "/%C3%A9"},
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		auto_aws_text struct aws_text got = {0};

		canonical_path(&got, cases[i][0]);
		check_text_is(&got, cases[i][1]);
	}
}

static void test_queries(void)
{
	static const char *const cases[][2] = {
		{NULL, ""},
		{"", ""},
		{"a", "a="},
		{"a=", "a="},
		{"b=2&a=1", "a=1&b=2"},
		{"a=2&a=1&a=10", "a=1&a=10&a=2"},
		{"a-=1&a=2", "a=2&a-=1"},
		{"a=b=c", "a=b=c"},
		{"b&a=%2F&B", "B=&a=%2F&b="},
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		auto_aws_text struct aws_text got = {0};

		canonical_query(&got, cases[i][0]);
		check_text_is(&got, cases[i][1]);
	}
}

static void test_every_byte_is_encoded(void)
{
	for (int c = 0; c < 256; c++) {
		auto_aws_text struct aws_text got = {0};
		char byte = (char)c, expected[8];
		bool stays = c < 128 && strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZ"
					       "abcdefghijklmnopqrstuvwxyz"
					       "0123456789-._~",
					       c) != NULL;

		(void)snprintf(expected, sizeof(expected),
			       stays && c != 0 ? "%c" : "%%%02X", c);
		aws_text_encode(&got, &byte, 1);
		check_text_is(&got, expected);
	}
}

/* What is longer is refused at the end, not cut. */
static void test_longest_text(void)
{
	auto_aws_text struct aws_text text = {0};
	auto_secret struct secret out = {0}, filler = {0};

	CHECK(secret_alloc(&filler, AWS_TEXT_MAX) == 0);
	memset(filler.data, 'x', filler.len);
	aws_text_put(&text, filler.data, filler.len);
	CHECK(aws_text_take(&text, &out) == 0);
	CHECK(out.len == AWS_TEXT_MAX);
	aws_text_put(&text, filler.data, filler.len);
	aws_text_putc(&text, 'y');
	aws_text_puts(&text, "");
	CHECK(aws_text_take(&text, &out) == -ENOMEM);
	CHECK(out.len == AWS_TEXT_MAX);
	aws_text_puts(&text, "again");
	check_text_is(&text, "again");
}

static void test_dates(void)
{
	static const struct {
		int64_t time;
		const char *expected;
	} cases[] = {
		{0, "19700101T000000Z"},
		{1709164799, "20240228T235959Z"},
		{1709164800, "20240229T000000Z"},
		{253402300799, "99991231T235959Z"},
		{INT64_MAX, "99991231T235959Z"},
		{-1, "19700101T000000Z"},
	};
	char got[SIGV4_DATE_SIZE];

	for (size_t i = 0; i < COUNT(cases); i++) {
		sigv4_date(got, cases[i].time);
		CHECK_TEXT(got, cases[i].expected);
	}
}

/* The day of the scope is that of the date, whatever the local time is. */
static void test_dates_are_utc(void)
{
	char got[SIGV4_DATE_SIZE];

	CHECK(setenv("TZ", "EAST-14", 1) == 0);
	tzset();
	sigv4_date(got, 1709164799);
	CHECK_TEXT(got, "20240228T235959Z");
	CHECK(unsetenv("TZ") == 0);
	tzset();
}

static struct token_login login_to(const char *host)
{
	return (struct token_login){
		.host = host,
		.port = DEFAULT_PORT,
		.user = "u",
		.region = "us-east-1",
		.now = time_of("2024-12-03T18:00:00Z"),
	};
}

static void check_rds_token(const char *secret, const char *host,
			    const char *expected)
{
	auto_aws_keys struct aws_keys keys = keys_of(access_key, secret, "");
	struct token_login login = login_to(host);
	auto_secret struct secret token = {0};

	CHECK(rds_token(&token, &keys, &login, NULL) == 0);
	CHECK_TEXT(token.data, expected);
}

static void test_port_443_is_refused(void)
{
	auto_aws_keys struct aws_keys keys =
		keys_of(access_key, secret_key, NULL);
	struct token_login login = login_to("db.x.us-east-1.rds.amazonaws.com");
	auto_secret struct secret token = {0};
	struct err err = {0};

	login.port = 443;
	CHECK(rds_token(&token, &keys, &login, &err) == -EINVAL);
	CHECK(err.code == EINVAL);
	CHECK(strncmp(err.msg, "port: ", 6) == 0);
	CHECK(token.data == NULL);
}

/*
 * Then the signers agree, which differ otherwise: botocore's signature is for
 * the name in lower case.
 */
static void test_host_is_lowered(const json_t *file)
{
	const json_t *edges = json_object_get(file, "edge_cases");
	const char *theirs =
		vector_text(json_object_get(edges, "uppercase_host"),
			    "botocore");
	static const char host[] = "db.x.us-east-1.rds.amazonaws.com";
	char expected[1024];

	CHECK(snprintf(expected, sizeof(expected), "%s%s", host,
		       theirs + strlen(host)) < (int)sizeof(expected));
	check_rds_token(edge_key, "DB.X.us-east-1.RDS.amazonaws.com", expected);
	check_rds_token(edge_key, host, expected);
	check_rds_token(edge_key, "db.x.us-east-1.rds.amazonaws.com.",
			expected);
}

/* With or without its brackets. */
static void test_address_of_ipv6(void)
{
	static const char *const hosts[] = {"[FE80::1]", "fe80::1"};

	for (size_t i = 0; i < COUNT(hosts); i++)
		check_rds_token(
			secret_key, hosts[i],
			"[fe80::1]:5432/?Action=connect&DBUser=u"
			"&X-Amz-Algorithm=AWS4-HMAC-SHA256"
			"&X-Amz-Credential=AKIDEXAMPLE%2F20241203%2Fus-east-1"
			"%2Frds-db%2Faws4_request&X-Amz-Date=20241203T180000Z"
			"&X-Amz-Expires=900&X-Amz-SignedHeaders=host"
			"&X-Amz-Signature=f829ffe049d7497709fe7ab1ccc06245"
			"4cb11eadaa10cb59dba81a13fc25243f");
}

static void test_life_of_dsql_tokens(const json_t *file)
{
	static const unsigned refused[] = {0, DSQL_TOKEN_MAX + 1, UINT_MAX};
	const json_t *edges = json_object_get(file, "edge_cases");
	const json_t *theirs =
		json_object_get(json_object_get(edges, "dsql_expiry"),
				"javascript");
	auto_aws_keys struct aws_keys keys =
		keys_of(access_key, edge_key, NULL);
	struct token_login login = login_to("h.dsql.us-east-1.on.aws");
	auto_secret struct secret token = {0};
	const char *signature;

	for (size_t i = 0; i < COUNT(refused); i++) {
		struct err err = {0};

		CHECK(dsql_token(&token, &keys, &login, refused[i], &err) ==
		      -EINVAL);
		CHECK_TEXT(err.msg,
			   "token_duration: must be 1 to 604800 seconds");
		CHECK(token.data == NULL);
	}
	CHECK(dsql_token(&token, &keys, &login, 1, NULL) == 0);
	CHECK(strstr(token.data, "&X-Amz-Expires=1&") != NULL);
	CHECK(dsql_token(&token, &keys, &login, DSQL_TOKEN_MAX, NULL) == 0);
	signature = strstr(token.data, "&X-Amz-Signature=");
	CHECK(signature != NULL);
	CHECK(strstr(vector_text(theirs, "604800"), signature) != NULL);
}

/* Which role it is for counts, and nothing else of the user. */
static void test_only_admin_is_admin(void)
{
	static const char *const others[] = {"Admin", "admin2", "adm", ""};
	auto_aws_keys struct aws_keys keys =
		keys_of(access_key, secret_key, NULL);
	struct token_login login = login_to("h.dsql.us-east-1.on.aws");
	auto_secret struct secret token = {0};

	for (size_t i = 0; i < COUNT(others); i++) {
		login.user = others[i];
		CHECK(dsql_token(&token, &keys, &login, 1, NULL) == 0);
		CHECK(strstr(token.data, "Action=DbConnect&") != NULL);
	}
	login.user = "admin";
	CHECK(dsql_token(&token, &keys, &login, 1, NULL) == 0);
	CHECK(strstr(token.data, "Action=DbConnectAdmin&") != NULL);
}

/* Session tokens can grow; nothing here has a size of its own. */
static void test_long_session_token(void)
{
	enum { LEN = 100000 };
	auto_aws_keys struct aws_keys keys =
		keys_of(access_key, secret_key, NULL);
	struct token_login login = login_to("db.x.us-east-1.rds.amazonaws.com");
	auto_secret struct secret token = {0};
	const char *at;

	CHECK(secret_alloc(&keys.session_token, LEN) == 0);
	memset(keys.session_token.data, '/', LEN);
	CHECK(rds_token(&token, &keys, &login, NULL) == 0);
	at = strstr(token.data, "&X-Amz-Security-Token=");
	CHECK(at != NULL);
	CHECK(strcspn(at + 1, "&") ==
	      strlen("X-Amz-Security-Token=") + (size_t)3 * LEN);
}

static void test_keys_are_copied(void)
{
	struct aws_keys from = keys_of("access", "secret", "token");
	auto_aws_keys struct aws_keys out = keys_of("old", "older", "oldest");

	from.expires_at = 17;
	CHECK(aws_keys_copy(&out, &from) == 0);
	aws_keys_finish(&from);
	CHECK(from.secret_key.data == NULL && from.expires_at == 0);
	CHECK_TEXT(out.access_key.data, "access");
	CHECK_TEXT(out.secret_key.data, "secret");
	CHECK_TEXT(out.session_token.data, "token");
	CHECK(out.expires_at == 17);
	from = keys_of("access", "secret", NULL);
	CHECK(aws_keys_copy(&out, &from) == 0);
	aws_keys_finish(&from);
	CHECK(out.session_token.len == 0 && out.expires_at == 0);
}

int main(int argc, char **argv)
{
	json_t *file = vectors_load(argc, argv);

	test_rds_vectors(file);
	test_dsql_vectors(file);
	test_header_vectors(file);
	test_whole_canonical_form();
	test_bare_request();
	test_paths();
	test_queries();
	test_every_byte_is_encoded();
	test_longest_text();
	test_dates();
	test_dates_are_utc();
	test_port_443_is_refused();
	test_host_is_lowered(file);
	test_address_of_ipv6();
	test_life_of_dsql_tokens(file);
	test_only_admin_is_admin();
	test_long_session_token();
	test_keys_are_copied();
	json_decref(file);
	return 0;
}
