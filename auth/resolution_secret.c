/* SPDX-License-Identifier: MIT */
/*
 * What a secret of Secrets Manager says of a login: a JSON object, of which
 * the members that lava knows count, in exactly this spelling. Others are for
 * others.
 */
#include "auth/resolution_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "auth/aws/json.h"
#include "common/cleanup.h"

enum { PORT_MAX = 65535 };

static const char a_string[] = "a string";
static const char a_port[] = "a number from 1 to 65535";

/* 1: there is such a member, 0: there is none, or it is empty. */
static int member(struct secret *out, const struct aws_json *json,
		  const char *key, const char *wanted, const char *name,
		  struct err *err)
{
	int rc = aws_json_get(json, key, out);

	if (rc == -ENOMEM)
		return err_set(err, ENOMEM, "secret_id: out of memory");
	if (rc < 0)
		return err_set(err, EINVAL,
			       "secret_id: \"%s\" in the secret %s must be %s",
			       key, name, wanted);
	return out->len > 0 ? 1 : 0;
}

static int fill_text(char **out, const struct aws_json *json, const char *key,
		     const char *name, struct err *err)
{
	auto_secret struct secret text = {0};
	int rc = 0;

	if (*out == NULL)
		rc = member(&text, json, key, a_string, name, err);
	if (rc <= 0)
		return rc;
	*out = strdup(text.data);
	if (*out == NULL)
		return err_set(err, ENOMEM, "secret_id: out of memory");
	return 0;
}

static int fill_port(uint16_t *out, const struct aws_json *json,
		     const char *name, struct err *err)
{
	auto_secret struct secret text = {0};
	unsigned long port;
	int rc = 0;

	if (*out == 0)
		rc = member(&text, json, "port", a_port, name, err);
	if (rc <= 0)
		return rc;
	port = strtoul(text.data, NULL, 10);
	if (strspn(text.data, "0123456789") != text.len || text.len > 8 ||
	    port == 0 || port > PORT_MAX)
		return err_set(err, EINVAL,
			       "secret_id: \"port\" in the secret %s must be %s",
			       name, a_port);
	*out = (uint16_t)port;
	return 0;
}

static int fill_password(struct secret *out, const struct aws_json *json,
			 const char *name, struct err *err)
{
	int rc = 0;

	if (out->len == 0)
		rc = member(out, json, "password", a_string, name, err);
	return rc < 0 ? rc : 0;
}

int resolution_fill(struct credential *c, const struct secret *text,
		    const char *name, struct err *err)
{
	auto_aws_json struct aws_json *json = NULL;
	auto_free char *what = NULL;
	int rc;

	if (asprintf(&what, "secret_id: the secret %s", name) < 0)
		return err_set(err, ENOMEM, "secret_id: out of memory");
	rc = aws_json_parse(&json, text->data, text->len, what, err);
	if (rc == 0)
		rc = fill_text(&c->user, json, "username", name, err);
	if (rc == 0)
		rc = fill_text(&c->host, json, "host", name, err);
	if (rc == 0)
		rc = fill_text(&c->database, json, "dbname", name, err);
	if (rc == 0)
		rc = fill_port(&c->port, json, name, err);
	if (rc == 0)
		rc = fill_password(&c->password, json, name, err);
	return rc;
}
