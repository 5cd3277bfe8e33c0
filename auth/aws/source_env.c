/* SPDX-License-Identifier: MIT */
/*
 * Keys in the environment of the process, which nobody can renew: it is that
 * of the command that mounted.
 */
#include "auth/aws/source.h"

#include <errno.h>
#include <stdlib.h>

#include "auth/aws/clock.h"
#include "auth/env.h"
#include "common/cleanup.h"

static int take(struct secret *out, const char *name, struct err *err)
{
	int rc = auth_taken_env(out, name);

	if (rc == -ENOENT)
		return err_set(err, EINVAL, "%s is not set", name);
	if (rc < 0)
		return err_set(err, ENOMEM, "out of memory");
	return 0;
}

static int read_keys(struct aws_keys *keys, struct err *err)
{
	auto_free char *expiration = auth_env("AWS_CREDENTIAL_EXPIRATION");
	int rc = take(&keys->access_key, "AWS_ACCESS_KEY_ID", err);

	if (rc == 0)
		rc = take(&keys->secret_key, "AWS_SECRET_ACCESS_KEY", err);
	if (rc < 0)
		return rc;
	rc = auth_taken_env(&keys->session_token, "AWS_SESSION_TOKEN");
	if (rc == -ENOENT)
		rc = auth_taken_env(&keys->session_token, "AWS_SECURITY_TOKEN");
	if (rc == -ENOMEM)
		return err_set(err, ENOMEM, "out of memory");
	if (expiration == NULL)
		return 0;
	keys->expires_at = aws_time_parse(expiration);
	if (keys->expires_at == 0)
		return err_set(err, EINVAL,
			       "AWS_CREDENTIAL_EXPIRATION is no ISO 8601 time");
	if (keys->expires_at <= aws_now())
		return err_set(err, EKEYEXPIRED,
			       "the keys expired at %s, and those of an "
			       "environment cannot be renewed: mount again with "
			       "new ones, or use a profile",
			       expiration);
	return 0;
}

static int env_fetch(struct aws_source *source, struct aws_keys *out,
		     struct err *err)
{
	struct aws_keys keys = {0};
	int rc = read_keys(&keys, err);

	if (rc < 0) {
		aws_keys_finish(&keys);
		return rc;
	}
	aws_keys_finish(out);
	*out = keys;
	return 0;
}

static void env_destroy(struct aws_source *source)
{
	free(source);
}

static const struct aws_source_ops env_ops = {
	.fetch = env_fetch,
	.destroy = env_destroy,
};

int aws_env_source_create(struct aws_source **out, struct err *err)
{
	*out = malloc(sizeof(**out));
	if (*out == NULL)
		return err_set(err, ENOMEM, "out of memory");
	**out = (struct aws_source){.ops = &env_ops, .name = "environment"};
	return 0;
}
