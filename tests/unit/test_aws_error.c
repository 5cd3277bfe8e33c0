/* SPDX-License-Identifier: MIT */
/* What AWS answers instead of a result: its codes, and words for a person. */
#include "auth/aws/error.h"

#include <errno.h>

#include "auth/aws/clock.h"
#include "common/clock.h"
#include "common/utf8.h"
#include "tests/unit/check.h"

static const struct aws_sent with_token = {.session_token = "temporary"};
static const struct aws_sent without = {.session_token = ""};

static int64_t set_forward; /* s */

int64_t __real_clock_wall_ms(void);
int64_t __wrap_clock_wall_ms(void);
int64_t __wrap_clock_wall_ms(void)
{
	return __real_clock_wall_ms() + set_forward * 1000;
}

static struct aws_refusal refusal(unsigned status, const char *type,
				  const char *body)
{
	struct http_response response = {.status = status};
	struct aws_refusal out;

	(void)snprintf(response.error_type, sizeof(response.error_type), "%s",
		       type);
	CHECK(secret_set(&response.body, body, strlen(body)) == 0);
	aws_refusal_parse(&out, &response, &with_token);
	http_response_finish(&response);
	return out;
}

static void test_where_the_code_stands(void)
{
	static const struct {
		unsigned status;
		const char *type, *body, *code, *message;
	} cases[] = {
		{400, "", "{\"__type\":\"ParameterNotFound\"}",
		 "ParameterNotFound", ""},
		{400, "",
		 "{\"__type\":\"com.amazonaws.ssm#AccessDeniedException:http://"
		 "x#y\",\"Message\":\"no\"}",
		 "AccessDeniedException", "no"},
		{400, "ThrottlingException:http://internal.amazon.com/#x",
		 "{\"message\":\"Rate exceeded\"}", "ThrottlingException",
		 "Rate exceeded"},
		{400, "Header", "{\"__type\":\"Body\"}", "Body", ""},
		{400, "Header", "", "Header", ""},
		{400, "Header", "{\"code\":\"Body\"}", "Header", ""},
		{400, "", "{\"code\":\"One\",\"message\":\"m.\"}", "One", "m"},
		{400, "", "{\"Code\":\"Two\"}", "Two", ""},
		{403, "",
		 "<ErrorResponse xmlns='x'><Error><Type>Sender</Type>"
		 "<Code>AccessDenied</Code><Message>User: a is not authorized"
		 "</Message></Error><RequestId>1-2</RequestId></ErrorResponse>",
		 "AccessDenied", "User: a is not authorized"},
		{400, "",
		 "<Response><Errors><Error><Code>Throttling</Code></Error>"
		 "</Errors></Response>",
		 "Throttling", ""},
		{502, "", "<html><body>Bad Gateway</body>", "HTTP 502", ""},
		{503, "", "", "HTTP 503", ""},
		{500, "", "hunter2", "HTTP 500", ""},
		{500, "", "{\"__type\":", "HTTP 500", ""},
		{400, "", "{\"__type\":\"a b\\n<c>\xc3\xa9\"}", "abc", ""},
		{400, "", "{\"__type\":7,\"message\":[1]}", "7", ""},
		{301, "", "", "HTTP 301", ""},
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct aws_refusal r =
			refusal(cases[i].status, cases[i].type, cases[i].body);

		CHECK_TEXT(r.error.code, cases[i].code);
		CHECK_TEXT(r.message, cases[i].message);
	}
}

/* Whatever was sent and comes back; what is short stands in any text. */
static void test_what_was_sent_is_hidden(void)
{
	static const char text[] = "no s3cr3t-1 nor s3cr3t-1s3cr3t-1, but to";
	struct secret message = {0};

	aws_error_hide(&message, "s3cr3t-1");
	CHECK(message.len == 0);
	CHECK(secret_set(&message, text, strlen(text)) == 0);
	aws_error_hide(&message, NULL);
	aws_error_hide(&message, "");
	aws_error_hide(&message, "to");
	aws_error_hide(&message, "s3cr3t-2");
	CHECK_TEXT(message.data, text);
	aws_error_hide(&message, "s3cr3t-1");
	CHECK_TEXT(message.data, "no ... nor ......, but to");
	CHECK(message.len == strlen(message.data));
	secret_finish(&message);
}

/* However the answer says it. */
static void test_no_message_quotes_what_was_sent(void)
{
	static const struct aws_sent sent = {
		.secret_key = "the/key+",
		.session_token = "the<token>",
		.other = "the other",
	};
	static const char *const bodies[] = {
		"{\"message\":\"a the\\/key+ b the\\u003ctoken> c the other\"}",
		"<Error><Message>a the/key&#43; b the&lt;token&gt; c the other"
		"</Message></Error>",
	};

	for (size_t i = 0; i < COUNT(bodies); i++) {
		struct http_response response = {.status = 400};
		struct aws_refusal out;

		CHECK(secret_set(&response.body, bodies[i],
				 strlen(bodies[i])) == 0);
		aws_refusal_parse(&out, &response, &sent);
		CHECK_TEXT(out.message, "a ... b ... c");
		http_response_finish(&response);
	}
}

enum {
	DENIED = 1,
	NOT_FOUND = 2,
	KEYS = 4,
	THROTTLED = 8,
	TRANSIENT = 16,
	STALE = 32,
	CLOCK = 64,
};

static unsigned flags_of(const struct aws_refusal *r)
{
	return (r->error.denied ? DENIED : 0) |
	       (r->error.not_found ? NOT_FOUND : 0) |
	       (r->error.bad_keys ? KEYS : 0) |
	       (r->error.throttled ? THROTTLED : 0) |
	       (r->error.transient ? TRANSIENT : 0) |
	       (r->stale_keys ? STALE : 0) | (r->by_clock ? CLOCK : 0);
}

static void test_what_codes_mean(void)
{
	static const struct {
		unsigned status;
		const char *code;
		unsigned flags;
	} cases[] = {
		{400, "AccessDeniedException", DENIED | CLOCK},
		{403, "AccessDenied", DENIED | CLOCK},
		{403, "", DENIED | CLOCK},
		{401, "", KEYS},
		{403, "ExpiredToken", KEYS | STALE},
		{400, "ExpiredTokenException", KEYS | STALE},
		{400, "RequestExpired", KEYS | STALE | CLOCK},
		{403, "InvalidClientTokenId", KEYS | STALE},
		{400, "UnrecognizedClientException", KEYS | STALE},
		{400, "InvalidSignatureException", KEYS | CLOCK},
		{403, "SignatureDoesNotMatch", KEYS | CLOCK},
		{400, "MissingAuthenticationTokenException", KEYS},
		{400, "ParameterNotFound", NOT_FOUND},
		{400, "ParameterVersionNotFound", NOT_FOUND},
		{400, "ResourceNotFoundException", NOT_FOUND},
		{404, "ClusterNotFound", NOT_FOUND},
		{404, "", 0},
		{400, "Throttling", THROTTLED | TRANSIENT},
		{400, "ThrottlingException", THROTTLED | TRANSIENT},
		{429, "Whatever", THROTTLED | TRANSIENT},
		{429, "", THROTTLED | TRANSIENT},
		{400, "IDPCommunicationError", TRANSIENT},
		{500, "InternalServerError", TRANSIENT},
		{502, "", TRANSIENT},
		{503, "ServiceUnavailable", TRANSIENT},
		{504, "", TRANSIENT},
		{501, "", 0},
		{400, "ValidationException", 0},
		{400, "DecryptionFailure", 0},
		{400, "InvalidIdentityToken", 0},
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct aws_refusal r =
			refusal(cases[i].status, cases[i].code, "");

		if (flags_of(&r) != cases[i].flags)
			(void)fprintf(stderr, "%s: %u\n", cases[i].code,
				      flags_of(&r));
		CHECK(flags_of(&r) == cases[i].flags);
	}
}

/* Long-term keys have no fresh ones. */
static void test_unknown_keys_that_are_not_temporary(void)
{
	struct http_response response = {.status = 403,
					 .error_type = "InvalidClientTokenId"};
	struct aws_refusal r;

	aws_refusal_parse(&r, &response, &without);
	CHECK(r.error.bad_keys && !r.stale_keys);
}

/* AWS quotes what it was sent: tokens, external ids, canonical requests. */
static void test_messages_without_secrets(void)
{
	static const struct {
		const char *sent, *shown;
	} cases[] = {
		{"The request signature does not match.\\n\\nThe Canonical "
		 "String for this request should have been\\n'POST\\nhunter2'",
		 "The request signature does not match"},
		{"Wrong. The Canonical String for this request should be "
		 "'POST hunter2'",
		 "Wrong"},
		{"2 validation errors detected: Value 'hunter2' at "
		 "'externalId' failed to satisfy constraint: short; Value "
		 "'hunter2'' at 'x' failed",
		 "2 validation errors detected: Value '' at 'externalId' "
		 "failed to satisfy constraint: short; Value '' at 'x' failed"},
		{"Value 'hunter2", "Value '"},
		{"Value 'hunter2\\nhunter2' at 'x'", "Value '"},
		{"a\\u0001b\\tc\\u0085d", "a b c d"},
		{"", ""},
		{". .", ""},
	};
	char body[512], token[301] = "", expected[32];

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct aws_refusal r;

		(void)snprintf(body, sizeof(body),
			       "{\"__type\":\"X\",\"message\":\"%s\"}",
			       cases[i].sent);
		r = refusal(400, "", body);
		CHECK_TEXT(r.message, cases[i].shown);
	}
	memset(token, 'x', 300);
	token[150] = '/';
	(void)snprintf(body, sizeof(body),
		       "{\"__type\":\"X\",\"message\":\"token %s is bad\"}",
		       token);
	(void)snprintf(expected, sizeof(expected), "token ... is bad");
	CHECK_TEXT(refusal(400, "", body).message, expected);
}

static struct aws_call a_call(const struct aws_signer *signer)
{
	return (struct aws_call){
		.service = AWS_SERVICE_SSM,
		.region = "eu-west-1",
		.operation = "GetParameter",
		.target = "AmazonSSM",
		.signer = signer,
	};
}

static void test_words_for_a_person(void)
{
	static const struct {
		const char *code, *message;
		unsigned attempts;
		bool is_signed;
		int rc;
		const char *text;
	} cases[] = {
		{"AccessDeniedException",
		 "User: arn:aws:iam::1:user/a is not authorized to perform: "
		 "ssm:GetParameter on resource: arn:aws:ssm:::parameter/p",
		 1, true, -EACCES,
		 "GetParameter: AccessDeniedException: User: "
		 "arn:aws:iam::1:user/a is not authorized to perform: "
		 "ssm:GetParameter on resource: arn:aws:ssm:::parameter/p; "
		 "allow ssm:GetParameter in IAM (request r-1)"},
		{"AccessDeniedException",
		 "User: a is not authorized to perform: kms:Decrypt on "
		 "resource: b",
		 1, true, -EACCES,
		 "GetParameter: AccessDeniedException: User: a is not "
		 "authorized to perform: kms:Decrypt on resource: b; allow "
		 "kms:Decrypt in IAM (request r-1)"},
		{"AccessDeniedException", "Access to KMS is not allowed", 1,
		 true, -EACCES,
		 "GetParameter: AccessDeniedException: Access to KMS is not "
		 "allowed; allow kms:Decrypt in IAM (request r-1)"},
		{"ExpiredTokenException", "The security token is expired", 1,
		 true, -EACCES,
		 "GetParameter: ExpiredTokenException: The security token is "
		 "expired; the AWS keys that sign have expired: renew them at "
		 "their source (request r-1)"},
		{"ExpiredTokenException", "", 1, false, -EACCES,
		 "GetParameter: ExpiredTokenException; renew the web identity "
		 "token (request r-1)"},
		{"UnrecognizedClientException", "", 1, true, -EACCES,
		 "GetParameter: UnrecognizedClientException; AWS does not "
		 "know the access key that signs, or its session token: check "
		 "both (request r-1)"},
		{"SignatureDoesNotMatch", "no", 1, true, -EACCES,
		 "GetParameter: SignatureDoesNotMatch: no; check the secret "
		 "access key that signs (request r-1)"},
		{"ParameterNotFound", "", 1, true, -ENOENT,
		 "GetParameter: ParameterNotFound; check the name and the "
		 "region eu-west-1 (request r-1)"},
		{"ThrottlingException", "Rate exceeded", 3, true, -EAGAIN,
		 "GetParameter: ThrottlingException: Rate exceeded; AWS "
		 "limits the rate of these calls: wait, or cache longer "
		 "(request r-1, tried 3 times)"},
		{"InternalServerError", "", 3, true, -EIO,
		 "GetParameter: InternalServerError (request r-1, tried 3 "
		 "times)"},
		{"ValidationException", "no", 1, true, -EIO,
		 "GetParameter: ValidationException: no (request r-1)"},
	};
	const struct aws_signer signer = {0};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct aws_call call =
			a_call(cases[i].is_signed ? &signer : NULL);
		struct aws_refusal r;
		struct err err = {0};
		char body[512];

		(void)snprintf(body, sizeof(body), "{\"message\":\"%s\"}",
			       cases[i].message);
		r = refusal(400, cases[i].code, body);
		memcpy(r.request_id, "r-1", 4);
		CHECK(aws_refusal_explain(&r, &call, cases[i].attempts, &err) ==
		      cases[i].rc);
		CHECK_TEXT(err.msg, cases[i].text);
		CHECK(err.code == -cases[i].rc);
	}
}

static void test_words_for_a_role(void)
{
	struct aws_call call = a_call(NULL);
	struct aws_refusal r = refusal(403, "AccessDenied", "");
	struct err err = {0};

	call.service = AWS_SERVICE_STS;
	call.operation = "AssumeRoleWithWebIdentity";
	CHECK(aws_refusal_explain(&r, &call, 1, &err) == -EACCES);
	CHECK_TEXT(err.msg, "AssumeRoleWithWebIdentity: AccessDenied; allow "
			    "sts:AssumeRoleWithWebIdentity to the caller in "
			    "IAM and in the trust policy of the role, and "
			    "check external_id");
}

static void test_clock_that_is_off(void)
{
	const struct aws_signer signer = {0};
	struct aws_call call = a_call(&signer);
	struct http_response response = {
		.status = 400,
		.error_type = "InvalidSignatureException",
		.date = clock_wall_ms() / 1000 + 3605,
	};
	struct aws_refusal r;
	struct err err = {0};
	const char *body = "{\"message\":\"Signature expired: 1 is now\"}";
	long seconds;

	CHECK(secret_set(&response.body, body, strlen(body)) == 0);
	aws_refusal_parse(&r, &response, &with_token);
	http_response_finish(&response);
	CHECK(r.clock_off >= 3603 && r.clock_off <= 3605);
	seconds = (long)r.clock_off;
	CHECK(aws_refusal_explain(&r, &call, 1, &err) == -EACCES);
	(void)snprintf(r.message, sizeof(r.message),
		       "GetParameter: InvalidSignatureException: Signature "
		       "expired: 1 is now; this machine's clock is %ld s "
		       "behind: set it",
		       seconds);
	CHECK_TEXT(err.msg, r.message);
}

/* AWS's words give way; what to do and the request do not. */
static void test_long_messages_are_cut(void)
{
	const struct aws_signer signer = {0};
	struct aws_call call = a_call(&signer);
	struct aws_refusal r = refusal(400, "SignatureDoesNotMatch", "");
	const char *end = "...; check the secret access key that signs "
			  "(request r-1)";
	char operation[ERR_MSG_SIZE - 300] = "";
	struct err err = {0};
	size_t len;

	memset(operation, 'x', sizeof(operation) - 1);
	call.operation = operation;
	for (size_t i = 0; i + 3 < AWS_MESSAGE_SIZE; i += 3)
		memcpy(r.message + i, "\xe2\x82\xac", 4);
	memcpy(r.request_id, "r-1", 4);
	CHECK(aws_refusal_explain(&r, &call, 1, &err) == -EACCES);
	len = strlen(err.msg);
	CHECK(len > ERR_MSG_SIZE - 8 && len < ERR_MSG_SIZE);
	CHECK_TEXT(err.msg + len - strlen(end), end);
	CHECK(utf8_span(err.msg, len) == len);
}

/* The offset is of the whole process: this is the one test of it here. */
static void test_clock_is_learnt(void)
{
	int64_t now = clock_wall_ms() / 1000;

	CHECK(!aws_clock_learn(0));
	CHECK(!aws_clock_learn(1400000000));
	CHECK(!aws_clock_learn(now + 200) && !aws_clock_learn(now - 200));
	CHECK(aws_clock_offset() == 0 && aws_now() - now <= 1);
	CHECK(aws_clock_learn(now - 900));
	CHECK(aws_clock_offset() <= -900 && aws_clock_offset() >= -905);
	CHECK(!aws_clock_learn(now - 890));
	CHECK(aws_clock_offset() >= -895);
	CHECK(!aws_clock_learn(1400000000));
	CHECK(aws_now() <= now - 885);
	CHECK(aws_clock_learn(now - 100));
	CHECK(aws_clock_offset() <= -100 && aws_clock_offset() >= -105);
	CHECK(!aws_clock_learn(now));
	CHECK(aws_clock_offset() == 0);
}

/* What was learnt of a clock is not true of it when it has been set. */
static void test_clock_is_set(void)
{
	int64_t now = clock_wall_ms() / 1000;

	CHECK(aws_clock_learn(now + 3600));
	CHECK(llabs(aws_clock_offset() - 3600) <= 1);
	/* It is led there gently. */
	set_forward = 100;
	CHECK(llabs(aws_clock_offset() - 3500) <= 1);
	set_forward = 3580;
	CHECK(aws_clock_offset() == 0);
	set_forward = 3600;
	CHECK(aws_clock_offset() == 0);
	/* Whatever it was set to: it was not for nothing. */
	set_forward = -7200;
	CHECK(aws_clock_offset() == 0);
	CHECK(aws_clock_learn(now));
	CHECK(llabs(aws_clock_offset() - 7200) <= 1);
	set_forward = 0;
	CHECK(aws_clock_offset() == 0 && llabs(aws_now() - now) <= 1);
}

int main(void)
{
	test_where_the_code_stands();
	test_what_was_sent_is_hidden();
	test_no_message_quotes_what_was_sent();
	test_what_codes_mean();
	test_unknown_keys_that_are_not_temporary();
	test_messages_without_secrets();
	test_words_for_a_person();
	test_words_for_a_role();
	test_clock_that_is_off();
	test_long_messages_are_cut();
	test_clock_is_learnt();
	test_clock_is_set();
	return 0;
}
