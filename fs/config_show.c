/* SPDX-License-Identifier: MIT */
/*
 * connection.json: the spec as resolved. What is named here is shown, and
 * nothing else: not where a password comes from but only in what way, not
 * init_sql, which may hold one, not whom the owner lets in.
 */
#include "fs/config_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"

static int put(json_t *object, const char *key, json_t *value)
{
	return json_object_set_new(object, key, value);
}

/* What is not given is left out. */
static int put_text(json_t *object, const char *key, const char *text)
{
	if (text == NULL || text[0] == '\0')
		return 0;
	return put(object, key, json_string(text));
}

/* As it can be written into a spec; 0 is "none" and left out. */
static int put_duration(json_t *object, const char *key, unsigned ms)
{
	char text[32];

	if (ms == 0)
		return 0;
	value_duration_text(text, ms);
	return put(object, key, json_string(text));
}

static int put_port(json_t *object, uint16_t port)
{
	return port == 0 ? 0 : put(object, "port", json_integer(port));
}

static int put_connect_to(json_t *object, const struct spec *spec)
{
	const char *host = spec->connect_host;
	bool v6;

	if (host == NULL)
		return 0;
	v6 = strchr(host, ':') != NULL;
	return put(object, "connect_to",
		   json_sprintf("%s%s%s:%d", v6 ? "[" : "", host, v6 ? "]" : "",
				spec->connect_port));
}

/* A secret without a password leaves it to a token: the login shows it. */
static bool is_undecided(const struct spec *spec,
			 const struct auth_status *status)
{
	return spec->engine->token != AUTH_TOKEN_NONE &&
	       status->state == AUTH_STATE_NONE &&
	       strcmp(status->source, "secretsmanager") == 0;
}

static bool is_by_token(const struct spec *spec,
			const struct auth_status *status)
{
	enum auth_token token = spec->engine->token;

	return token != AUTH_TOKEN_NONE &&
	       strcmp(status->source, auth_token_source(token)) == 0;
}

static int put_source(json_t *object, const struct spec *spec,
		      const struct auth_status *status)
{
	static const char key[] = "password_source";

	if (is_undecided(spec, status))
		return put(object, key,
			   json_sprintf("%s or %s", status->source,
					auth_token_source(spec->engine->token)));
	return put_text(object, key,
			status->source[0] != '\0' ? status->source : "none");
}

/* What is resolved goes before what the spec has, which may be missing. */
static int put_login(json_t *o, const struct spec *s,
		     const struct auth_status *status)
{
	bool resolved = s->engine->needs_login;
	int rc = 0;

	rc |= put_text(o, "host",
		       resolved && status->host[0] != '\0' ? status->host
							   : s->host);
	rc |= put_port(o,
		       resolved && status->port != 0 ? status->port : s->port);
	rc |= put_connect_to(o, s);
	rc |= put_text(o, "database",
		       resolved && status->database[0] != '\0'
			       ? status->database
			       : s->database);
	rc |= put_text(o, "user",
		       resolved && status->user[0] != '\0' ? status->user
							   : s->user);
	return rc;
}

static int put_seconds(json_t *object, const char *key, unsigned seconds)
{
	return seconds == 0 ? 0
			    : put(object, key, json_sprintf("%us", seconds));
}

/* Names only: what they stand for stays with AWS. */
static int put_aws(json_t *o, const struct spec *s)
{
	int rc = 0;

	rc |= put_text(o, "secret_id", s->secret_id);
	rc |= put_text(o, "region", s->region);
	rc |= put_text(o, "profile", s->profile);
	rc |= put_text(o, "role_arn", s->role_arn);
	rc |= put_text(o, "cluster_id", s->cluster_id);
	rc |= put_text(o, "workgroup", s->workgroup);
	rc |= put_seconds(o, "token_duration", s->token_duration_s);
	rc |= put_seconds(o, "password_duration", s->password_duration_s);
	return rc;
}

/* Their names; the texts are files of queries/. */
static int put_queries(json_t *o, const struct spec *s)
{
	json_t *names;
	int rc = 0;

	if (s->n_queries == 0)
		return 0;
	names = json_array();
	for (size_t i = 0; i < s->n_queries; i++)
		rc |= json_array_append_new(names,
					    json_string(s->queries[i].name));
	return rc | put(o, "queries", names);
}

static int put_all(json_t *o, const struct spec *s)
{
	struct auth_status status;
	int rc = 0;

	auth_status(s->auth, &status);

	rc |= put_text(o, "conn_id", s->conn_id);
	rc |= put_text(o, "type", s->engine->type);
	rc |= put(o, "enabled", json_boolean(s->enabled));
	rc |= put_text(o, "description", s->description);
	rc |= put_text(o, "owner", s->owner);
	rc |= put_login(o, s, &status);
	rc |= put_source(o, s, &status);
	rc |= put_aws(o, s);
	rc |= put_text(o, "sslmode",
		       is_by_token(s, &status) ? s->token_sslmode : s->sslmode);
	rc |= put_text(o, "ca_cert", s->ca_cert);
	rc |= put_text(o, "tls_fingerprint", s->tls_fingerprint);
	rc |= put(o, "read_only", json_boolean(s->read_only));
	rc |= put_duration(o, "statement_timeout", s->statement_timeout_ms);
	rc |= put_duration(o, "connect_timeout", s->connect_timeout_ms);
	rc |= put_duration(o, "idle_timeout", s->idle_timeout_ms);
	rc |= put_duration(o, "idle_in_transaction_timeout",
			   s->idle_in_transaction_timeout_ms);
	rc |= put(o, "max_connections", json_integer(s->max_connections));
	rc |= put(o, "sticky", json_boolean(s->sticky));
	rc |= put_text(o, "application_name", s->application_name);
	rc |= put_queries(o, s);
	return rc;
}

char *spec_text(const struct spec *spec)
{
	auto_free char *text = NULL;
	json_t *object = json_object();
	char *line = NULL;

	if (object != NULL && put_all(object, spec) == 0)
		text = json_dumps(object, JSON_INDENT(2));
	json_decref(object);
	if (text == NULL || asprintf(&line, "%s\n", text) < 0)
		return NULL;
	return line;
}
