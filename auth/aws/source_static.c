/* SPDX-License-Identifier: MIT */
/* Keys that stand in a profile. */
#include "auth/aws/source.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct static_source {
	struct aws_source base;
	const struct aws_section *section; /* as long as its settings */
};

static int take(struct secret *out, const struct aws_section *section,
		const char *key)
{
	const char *value = aws_section_get(section, key);

	return value != NULL ? secret_set(out, value, strlen(value)) : 0;
}

static int static_fetch(struct aws_source *source, struct aws_keys *out,
			struct err *err)
{
	const struct static_source *s = (const struct static_source *)source;
	struct aws_keys keys = {0};

	if (take(&keys.access_key, s->section, "aws_access_key_id") < 0 ||
	    take(&keys.secret_key, s->section, "aws_secret_access_key") < 0 ||
	    take(&keys.session_token, s->section, "aws_session_token") < 0) {
		aws_keys_finish(&keys);
		return err_set(err, ENOMEM, "out of memory");
	}
	aws_keys_finish(out);
	*out = keys;
	return 0;
}

static void static_destroy(struct aws_source *source)
{
	free(source);
}

static const struct aws_source_ops static_ops = {
	.fetch = static_fetch,
	.destroy = static_destroy,
};

/* Half of a pair is a mistake. */
static int check(const struct aws_section *section, struct err *err)
{
	static const char *const keys[] = {"aws_access_key_id",
					   "aws_secret_access_key"};
	char place[AWS_PLACE_SIZE];

	for (size_t i = 0; i < 2; i++) {
		if (aws_section_get(section, keys[i]) != NULL)
			continue;
		aws_section_place(section, keys[1 - i], place);
		return err_set(err, EINVAL, "%s stands without %s (%s)",
			       keys[1 - i], keys[i], place);
	}
	return 0;
}

int aws_static_source_create(struct aws_source **out,
			     const struct aws_section *section, struct err *err)
{
	struct static_source *s;
	int rc = check(section, err);

	*out = NULL;
	if (rc < 0)
		return rc;
	s = calloc(1, sizeof(*s));
	if (s == NULL)
		return err_set(err, ENOMEM, "out of memory");
	s->base.ops = &static_ops;
	s->section = section;
	*out = &s->base;
	return 0;
}
