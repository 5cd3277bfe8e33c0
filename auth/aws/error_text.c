/* SPDX-License-Identifier: MIT */
/* Refusals of AWS in words that say what to do. */
#include "auth/aws/error.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/utf8.h"

enum { HINT_SIZE = 240, REMARK_SIZE = HTTP_FIELD_SIZE + 64 };

static bool begins(const char *text, const char *with)
{
	return strncmp(text, with, strlen(with)) == 0;
}

/* The IAM action that is missing, by AWS's own words if they tell. */
static void action(char *out, size_t size, const struct aws_refusal *r,
		   const struct aws_call *call)
{
	static const char mark[] = "not authorized to perform: ";
	const char *told = strstr(r->message, mark);

	if (told != NULL) {
		told += sizeof(mark) - 1;
		utf8_line(out, size, told, strcspn(told, " ,;"));
	} else if (strstr(r->message, "KMS") != NULL ||
		   strstr(r->message, "ciphertext") != NULL) {
		(void)snprintf(out, size, "kms:Decrypt");
	} else {
		(void)snprintf(out, size, "%s:%s",
			       aws_service_name(call->service),
			       call->operation);
	}
}

static void hint_denied(char *out, const struct aws_refusal *r,
			const struct aws_call *call)
{
	char what[96];

	action(what, sizeof(what), r, call);
	if (begins(call->operation, "AssumeRole"))
		(void)snprintf(out, HINT_SIZE,
			       "allow %s to the caller in IAM and in the "
			       "trust policy of the role, and check "
			       "external_id",
			       what);
	else
		(void)snprintf(out, HINT_SIZE, "allow %s in IAM", what);
}

static bool clock_refused(const struct aws_refusal *r)
{
	return strstr(r->message, "Signature expired") != NULL ||
	       strstr(r->message, "Signature not yet current") != NULL ||
	       begins(r->error.code, "RequestInTheFuture") ||
	       begins(r->error.code, "RequestTimeTooSkewed");
}

static void hint_clock(char *out, const struct aws_refusal *r)
{
	if (r->clock_off == 0) {
		(void)snprintf(out, HINT_SIZE, "set this machine's clock");
		return;
	}
	(void)snprintf(out, HINT_SIZE,
		       "this machine's clock is %lld s %s: set it",
		       llabs((long long)r->clock_off),
		       r->clock_off > 0 ? "behind" : "ahead");
}

static void hint_keys(char *out, const struct aws_refusal *r,
		      const struct aws_call *call)
{
	const char *code = r->error.code;
	const char *text = "check the AWS access key that signs";

	if (clock_refused(r)) {
		hint_clock(out, r);
		return;
	}
	if (call->signer == NULL)
		text = begins(code, "Expired") ? "renew the web identity token"
					       : "check the web identity token";
	else if (begins(code, "Expired") || begins(code, "RequestExpired"))
		text = "the AWS keys that sign have expired: renew them at "
		       "their source";
	else if (begins(code, "InvalidClientTokenId") ||
		 begins(code, "UnrecognizedClient"))
		text = "AWS does not know the access key that signs, or its "
		       "session token: check both";
	else if (begins(code, "InvalidSignature") ||
		 begins(code, "SignatureDoesNotMatch"))
		text = "check the secret access key that signs";
	(void)snprintf(out, HINT_SIZE, "%s", text);
}

static void hint(char *out, const struct aws_refusal *r,
		 const struct aws_call *call)
{
	const struct aws_error *e = &r->error;

	out[0] = '\0';
	if (e->bad_keys)
		hint_keys(out, r, call);
	else if (e->denied)
		hint_denied(out, r, call);
	else if (e->not_found)
		(void)snprintf(out, HINT_SIZE,
			       "check the name and the region %s",
			       call->region);
	else if (e->throttled)
		(void)snprintf(out, HINT_SIZE,
			       "AWS limits the rate of these calls: wait, or "
			       "cache longer");
}

/* " (request 1-2-3, tried 3 times)" */
static void remark(char *out, const struct aws_refusal *r, unsigned attempts)
{
	bool has_id = r->request_id[0] != '\0';
	char tried[32] = "";

	if (attempts > 1)
		(void)snprintf(tried, sizeof(tried), "%stried %u times",
			       has_id ? ", " : "", attempts);
	out[0] = '\0';
	if (has_id || attempts > 1)
		(void)snprintf(out, REMARK_SIZE, " (%s%s%s)",
			       has_id ? "request " : "", r->request_id, tried);
}

static int code_of(const struct aws_error *e)
{
	if (e->denied || e->bad_keys)
		return EACCES;
	if (e->not_found)
		return ENOENT;
	return e->throttled ? EAGAIN : EIO;
}

int aws_refusal_explain(const struct aws_refusal *refusal,
			const struct aws_call *call, unsigned attempts,
			struct err *err)
{
	char what[HINT_SIZE], tail[REMARK_SIZE], message[AWS_MESSAGE_SIZE];
	size_t len = strlen(refusal->message);
	size_t room = ERR_MSG_SIZE - sizeof(": : ...; ");
	size_t taken;

	hint(what, refusal, call);
	remark(tail, refusal, attempts);
	/* It is AWS's words that are cut, if it does not fit. */
	taken = strlen(call->operation) + strlen(refusal->error.code) +
		strlen(what) + strlen(tail);
	room = taken < room ? room - taken : 0;
	utf8_line(message, room < len ? room + 1 : len + 1, refusal->message,
		  len);
	return err_set(err, code_of(&refusal->error), "%s: %s%s%s%s%s%s%s",
		       call->operation, refusal->error.code,
		       len > 0 ? ": " : "", message, room < len ? "..." : "",
		       what[0] != '\0' ? "; " : "", what, tail);
}
