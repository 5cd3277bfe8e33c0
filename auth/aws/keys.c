/* SPDX-License-Identifier: MIT */
#include "auth/aws/keys.h"

static int copy(struct secret *out, const struct secret *from)
{
	return secret_set(out, from->data, from->len);
}

int aws_keys_copy(struct aws_keys *out, const struct aws_keys *from)
{
	struct aws_keys fresh = {.expires_at = from->expires_at};
	int rc = copy(&fresh.access_key, &from->access_key);

	if (rc == 0)
		rc = copy(&fresh.secret_key, &from->secret_key);
	if (rc == 0)
		rc = copy(&fresh.session_token, &from->session_token);
	if (rc < 0) {
		aws_keys_finish(&fresh);
		return rc;
	}
	aws_keys_finish(out);
	*out = fresh;
	return 0;
}

void aws_keys_finish(struct aws_keys *keys)
{
	secret_finish(&keys->access_key);
	secret_finish(&keys->secret_key);
	secret_finish(&keys->session_token);
	keys->expires_at = 0;
}
