/* SPDX-License-Identifier: MIT */
#include "auth/aws/source.h"

#include <errno.h>

void aws_source_destroy(struct aws_source *source)
{
	if (source != NULL)
		source->ops->destroy(source);
}

int aws_source_fetch(struct aws_source *source, struct aws_keys *out,
		     struct err *err)
{
	struct err why = {0};
	int rc = source->ops->fetch(source, out, &why);

	if (rc < 0)
		return err_set(err, why.code, "%s: %s", source->name, why.msg);
	return 0;
}

/* 0; -EINVAL: it is not there. */
static int take(struct secret *out, const struct aws_json *json,
		const char *name, struct err *err)
{
	int rc = aws_json_get(json, name, out);

	if (rc == -ENOMEM)
		return err_set(err, ENOMEM, "out of memory");
	if (rc <= 0 || out->len == 0)
		return err_set(err, EINVAL, "the answer has no %s", name);
	return 0;
}

static int read_keys(struct aws_keys *out, const struct aws_json *json,
		     const struct aws_key_names *names, struct err *err)
{
	auto_secret struct secret text = {0};
	int rc = take(&out->access_key, json, names->access_key, err);

	if (rc == 0)
		rc = take(&out->secret_key, json, names->secret_key, err);
	if (rc < 0)
		return rc;
	rc = aws_json_get(json, names->session_token, &out->session_token);
	if (rc >= 0 && names->expiration != NULL) {
		rc = aws_json_get(json, names->expiration, &text);
		if (rc == 1)
			out->expires_at =
				aws_json_time(json, names->expiration);
	}
	if (rc == -ENOMEM)
		return err_set(err, ENOMEM, "out of memory");
	if (rc < 0)
		return err_set(err, EINVAL,
			       "the answer has a %s or %s that is no text",
			       names->session_token, names->expiration);
	if (text.len > 0 && out->expires_at == 0)
		return err_set(err, EINVAL,
			       "the %s in the answer is no ISO 8601 time",
			       names->expiration);
	return 0;
}

const struct aws_key_names aws_platform_key_names = {
	.access_key = "AccessKeyId",
	.secret_key = "SecretAccessKey",
	.session_token = "Token",
	.expiration = "Expiration",
};

int aws_keys_from_json(struct aws_keys *out, const struct aws_json *json,
		       const struct aws_key_names *names, struct err *err)
{
	int rc;

	aws_keys_finish(out);
	rc = read_keys(out, json, names, err);
	if (rc < 0)
		aws_keys_finish(out);
	return rc;
}
