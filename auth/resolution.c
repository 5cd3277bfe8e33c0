/* SPDX-License-Identifier: MIT */
#include "auth/resolution.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "auth/resolution_internal.h"

/* A copy of a text of the config. */
struct text {
	struct text *next;
	char s[];
};

/* Replaces *member, unless it is null, by a copy. 0 or -ENOMEM. */
static int own(struct resolution *r, const char **member)
{
	size_t size = *member != NULL ? strlen(*member) + 1 : 0;
	struct text *text;

	if (size == 0)
		return 0;
	text = malloc(sizeof(*text) + size);
	if (text == NULL)
		return -ENOMEM;
	memcpy(text->s, *member, size);
	text->next = r->texts;
	r->texts = text;
	*member = text->s;
	return 0;
}

static int own_tags(struct resolution *r)
{
	size_t n = r->config.n_tags;
	int rc = 0;

	if (n == 0)
		return 0;
	r->tags = calloc(n, sizeof(*r->tags));
	if (r->tags == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < n && rc == 0; i++) {
		r->tags[i] = r->config.tags[i];
		rc = own(r, &r->tags[i].key);
		if (rc == 0)
			rc = own(r, &r->tags[i].value);
	}
	r->config.tags = r->tags;
	return rc;
}

static int copy_config(struct resolution *r, const struct auth_config *config)
{
	struct auth_config *c = &r->config;
	const char **texts[] = {
		&c->conn_id, &c->user,       &c->host,      &c->database,
		&c->profile, &c->secret_id,  &c->region,    &c->role_arn,
		&c->value,   &c->cluster_id, &c->workgroup, &c->external_id,
	};
	size_t n = sizeof(texts) / sizeof(*texts);
	int rc = 0;

	*c = *config;
	/* The provider has them; a password must not stay here. */
	c->argv = NULL;
	if (c->kind != AUTH_PARAMETER)
		c->value = NULL;
	for (size_t i = 0; i < n && rc == 0; i++)
		rc = own(r, texts[i]);
	return rc == 0 ? own_tags(r) : rc;
}

static const struct auth_provider *provider_of(enum auth_kind kind)
{
	switch (kind) {
	case AUTH_NONE:
	case AUTH_PARAMETER:
		break;
	case AUTH_STATIC:
		return &auth_static_provider;
	case AUTH_FILE:
		return &auth_file_provider;
	case AUTH_ENV:
		return &auth_env_provider;
	case AUTH_COMMAND:
		return &auth_command_provider;
	}
	return NULL;
}

static bool asks_aws(const struct auth_config *c)
{
	return c->kind == AUTH_PARAMETER || c->secret_id != NULL ||
	       (c->kind == AUTH_NONE && c->token != AUTH_TOKEN_NONE);
}

int resolution_create(struct resolution **out, const struct auth_config *config,
		      struct err *err)
{
	const struct aws_identity_config base = {
		.profile = config->profile,
		.region = config->region,
	};
	struct resolution *r = calloc(1, sizeof(*r));
	int rc;

	*out = NULL;
	if (r == NULL || copy_config(r, config) < 0) {
		resolution_destroy(r);
		return err_set(err, ENOMEM, "out of memory");
	}
	r->provider = provider_of(config->kind);
	rc = asks_aws(config) ? aws_identity_get(&r->base, &base, err) : 0;
	if (rc == 0 && r->provider != NULL)
		rc = r->provider->create(&r->state, config, err);
	if (rc < 0) {
		resolution_destroy(r);
		return rc;
	}
	*out = r;
	return 0;
}

void resolution_destroy(struct resolution *r)
{
	int saved = errno;

	if (r == NULL)
		return;
	if (r->state != NULL)
		r->provider->destroy(r->state);
	secret_finish(&r->local);
	aws_identity_unref(r->role);
	aws_identity_unref(r->base);
	while (r->texts != NULL) {
		struct text *next = r->texts->next;

		free(r->texts);
		r->texts = next;
	}
	free(r->tags);
	free(r);
	errno = saved;
}

bool resolution_is_instant(const struct resolution *r)
{
	return r->base == NULL && (r->provider == NULL || r->provider->instant);
}

const struct auth_config *resolution_config(const struct resolution *r)
{
	return &r->config;
}

void resolved_finish(struct resolved *resolved)
{
	credential_finish(&resolved->credential);
	aws_identity_unref(resolved->keys);
	*resolved = (struct resolved){0};
}

/* 0 or -ENOMEM. */
static int copy_text(char **out, const char *text)
{
	if (text == NULL)
		return 0;
	*out = strdup(text);
	return *out != NULL ? 0 : -ENOMEM;
}

static const char *expected_source(const struct resolution *r)
{
	if (r->provider != NULL)
		return r->provider->source;
	if (r->config.kind == AUTH_PARAMETER)
		return "ssm";
	if (r->config.secret_id != NULL)
		return "secretsmanager";
	return auth_token_source(r->config.token);
}

int resolution_expect(struct resolution *r, struct resolved *out)
{
	struct credential *c = &out->credential;

	out->source = expected_source(r);
	c->port = r->config.port;
	if (copy_text(&c->user, r->config.user) < 0 ||
	    copy_text(&c->host, r->config.host) < 0 ||
	    copy_text(&c->database, r->config.database) < 0)
		return -ENOMEM;
	return 0;
}

struct aws_value resolution_value(const struct resolution *r,
				  enum aws_value_kind kind, const char *name)
{
	return (struct aws_value){
		.kind = kind,
		.name = name,
		.identity = r->base,
		.ttl_ms = r->config.cache_ttl_ms,
	};
}

/* A command runs once for many attempts; the others are as good as kept. */
static int local_password(struct resolution *r, struct resolution_wish wish,
			  struct resolved *out, struct err *err)
{
	bool keeps = !r->provider->reread && !r->provider->instant;
	struct credential c = {0};
	int rc;

	if (r->provider->reread)
		out->keep = KEEP_FILE;
	if (wish.forget)
		secret_finish(&r->local);
	if (r->local.len == 0 || wish.fresh) {
		rc = r->provider->issue(r->state, &c, err);
		if (rc < 0)
			return rc;
		secret_finish(&r->local);
		r->local = c.password;
	} else {
		out->credential.was_kept = true;
	}
	if (!keeps) {
		out->credential.password = r->local;
		r->local = (struct secret){0};
		return 0;
	}
	if (secret_set(&out->credential.password, r->local.data, r->local.len) <
	    0)
		return err_set(err, ENOMEM, "password: out of memory");
	return 0;
}

int resolution_get_value(struct resolution *r, struct secret *out,
			 const struct aws_value *value, const char *key,
			 bool *cached, struct err *err)
{
	struct err why = {0};
	int rc = aws_value_get(out, value, key, cached, &why);

	if (rc < 0)
		*err = why;
	else if (why.code != 0)
		r->old = why;
	return rc;
}

const struct err *resolution_old_value(const struct resolution *r)
{
	return &r->old;
}

static void came_from_aws(struct resolution *r, struct resolved *out,
			  bool cached)
{
	if (out->keep == KEEP_ALWAYS)
		out->keep = KEEP_VALUES;
	out->credential.was_kept |= cached;
	if (out->keys == NULL)
		out->keys = aws_identity_ref(r->base);
}

static int parameter_password(struct resolution *r, struct resolution_wish wish,
			      struct resolved *out, struct err *err)
{
	struct secret *password = &out->credential.password;
	struct aws_value value =
		resolution_value(r, AWS_PARAMETER, r->config.value);
	bool cached = false;
	int rc;

	value.fresh = wish.fresh;
	rc = resolution_get_value(r, password, &value, "password", &cached,
				  err);
	came_from_aws(r, out, cached);
	return rc;
}

/* A port of 0 is one that the secret may still tell. */
static bool lacks_something(const struct credential *c)
{
	return c->user == NULL || c->host == NULL || c->database == NULL ||
	       c->port == 0 || c->password.len == 0;
}

static int fill_from_secret(struct resolution *r, struct resolution_wish wish,
			    struct resolved *out, struct err *err)
{
	const char *name = r->config.secret_id;
	struct aws_value value = resolution_value(r, AWS_SECRET, name);
	bool had_password = out->credential.password.len > 0;
	auto_secret struct secret text = {0};
	bool cached = false;
	int rc;

	if (name == NULL || !lacks_something(&out->credential))
		return 0;
	value.fresh = wish.fresh;
	rc = resolution_get_value(r, &text, &value, "secret_id", &cached, err);
	came_from_aws(r, out, cached);
	if (rc == 0)
		rc = resolution_fill(&out->credential, &text, name, err);
	if (rc == 0 && !had_password && out->credential.password.len > 0)
		out->source = "secretsmanager";
	return rc;
}

static int fill_defaults(const struct resolution *r, struct credential *c)
{
	bool is_dsql = r->config.token == AUTH_TOKEN_DSQL;

	if (c->port == 0)
		c->port = r->config.default_port;
	if (!is_dsql)
		return 0;
	if (c->user == NULL && copy_text(&c->user, "admin") < 0)
		return -ENOMEM;
	if (c->database == NULL && copy_text(&c->database, "postgres") < 0)
		return -ENOMEM;
	if (c->host == NULL &&
	    aws_is_dsql_id(r->config.cluster_id != NULL ? r->config.cluster_id
							: ""))
		return copy_text(&c->host, r->config.cluster_id);
	return 0;
}

static int is_not_known(const struct resolution *r, const char *key,
			const char *member, struct err *err)
{
	if (r->config.secret_id == NULL)
		return err_set(err, EINVAL,
			       "%s: is not known: give it in the spec", key);
	return err_set(err, EINVAL,
		       "%s: is not known: it is neither in the spec nor, as "
		       "\"%s\", in the secret %s",
		       key, member, r->config.secret_id);
}

/* Redshift tells the user together with the password. */
static int check_login(const struct resolution *r, const struct credential *c,
		       struct err *err)
{
	bool by_redshift = c->password.len == 0 &&
			   (r->config.token == AUTH_TOKEN_REDSHIFT ||
			    r->config.token == AUTH_TOKEN_REDSHIFT_SERVERLESS);

	if (!r->config.needs_login)
		return 0;
	if (c->host == NULL)
		return is_not_known(r, "host", "host", err);
	if (c->database == NULL)
		return is_not_known(r, "database", "dbname", err);
	if (c->user == NULL && !by_redshift)
		return is_not_known(r, "user", "username", err);
	return 0;
}

static int password_of(struct resolution *r, struct resolution_wish wish,
		       struct resolved *out, struct err *err)
{
	if (r->provider != NULL)
		return local_password(r, wish, out, err);
	if (r->config.kind == AUTH_PARAMETER)
		return parameter_password(r, wish, out, err);
	return 0;
}

int resolution_run(struct resolution *r, struct resolution_wish wish,
		   struct resolved *out, struct err *err)
{
	struct credential *c = &out->credential;
	int rc = resolution_expect(r, out);

	r->old = (struct err){0};
	if (rc < 0)
		return err_set(err, ENOMEM, "credential: out of memory");
	rc = password_of(r, wish, out, err);
	if (rc == 0)
		rc = fill_from_secret(r, wish, out, err);
	if (rc < 0)
		return rc;
	if (fill_defaults(r, c) < 0)
		return err_set(err, ENOMEM, "credential: out of memory");
	rc = check_login(r, c, err);
	if (rc < 0 || c->password.len > 0)
		return rc;
	if (r->config.token != AUTH_TOKEN_NONE)
		return resolution_token(r, wish, out, err);
	if (r->config.secret_id != NULL)
		return is_not_known(r, "password", "password", err);
	return 0;
}

void resolution_drop_values(struct resolution *r)
{
	struct aws_value parameter =
		resolution_value(r, AWS_PARAMETER, r->config.value);
	struct aws_value secret =
		resolution_value(r, AWS_SECRET, r->config.secret_id);

	if (r->config.kind == AUTH_PARAMETER)
		aws_value_drop(&parameter);
	if (r->config.secret_id != NULL)
		aws_value_drop(&secret);
}
