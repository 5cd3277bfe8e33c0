/* SPDX-License-Identifier: MIT */
#include "auth/aws/service.h"

#include "common/cleanup.h"

int aws_service_call(struct secret *out, struct aws_identity *identity,
		     const struct aws_request *request, struct aws_error *error,
		     struct err *err)
{
	auto_free char *url = NULL;
	auto_free char *ca_file = aws_identity_ca_file(identity);
	struct aws_call call = {
		.service = request->service,
		.region = request->region,
		.operation = request->operation,
		.target = request->target,
		.body = request->body,
		.body_len = request->body_len,
		.signer = aws_identity_signer(identity),
		.ca_file = ca_file,
	};
	int rc;

	*error = (struct aws_error){0};
	rc = aws_identity_endpoint(identity, request->service, request->region,
				   &url, err);
	if (rc < 0)
		return rc;
	call.url = url;
	return aws_call(out, &call, error, err);
}
