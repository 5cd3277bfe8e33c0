/* SPDX-License-Identifier: MIT */
/* A role for a token that somebody else writes, and rotates: EKS, CI. */
#include "auth/aws/source.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "auth/aws/files.h"
#include "auth/aws/sts.h"
#include "common/cleanup.h"

enum { TOKEN_MAX = 20000 }; /* bytes, as STS has it */

struct web_identity_source {
	struct aws_source base;
	const struct aws_settings *settings;
	char *token_file;
	char *role_arn;
	char *session_name;
	char *region;
};

static int web_identity_fetch(struct aws_source *source, struct aws_keys *out,
			      struct err *err)
{
	const struct web_identity_source *s =
		(const struct web_identity_source *)source;
	const struct aws_role role = {
		.arn = s->role_arn,
		.session_name = s->session_name,
		.region = s->region,
	};
	auto_secret struct secret token = {0};
	struct err why = {0};

	if (aws_file_read_line(&token, s->token_file, TOKEN_MAX, &why) < 0)
		return err_set(err, why.code, "web_identity_token_file: %s",
			       why.msg);
	return aws_sts_web_identity(out, &role, &token, s->settings, err);
}

static void web_identity_destroy(struct aws_source *source)
{
	struct web_identity_source *s = (struct web_identity_source *)source;

	free(s->token_file);
	free(s->role_arn);
	free(s->session_name);
	free(s->region);
	free(s);
}

static const struct aws_source_ops web_identity_ops = {
	.fetch = web_identity_fetch,
	.destroy = web_identity_destroy,
};

static int copy(char **to, const char *from)
{
	*to = from != NULL ? strdup(from) : NULL;
	return from != NULL && *to == NULL ? -ENOMEM : 0;
}

int aws_web_identity_source_create(struct aws_source **out,
				   const struct aws_web_identity *config,
				   const struct aws_settings *settings,
				   struct err *err)
{
	struct web_identity_source *s;

	*out = NULL;
	if (config->role_arn == NULL)
		return err_set(err, EINVAL,
			       "a web identity token needs the role to assume: "
			       "AWS_ROLE_ARN, or role_arn in the profile");
	s = calloc(1, sizeof(*s));
	if (s == NULL)
		return err_set(err, ENOMEM, "out of memory");
	s->base.ops = &web_identity_ops;
	s->settings = settings;
	if (aws_file_path(&s->token_file, config->token_file) < 0 ||
	    copy(&s->role_arn, config->role_arn) < 0 ||
	    copy(&s->session_name, config->session_name) < 0 ||
	    copy(&s->region, config->region) < 0) {
		web_identity_destroy(&s->base);
		return err_set(err, ENOMEM, "out of memory");
	}
	*out = &s->base;
	return 0;
}
