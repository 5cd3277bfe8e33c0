/* SPDX-License-Identifier: MIT */
/* The role of the EC2 instance. */
#include "auth/aws/source.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "auth/aws/metadata.h"
#include "common/cleanup.h"

#define ROLES "iam/security-credentials/"

enum { ROLE_MAX = 64 }; /* characters, as IAM has it */

struct imds_source {
	struct aws_source base;
	const struct aws_settings *settings;
	char *hint; /* null: none */
};

/* The first line; what a name cannot hold would change the path. */
static int read_role(struct aws_metadata *m, char role[ROLE_MAX + 1],
		     struct err *err)
{
	auto_secret struct secret text = {0};
	struct err why = {0};
	size_t len;
	int rc = aws_metadata_get(m, ROLES, &text, &why);

	if (rc == 0 && text.len == 0)
		rc = -ENOENT;
	if (rc == -ENOENT) {
		(void)err_set(&why, ENOENT, "the instance has no role");
		aws_metadata_set_no_role(m, &why);
	}
	if (rc < 0) {
		if (err != NULL)
			*err = why;
		return rc;
	}
	len = strcspn(text.data, " \t\r\n");
	if (len == 0 || len > ROLE_MAX || memchr(text.data, '/', len) != NULL)
		return err_set(err, EINVAL,
			       "the metadata service names no role");
	memcpy(role, text.data, len);
	role[len] = '\0';
	return 0;
}

/* An answer with status 200 may be an error. */
static int check_code(const struct aws_json *json, struct err *err)
{
	auto_secret struct secret code = {0};
	auto_secret struct secret message = {0};

	if (aws_json_get(json, "Code", &code) != 1 ||
	    strcmp(code.data, "Success") == 0)
		return 0;
	(void)aws_json_get(json, "Message", &message);
	return err_set(err, EACCES, "the metadata service says %.64s: %.200s",
		       code.data, message.len > 0 ? message.data : "no reason");
}

static int read_keys(struct aws_keys *out, const struct secret *text,
		     struct err *err)
{
	auto_aws_json struct aws_json *json = NULL;
	int rc = aws_json_parse(&json, text->data, text->len,
				"the answer of the metadata service", err);

	if (rc == 0)
		rc = check_code(json, err);
	if (rc == 0)
		rc = aws_keys_from_json(out, json, &aws_platform_key_names,
					err);
	return rc;
}

static int fetch(const struct imds_source *s, struct aws_keys *out,
		 struct err *err)
{
	auto_metadata struct aws_metadata m = {0};
	auto_secret struct secret text = {0};
	char path[sizeof(ROLES) + ROLE_MAX];
	char role[ROLE_MAX + 1];
	int rc = aws_metadata_no_role(s->settings, err);

	if (rc == 0)
		rc = aws_metadata_open(&m, s->settings, err);
	if (rc == 0)
		rc = read_role(&m, role, err);
	if (rc < 0)
		return rc;
	(void)snprintf(path, sizeof(path), ROLES "%s", role);
	rc = aws_metadata_get(&m, path, &text, err);
	return rc < 0 ? rc : read_keys(out, &text, err);
}

static int imds_fetch(struct aws_source *source, struct aws_keys *out,
		      struct err *err)
{
	const struct imds_source *s = (const struct imds_source *)source;
	struct err why = {0};
	int rc = fetch(s, out, &why);

	if (rc == 0)
		return 0;
	if (s->hint != NULL)
		return err_set(err, why.code, "%s (%s)", why.msg, s->hint);
	return err_set(err, why.code, "%s", why.msg);
}

static void imds_destroy(struct aws_source *source)
{
	struct imds_source *s = (struct imds_source *)source;

	free(s->hint);
	free(s);
}

static const struct aws_source_ops imds_ops = {
	.fetch = imds_fetch,
	.destroy = imds_destroy,
	.is_stable = true,
};

int aws_imds_source_create(struct aws_source **out,
			   const struct aws_settings *settings,
			   const char *hint, struct err *err)
{
	struct imds_source *s = calloc(1, sizeof(*s));

	*out = NULL;
	if (s == NULL)
		return err_set(err, ENOMEM, "out of memory");
	s->base = (struct aws_source){.ops = &imds_ops, .name = "imds"};
	s->settings = settings;
	if (hint != NULL) {
		s->hint = strdup(hint);
		if (s->hint == NULL) {
			imds_destroy(&s->base);
			return err_set(err, ENOMEM, "out of memory");
		}
	}
	*out = &s->base;
	return 0;
}
