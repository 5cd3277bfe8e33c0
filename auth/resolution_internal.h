/* SPDX-License-Identifier: MIT */
/* What the parts of an attempt share; auth/resolution*.c only. */
#ifndef CONNFS_AUTH_RESOLUTION_INTERNAL_H
#define CONNFS_AUTH_RESOLUTION_INTERNAL_H

#include "auth/aws/values.h"
#include "auth/provider.h"
#include "auth/resolution.h"
#include "common/secret.h"

struct resolution {
	struct auth_config config; /* its texts are in `texts` */
	struct text *texts;
	struct auth_tag *tags;
	const struct auth_provider *provider; /* null: no local one */
	void *state;                          /* the provider's */
	struct aws_identity *base; /* reads values; null: AWS is not asked */
	/* resolution_run()'s own. */
	struct secret local;       /* what the provider gave, if kept */
	struct err old;            /* see resolution_old_value() */
	struct aws_identity *role; /* role_arn's, once it was needed */
};

/* For aws_value_get() and _drop(). */
struct aws_value resolution_value(const struct resolution *r,
				  enum aws_value_kind kind, const char *name);

/* aws_value_get(), for this attempt. */
int resolution_get_value(struct resolution *r, struct secret *out,
			 const struct aws_value *value, const char *key,
			 bool *cached, struct err *err);

/* Fills what is missing in c from the text of the secret called name. */
int resolution_fill(struct credential *c, const struct secret *text,
		    const char *name, struct err *err);

/* What takes the place of a password: the engine's token. */
int resolution_token(struct resolution *r, struct resolution_wish wish,
		     struct resolved *out, struct err *err);

#endif
