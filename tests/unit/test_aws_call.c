/* SPDX-License-Identifier: MIT */
/* Calls of AWS: what is sent, signed by which keys, and how it ends. */
#include "auth/aws/call.h"

#include <errno.h>
#include <time.h>

#include "auth/aws/clock.h"
#include "common/clock.h"
#include "tests/unit/call_scene.h"
#include "tests/unit/loopback.h"

static void check_header(struct scene *s, size_t n, const char *name,
			 const char *expected)
{
	CHECK_TEXT(http_server_header(&s->server, n, name), expected);
}

/* The seconds that the signature of the n-th request was dated. */
static int64_t dated(struct scene *s, size_t n)
{
	struct tm tm = {0};
	const char *text = http_server_header(&s->server, n, "X-Amz-Date");

	CHECK(text != NULL);
	CHECK_TEXT(strptime(text, "%Y%m%dT%H%M%SZ", &tm), "");
	return timegm(&tm);
}

static void test_json_service(void)
{
	static const struct http_answer script = {.status = "200 OK",
						  .body = "{\"a\":\"b\"}"};
	struct scene s;
	char start[128], expected[128];
	time_t now;
	struct tm tm;

	scene_prepare(&s, &script, 1);
	s.given.temporary = true;
	scene_call(&s);
	CHECK(s.rc == 0 && s.error.code[0] == '\0');
	CHECK_TEXT(s.answer.data, "{\"a\":\"b\"}");
	CHECK(strncmp(s.server.requests[0], "POST / HTTP/1.1\r\n", 17) == 0);
	check_header(&s, 0, "Host", s.server.host);
	check_header(&s, 0, "Content-Type", "application/x-amz-json-1.1");
	check_header(&s, 0, "X-Amz-Target", "AmazonSSM.GetParameter");
	check_header(&s, 0, "X-Amz-Security-Token", "oldtoken");
	CHECK_TEXT(http_server_body(&s.server, 0), "{\"Name\":\"p\"}");
	now = dated(&s, 0);
	CHECK(llabs(now - time(NULL)) < 60);
	(void)gmtime_r(&now, &tm);
	(void)strftime(expected, sizeof(expected),
		       "AWS4-HMAC-SHA256 "
		       "Credential=AKIDEXAMPLE/%Y%m%d/eu-west-1/ssm/"
		       "aws4_request, ",
		       &tm);
	(void)snprintf(start, sizeof(start), "%.*s", (int)strlen(expected),
		       http_server_header(&s.server, 0, "Authorization"));
	CHECK_TEXT(start, expected);
	CHECK(strstr(http_server_header(&s.server, 0, "Authorization"),
		     "SignedHeaders=content-type;host;x-amz-date;"
		     "x-amz-security-token;x-amz-target, Signature=") != NULL);
	CHECK(s.given.n == 1 && s.given.n_fresh == 0);
	scene_finish(&s);
}

static void test_query_service_unsigned(void)
{
	static const struct http_answer script = {.status = "200 OK",
						  .body = "<a/>"};
	struct scene s;

	scene_prepare(&s, &script, 1);
	s.call.service = AWS_SERVICE_STS;
	s.call.target = NULL;
	s.call.signer = NULL;
	s.call.body = "Action=A";
	s.call.body_len = 8;
	scene_call(&s);
	CHECK(s.rc == 0);
	check_header(&s, 0, "Content-Type",
		     "application/x-www-form-urlencoded; charset=utf-8");
	check_header(&s, 0, "X-Amz-Target", NULL);
	check_header(&s, 0, "X-Amz-Date", NULL);
	check_header(&s, 0, "Authorization", NULL);
	CHECK_TEXT(http_server_body(&s.server, 0), "Action=A");
	scene_finish(&s);
}

static void test_refusals_are_final(void)
{
	static const struct {
		struct http_answer answer;
		const char *code;
		int rc;
	} cases[] = {
		{{.status = "400 Bad Request",
		  .body = JSON_ERROR("AccessDeniedException")},
		 "AccessDeniedException",
		 -EACCES},
		{{.status = "400 Bad Request",
		  .body = JSON_ERROR("ParameterNotFound")},
		 "ParameterNotFound",
		 -ENOENT},
		{{.status = "403 Forbidden",
		  .body = JSON_ERROR("SignatureDoesNotMatch")},
		 "SignatureDoesNotMatch",
		 -EACCES},
		{{.status = "400 Bad Request",
		  .body = JSON_ERROR("ValidationException")},
		 "ValidationException",
		 -EIO},
		{{.status = "301 Moved", .headers = "Location: /\r\n"},
		 "HTTP 301",
		 -EIO},
		/* Long-term keys cannot be renewed. */
		{{.status = "400 Bad Request",
		  .body = JSON_ERROR("UnrecognizedClientException")},
		 "UnrecognizedClientException",
		 -EACCES},
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct scene s;

		scene_play(&s, &cases[i].answer, 1);
		CHECK(s.rc == cases[i].rc && s.answer.data == NULL);
		CHECK_TEXT(s.error.code, cases[i].code);
		CHECK(!s.error.transient);
		CHECK(s.n_sent == 1 && s.given.n == 1);
		scene_finish(&s);
	}
}

static void test_time_is_limited_in_all(void)
{
	static const struct http_answer scripts[] = {
		{.manner = HTTP_DRIPS, .status = "200 OK"},
		{.manner = HTTP_STALLS},
	};
	struct scene s;

	aws_call_limit_ms = SHORT_MS;
	for (size_t i = 0; i < COUNT(scripts); i++) {
		scene_play(&s, &scripts[i], 1);
		CHECK(s.rc == -ETIMEDOUT && s.error.transient);
		CHECK(s.took_ms >= SHORT_MS / 2 && s.took_ms < SOON_MS);
		CHECK(s.answer.data == NULL);
		scene_finish(&s);
	}
	aws_call_limit_ms = PLENTY_MS;
}

static void test_expired_keys_are_replaced_once(void)
{
	static const struct http_answer good[] = {
		{.status = "400 Bad Request",
		 .body = JSON_ERROR("ExpiredTokenException")},
		{.status = "503 Later"},
		{.status = "200 OK"},
	};
	static const struct http_answer bad = {
		.status = "403 Forbidden",
		.body = "<ErrorResponse><Error><Code>InvalidClientTokenId"
			"</Code></Error></ErrorResponse>"};
	struct scene s;

	scene_prepare(&s, good, COUNT(good));
	s.given.temporary = true;
	scene_call(&s);
	CHECK(s.rc == 0 && s.given.n == 3 && s.given.n_fresh == 1);
	check_header(&s, 0, "X-Amz-Security-Token", "oldtoken");
	check_header(&s, 1, "X-Amz-Security-Token", "newtoken");
	scene_finish(&s);

	scene_prepare(&s, &bad, 1);
	s.given.temporary = true;
	scene_call(&s);
	CHECK(s.rc == -EACCES && s.error.bad_keys);
	CHECK(s.given.n == 2 && s.given.n_fresh == 1);
	CHECK_TEXT(s.error.code, "InvalidClientTokenId");
	scene_finish(&s);
}

static void test_no_keys(void)
{
	static const struct http_answer script = {.status = "200 OK"};
	struct scene s;

	scene_prepare(&s, &script, 1);
	s.given.rc = -EACCES;
	scene_call(&s);
	CHECK(s.rc == -EACCES && s.given.n == 1);
	CHECK_TEXT(s.err.msg, "no keys");
	CHECK(s.n_sent == 0);
	scene_finish(&s);
}

static void put_date(char out[64], int64_t seconds)
{
	time_t time = (time_t)seconds;
	struct tm tm;

	(void)gmtime_r(&time, &tm);
	(void)strftime(out, 64, "Date: %a, %d %b %Y %H:%M:%S GMT\r\n", &tm);
}

/*
 * A clock that is wrong is found out once, for all calls that follow; one that
 * is right again as well.
 */
static void test_clock_that_is_off(void)
{
	struct http_answer script[] = {
		{.status = "400 Bad Request",
		 .body = "{\"__type\":\"InvalidSignatureException\","
			 "\"message\":\"Signature expired: a is now earlier\"}"},
		{.status = "200 OK"},
	};
	char ahead[64], right[64];
	int64_t now = clock_wall_ms() / 1000;
	struct scene s;

	put_date(ahead, now + 3600);
	put_date(right, now);
	script[0].headers = ahead;
	script[1].headers = ahead;
	scene_play(&s, script, COUNT(script));
	CHECK(s.rc == 0 && s.n_sent == 2);
	CHECK(llabs(dated(&s, 0) - now) < 60);
	CHECK(llabs(dated(&s, 1) - now - 3600) < 60);
	CHECK(llabs(aws_clock_offset() - 3600) < 60);
	scene_finish(&s);

	scene_play(&s, &script[1], 1);
	CHECK(s.rc == 0 && llabs(dated(&s, 0) - now - 3600) < 60);
	scene_finish(&s);

	/* Learnt already: the same refusal is no reason for a third attempt. */
	scene_play(&s, script, 1);
	CHECK(s.rc == -EACCES && s.n_sent == 1);
	scene_finish(&s);

	script[0].headers = right;
	script[1].headers = right;
	scene_play(&s, script, COUNT(script));
	CHECK(s.rc == 0 && s.n_sent == 2);
	CHECK(aws_clock_offset() == 0 && llabs(dated(&s, 1) - now) < 60);
	scene_finish(&s);
}

static void test_bad_urls(void)
{
	static const struct http_answer script = {.status = "200 OK"};
	struct scene s;

	scene_prepare(&s, &script, 1);
	s.call.url = "hunter2://x";
	scene_call(&s);
	CHECK(s.rc == -EIO && s.given.n == 0);
	scene_finish(&s);
}

/* Where nothing listens there is no answer, and no code of AWS. */
static void test_nobody_listens(void)
{
	struct aws_call to = {
		.service = AWS_SERVICE_STS,
		.region = "eu-west-1",
		.operation = "GetCallerIdentity",
	};
	struct secret answer = {0};
	struct err err = {0};
	char url[64], msg[128];
	uint16_t port;
	int fd = loopback_socket(false, &port);

	(void)snprintf(url, sizeof(url), "http://127.0.0.1:%u", port);
	(void)snprintf(msg, sizeof(msg),
		       "GetCallerIdentity: 127.0.0.1:%u: Connection refused "
		       "(tried 3 times)",
		       port);
	to.url = url;
	CHECK(aws_call(&answer, &to, NULL, &err) == -ECONNREFUSED);
	CHECK_TEXT(err.msg, msg);
	CHECK(aws_call(&answer, &to, NULL, NULL) == -ECONNREFUSED);
	CHECK(close(fd) == 0);
}

int main(int argc, char **argv)
{
	check_init(argc, argv);
	aws_call_limit_ms = PLENTY_MS;
	aws_retry_base_ms = 1;
	aws_retry_throttled_ms = 1;
	test_json_service();
	test_query_service_unsigned();
	test_refusals_are_final();
	test_time_is_limited_in_all();
	test_expired_keys_are_replaced_once();
	test_no_keys();
	test_clock_that_is_off();
	test_bad_urls();
	test_nobody_listens();
	return 0;
}
