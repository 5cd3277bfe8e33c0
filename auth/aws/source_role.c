/* SPDX-License-Identifier: MIT */
/* A role of a profile, assumed with the keys of another source. */
#include "auth/aws/source.h"

#include <errno.h>
#include <stdlib.h>

#include "auth/aws/sts.h"

struct role_source {
	struct aws_source base;
	const struct aws_settings *settings;
	struct aws_source *inner;
	struct aws_role role; /* its strings live as long as the settings */
	struct aws_signer signer;
};

/* Keys that were refused are obtained anew by this as well. */
static int inner_keys(void *arg, bool fresh, struct aws_keys *out,
		      struct err *err)
{
	return aws_source_fetch(arg, out, err);
}

static int role_fetch(struct aws_source *source, struct aws_keys *out,
		      struct err *err)
{
	struct role_source *s = (struct role_source *)source;

	return aws_sts_assume_role(out, &s->role, &s->signer, s->settings, err);
}

static void role_destroy(struct aws_source *source)
{
	struct role_source *s = (struct role_source *)source;

	aws_source_destroy(s->inner);
	free(s);
}

static const struct aws_source_ops role_ops = {
	.fetch = role_fetch,
	.destroy = role_destroy,
};

int aws_role_source_create(struct aws_source **out, struct aws_source *inner,
			   const struct aws_role *role,
			   const struct aws_settings *settings, struct err *err)
{
	struct role_source *s = calloc(1, sizeof(*s));

	*out = NULL;
	if (s == NULL) {
		aws_source_destroy(inner);
		return err_set(err, ENOMEM, "out of memory");
	}
	s->base.ops = &role_ops;
	s->settings = settings;
	s->inner = inner;
	s->role = *role;
	s->signer = (struct aws_signer){.keys = inner_keys, .arg = inner};
	*out = &s->base;
	return 0;
}
