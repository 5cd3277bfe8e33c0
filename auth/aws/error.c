/* SPDX-License-Identifier: MIT */
#include "auth/aws/error.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "auth/aws/json.h"
#include "auth/aws/xml.h"
#include "common/clock.h"
#include "common/utf8.h"

/* What a code means; of its kinds. */
enum {
	DENIED = 1,
	BAD_KEYS = 2,
	STALE = 4,           /* fresh keys may help */
	STALE_TEMPORARY = 8, /* the same, if those were temporary */
	CLOCK = 16,
	THROTTLED = 32,
	TRANSIENT = 64,
};

static const struct kind {
	const char *code;
	unsigned is;
} kinds[] = {
	{"AccessDenied", DENIED | CLOCK},
	{"AccessDeniedException", DENIED | CLOCK},
	{"OptInRequired", DENIED},
	{"RegionDisabledException", DENIED},
	{"UnauthorizedOperation", DENIED},

	{"AuthFailure", BAD_KEYS | CLOCK},
	{"ExpiredToken", BAD_KEYS | STALE},
	{"ExpiredTokenException", BAD_KEYS | STALE},
	{"IncompleteSignature", BAD_KEYS},
	{"IncompleteSignatureException", BAD_KEYS},
	{"InvalidClientTokenId", BAD_KEYS | STALE_TEMPORARY},
	{"InvalidSignatureException", BAD_KEYS | CLOCK},
	{"MissingAuthenticationToken", BAD_KEYS},
	{"MissingAuthenticationTokenException", BAD_KEYS},
	{"RequestExpired", BAD_KEYS | STALE | CLOCK},
	{"RequestInTheFuture", BAD_KEYS | CLOCK},
	{"RequestTimeTooSkewed", BAD_KEYS | CLOCK},
	{"SignatureDoesNotMatch", BAD_KEYS | CLOCK},
	{"UnrecognizedClientException", BAD_KEYS | STALE_TEMPORARY},

	{"BandwidthLimitExceeded", THROTTLED},
	{"EC2ThrottledException", THROTTLED},
	{"LimitExceededException", THROTTLED},
	{"ProvisionedThroughputExceededException", THROTTLED},
	{"RequestLimitExceeded", THROTTLED},
	{"RequestThrottled", THROTTLED},
	{"RequestThrottledException", THROTTLED},
	{"SlowDown", THROTTLED},
	{"ThrottledException", THROTTLED},
	{"Throttling", THROTTLED},
	{"ThrottlingException", THROTTLED},
	{"TooManyRequestsException", THROTTLED},
	{"TransactionInProgressException", THROTTLED},

	{"IDPCommunicationError", TRANSIENT},
	{"IDPCommunicationErrorException", TRANSIENT},
	{"InternalServerException", TRANSIENT},
	{"PriorRequestNotComplete", TRANSIENT},
	{"RequestTimeout", TRANSIENT},
	{"RequestTimeoutException", TRANSIENT},
};

static unsigned kind_of(const char *code)
{
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (strcmp(kinds[i].code, code) == 0)
			return kinds[i].is;
	}
	return 0;
}

/* "AccessDenied:http://..", "com.amazonaws.ssm#ParameterNotFound" */
static void set_code(struct aws_refusal *out, const char *text)
{
	char *code = out->error.code;
	size_t len = strcspn(text, ":");
	const char *hash = memrchr(text, '#', len);
	size_t n = 0;

	if (code[0] != '\0')
		return;
	if (hash != NULL) {
		len -= (size_t)(hash + 1 - text);
		text = hash + 1;
	}
	for (size_t i = 0; i < len && n + 1 < AWS_CODE_SIZE; i++) {
		unsigned char c = (unsigned char)text[i];

		if (isalnum(c) || (c != '\0' && strchr("._-", c) != NULL))
			code[n++] = (char)c;
	}
	code[n] = '\0';
}

static void drop(char *at, size_t len)
{
	memmove(at, at + len, strlen(at + len) + 1);
}

/* "Value 'what was sent' at 'externalId' failed to satisfy constraint" */
static void hide_values(char *text)
{
	static const char before[] = "Value '", after[] = "' at '";
	char *value = text;

	while ((value = strstr(value, before)) != NULL) {
		char *end;

		value += sizeof(before) - 1;
		end = strstr(value, after);
		drop(value,
		     end != NULL ? (size_t)(end - value) : strlen(value));
	}
}

void aws_error_hide(struct secret *text, const char *sent)
{
	enum { SECRET_MIN = 8 }; /* what is shorter stands in any text */
	size_t len = sent != NULL ? strlen(sent) : 0;
	char *at = text->data;

	if (at == NULL || len < SECRET_MIN)
		return;
	while ((at = strstr(at, sent)) != NULL) {
		memset(at, '.', 3);
		at += 3;
		drop(at, len - 3);
	}
	text->len = strlen(text->data);
}

/* Words that are as long as tokens are. */
static void hide_tokens(char *text)
{
	enum { TOKEN_MIN = 100 };
	static const char token[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				    "abcdefghijklmnopqrstuvwxyz"
				    "0123456789+/=_.~%-";

	while (*text != '\0') {
		size_t len = strspn(text, token);

		if (len >= TOKEN_MIN) {
			memcpy(text, "...", 3);
			drop(text + 3, len - 3);
			len = 3;
		}
		text += len > 0 ? len : 1;
	}
}

/*
 * Behind the first line some services quote what was signed, the session token
 * with it. Changes text.
 */
static void set_message(struct aws_refusal *out, struct secret *text,
			const struct aws_sent *sent)
{
	char *canonical;
	size_t len;

	if (text->len == 0 || out->message[0] != '\0')
		return;
	aws_error_hide(text, sent->secret_key);
	aws_error_hide(text, sent->session_token);
	aws_error_hide(text, sent->other);
	text->data[strcspn(text->data, "\r\n")] = '\0';
	canonical = strstr(text->data, "The Canonical String");
	if (canonical != NULL)
		*canonical = '\0';
	hide_values(text->data);
	hide_tokens(text->data);
	len = strlen(text->data);
	while (len > 0 && strchr(" .", text->data[len - 1]) != NULL)
		len--;
	utf8_line(out->message, sizeof(out->message), text->data, len);
}

static void parse_json(struct aws_refusal *out,
		       const struct http_response *response,
		       const struct aws_sent *sent)
{
	static const char *const messages[] = {"message", "Message"};
	auto_aws_json struct aws_json *json = NULL;
	auto_secret struct secret text = {0};

	if (aws_json_parse(&json, response->body.data, response->body.len, "",
			   NULL) < 0)
		return;
	if (aws_json_get(json, "__type", &text) > 0 && text.len > 0)
		set_code(out, text.data);
	set_code(out, response->error_type);
	if (aws_json_get(json, "code", &text) > 0 && text.len > 0)
		set_code(out, text.data);
	if (aws_json_get(json, "Code", &text) > 0 && text.len > 0)
		set_code(out, text.data);
	for (size_t i = 0; i < sizeof(messages) / sizeof(messages[0]); i++) {
		if (aws_json_get(json, messages[i], &text) > 0)
			set_message(out, &text, sent);
	}
}

static void parse_xml(struct aws_refusal *out,
		      const struct http_response *response,
		      const struct aws_sent *sent)
{
	auto_secret struct secret code = {0}, message = {0}, id = {0};
	const struct aws_xml_field fields[] = {
		{"Code", &code},
		{"Message", &message},
		{"RequestId", &id},
	};

	if (aws_xml_get(response->body.data, response->body.len, fields,
			sizeof(fields) / sizeof(fields[0]), NULL) < 0)
		return;
	if (code.len > 0)
		set_code(out, code.data);
	set_message(out, &message, sent);
	if (id.len > 0)
		utf8_line(out->request_id, sizeof(out->request_id), id.data,
			  id.len);
}

static bool ends_with(const char *text, const char *end)
{
	size_t len = strlen(text), n = strlen(end);

	return len >= n && strcmp(text + len - n, end) == 0;
}

static bool is_not_found(const char *code)
{
	return ends_with(code, "NotFound") ||
	       ends_with(code, "NotFoundException") ||
	       ends_with(code, "NotFoundFault");
}

static void classify(struct aws_refusal *out, unsigned status, bool temporary)
{
	struct aws_error *error = &out->error;
	unsigned is = kind_of(error->code);

	if (error->code[0] == '\0') {
		(void)snprintf(error->code, sizeof(error->code), "HTTP %u",
			       status);
		if (status == 403)
			is = DENIED | CLOCK;
		else if (status == 401)
			is = BAD_KEYS;
	}
	error->denied = (is & DENIED) != 0;
	error->bad_keys = (is & BAD_KEYS) != 0;
	error->throttled = (is & THROTTLED) != 0 || status == 429;
	error->not_found = is_not_found(error->code);
	out->by_clock = (is & CLOCK) != 0;
	out->stale_keys =
		(is & STALE) != 0 || ((is & STALE_TEMPORARY) != 0 && temporary);
	error->transient = (is & TRANSIENT) != 0 || error->throttled ||
			   status == 500 || status == 502 || status == 503 ||
			   status == 504;
}

void aws_refusal_parse(struct aws_refusal *out,
		       const struct http_response *response,
		       const struct aws_sent *sent)
{
	bool temporary =
		sent->session_token != NULL && sent->session_token[0] != '\0';
	const char *body =
		response->body.data != NULL ? response->body.data : "";

	*out = (struct aws_refusal){0};
	memcpy(out->request_id, response->request_id, sizeof(out->request_id));
	body += strspn(body, " \t\r\n");
	if (*body == '{')
		parse_json(out, response, sent);
	else if (*body == '<')
		parse_xml(out, response, sent);
	set_code(out, response->error_type);
	classify(out, response->status, temporary);
	if (response->date != 0)
		out->clock_off = response->date - clock_wall_ms() / 1000;
}
