/* SPDX-License-Identifier: MIT */
/* password_plain: the value stands in the spec. */
#include "auth/provider.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void static_destroy(void *state)
{
	struct secret *value = state;

	secret_finish(value);
	free(value);
}

static int static_create(void **state, const struct auth_config *config,
			 struct err *err)
{
	struct secret *value;

	if (config->value[0] == '\0')
		return err_set(err, EINVAL,
			       "password_plain: must not be empty");
	value = calloc(1, sizeof(*value));
	if (value == NULL ||
	    secret_set(value, config->value, strlen(config->value)) < 0) {
		free(value);
		return err_set(err, ENOMEM, "password_plain: out of memory");
	}
	*state = value;
	return 0;
}

static int static_issue(void *state, struct credential *out, struct err *err)
{
	const struct secret *value = state;

	if (secret_set(&out->password, value->data, value->len) < 0)
		return err_set(err, EKEYREJECTED,
			       "password_plain: out of memory");
	return 0;
}

const struct auth_provider auth_static_provider = {
	.source = "static",
	.instant = true,
	.create = static_create,
	.issue = static_issue,
	.destroy = static_destroy,
};
