/* SPDX-License-Identifier: MIT */
#include "fs/config_internal.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "common/err.h"
#include "fs/engines.h"
#include "fs/pathname.h"

enum { CONNECTIONS_MAX = 1000, USER_MAX = 255 /* bytes */ };
/* Of AWS: bytes and seconds. */
enum {
	SECRET_ID_MAX = 2048,
	LABEL_MAX = 63,
	WORKGROUP_MAX = 64,
	TOKEN_MAX_S = 7 * 24 * 60 * 60,
	PASSWORD_MIN_S = 15 * 60,
	PASSWORD_MAX_S = 60 * 60,
};

enum scope {
	ANY,   /* of every engine */
	LOGIN, /* not of a file */
	MYSQL, /* of the MySQL family */
	IAM,   /* of what can log in without a password */
	DSQL,
	CLUSTER,    /* of DSQL and Redshift clusters */
	REDSHIFT,   /* of both kinds of Redshift */
	SERVERLESS, /* of Redshift Serverless */
	LAX,        /* not used for a file, but others need it there */
	UNUSED,     /* known to others, and nothing to us */
};

struct field {
	struct value_rule rule;
	enum scope scope;
};

#define OTHER(name, where)               \
	{                                \
		{.key = (name)}, (where) \
	}
#define FIELD(name, type, member, low, high, where)       \
	{                                                 \
		{.key = (name),                           \
		 .kind = (type),                          \
		 .offset = offsetof(struct spec, member), \
		 .min = (low),                            \
		 .max = (high)},                          \
			(where)                           \
	}

static const struct field fields[] = {
	OTHER("conn_id", ANY),
	OTHER("type", ANY),
	FIELD("enabled", VALUE_BOOL, enabled, 0, 0, ANY),
	FIELD("description", VALUE_NOTE, description, 0, 0, ANY),
	FIELD("owner", VALUE_NOTE, owner, 0, 0, ANY),
	FIELD("host", VALUE_TEXT, host, 0, 0, ANY),
	FIELD("port", VALUE_PORT, port, 1, UINT16_MAX, LAX),
	FIELD("user", VALUE_TEXT, user, 0, USER_MAX, LAX),
	FIELD("database", VALUE_TEXT, database, 0, 0, LAX),
	OTHER("ssl", ANY),
	OTHER("sslmode", LOGIN),
	FIELD("ca_cert", VALUE_PATH, ca_cert, 0, 0, LOGIN),
	OTHER("tls_fingerprint", MYSQL),
	OTHER("connect_to", LOGIN),
	FIELD("read_only", VALUE_BOOL, read_only, 0, 0, ANY),
	FIELD("statement_timeout", VALUE_DURATION, statement_timeout_ms, 0,
	      INT_MAX, ANY),
	FIELD("connect_timeout", VALUE_DURATION, connect_timeout_ms, 1, INT_MAX,
	      ANY),
	FIELD("idle_timeout", VALUE_DURATION, idle_timeout_ms, 1, INT_MAX, ANY),
	FIELD("idle_in_transaction_timeout", VALUE_DURATION,
	      idle_in_transaction_timeout_ms, 1, INT_MAX, ANY),
	FIELD("sticky", VALUE_BOOL, sticky, 0, 0, ANY),
	FIELD("max_connections", VALUE_COUNT, max_connections, 1,
	      CONNECTIONS_MAX, ANY),
	FIELD("init_sql", VALUE_TEXT, init_sql, 0, 0, ANY),
	FIELD("application_name", VALUE_TEMPLATE, application_name, 0, 0, ANY),
	OTHER("access", ANY),
	OTHER("queries", ANY),
	OTHER("password", LOGIN),
	OTHER("password_plain", LOGIN),
	OTHER("password_file", LOGIN),
	OTHER("password_env", LOGIN),
	OTHER("password_command", LOGIN),
	FIELD("secret_id", VALUE_TEXT, secret_id, 0, SECRET_ID_MAX, LOGIN),
	FIELD("profile", VALUE_TEXT, profile, 0, 0, LOGIN),
	FIELD("region", VALUE_TEXT, region, 0, 0, LOGIN),
	FIELD("role_arn", VALUE_TEXT, role_arn, 0, 0, IAM),
	OTHER("external_id", IAM),
	OTHER("tags", IAM),
	FIELD("cluster_id", VALUE_TEXT, cluster_id, 0, LABEL_MAX, CLUSTER),
	FIELD("workgroup", VALUE_TEXT, workgroup, 0, WORKGROUP_MAX, SERVERLESS),
	FIELD("token_duration", VALUE_SECONDS, token_duration_s, 1, TOKEN_MAX_S,
	      DSQL),
	FIELD("password_duration", VALUE_SECONDS, password_duration_s,
	      PASSWORD_MIN_S, PASSWORD_MAX_S, REDSHIFT),
	FIELD("expose_token", VALUE_BOOL, expose_token, 0, 0, LOGIN),
	OTHER("preserve_case", UNUSED),
	OTHER("subtype", UNUSED),
};

enum { N_FIELDS = sizeof(fields) / sizeof(*fields) };

static const struct field *find_field(const char *key, struct err *err)
{
	struct guess guess = {.word = key};

	for (size_t i = 0; i < N_FIELDS; i++) {
		if (strcmp(fields[i].rule.key, key) == 0)
			return &fields[i];
	}
	for (size_t i = 0; i < N_FIELDS; i++)
		guess_try(&guess, fields[i].rule.key);
	(void)guess_fail(&guess, "unknown key", err);
	return NULL;
}

bool spec_has_key(const char *key)
{
	return find_field(key, NULL) != NULL;
}

const char *spec_conn_id(const json_t *object, struct err *err)
{
	const json_t *value = json_object_get(object, "conn_id");
	struct err why = {0};

	if (!json_is_object(object))
		(void)err_set(err, EINVAL, "must be an object");
	else if (value == NULL)
		(void)err_set(err, EINVAL, "conn_id: is missing");
	else if (!json_is_string(value))
		(void)err_set(err, EINVAL, "conn_id: must be a string");
	else if (pathname_check(json_string_value(value), &why) < 0)
		(void)err_set(err, EINVAL, "conn_id: %s", why.msg);
	else
		return json_string_value(value);
	return NULL;
}

static const struct engine *find_type(const json_t *object, struct err *err)
{
	const json_t *value = json_object_get(object, "type");

	if (json_is_string(value))
		return engine_find(json_string_value(value), err);
	(void)err_set(err, EINVAL, "type: %s",
		      value == NULL ? "is missing" : "must be a string");
	return NULL;
}

static bool goes_with(enum scope scope, const struct engine *engine)
{
	enum auth_token token = engine->token;

	switch (scope) {
	case LOGIN:
		return !engine->is_file;
	case MYSQL:
		return engine->dialect == SQL_MYSQL;
	case IAM:
		return token != AUTH_TOKEN_NONE;
	case DSQL:
		return token == AUTH_TOKEN_DSQL;
	case CLUSTER:
		return token == AUTH_TOKEN_DSQL || token == AUTH_TOKEN_REDSHIFT;
	case REDSHIFT:
		return token == AUTH_TOKEN_REDSHIFT ||
		       token == AUTH_TOKEN_REDSHIFT_SERVERLESS;
	case SERVERLESS:
		return token == AUTH_TOKEN_REDSHIFT_SERVERLESS;
	case ANY:
	case LAX:
	case UNUSED:
		break;
	}
	return true;
}

static int set_field(struct spec *spec, const char *key, const json_t *value,
		     struct err *err)
{
	const struct field *field = find_field(key, err);

	if (field == NULL)
		return -EINVAL;
	if (field->scope == UNUSED)
		return 0;
	if (!goes_with(field->scope, spec->engine))
		return err_set(err, EINVAL, "%s: does not go with type %s", key,
			       spec->engine->type);
	if (field->scope == LAX && spec->engine->is_file) {
		if (!json_is_string(value) && !json_is_integer(value))
			return err_set(err, EINVAL,
				       "%s: must be a string or a number", key);
		return 0;
	}
	if (strcmp(key, "ssl") == 0 && !json_is_boolean(value))
		return err_set(err, EINVAL,
			       "ssl: must be true or false, without quotes");
	return value_set(spec, &field->rule, value, err);
}

static int set_fields(struct spec *spec, const json_t *object, struct err *err)
{
	const char *key;
	json_t *value;
	int rc = 0;

	json_object_foreach ((json_t *)object, key, value) {
		if (value_is_private_key(key))
			continue;
		rc = set_field(spec, key, value, err);
		if (rc < 0)
			break;
	}
	return rc;
}

static int check_host(const struct spec *spec, struct err *err)
{
	const char *host = spec->host;

	if (spec->engine->is_file && host[0] != '/')
		return err_set(err, EINVAL,
			       "host: must be the absolute path of the file");
	/* A comma would make a list of hosts of it. */
	if (spec->engine->needs_login &&
	    host[strcspn(host, ", \t\r\n")] != '\0')
		return err_set(err, EINVAL,
			       "host: must be one name, address or path of a "
			       "unix socket, without commas or spaces");
	return 0;
}

/* Redshift's users come with the password that AWS gives. */
static bool needs_user(const struct spec *spec, const json_t *object)
{
	enum auth_token token = spec->engine->token;

	return aws_token_use(spec, object) == TOKEN_NEVER ||
	       (token != AUTH_TOKEN_REDSHIFT &&
		token != AUTH_TOKEN_REDSHIFT_SERVERLESS);
}

static int check_fields(struct spec *spec, const json_t *object,
			struct err *err)
{
	const struct engine *engine = spec->engine;
	/* What is missing may stand in the secret. */
	bool complete = engine->needs_login && spec->secret_id == NULL;

	if (spec->host == NULL && (complete || engine->is_file))
		return err_set(err, EINVAL, "host: is missing");
	if (complete && spec->user == NULL && needs_user(spec, object))
		return err_set(err, EINVAL, "user: is missing");
	if (complete && spec->database == NULL)
		return err_set(err, EINVAL, "database: is missing");
	if (spec->port == 0)
		spec->port = engine->default_port;
	return spec->host != NULL ? check_host(spec, err) : 0;
}

/* "host:port", or "[v6]:port". */
static int set_connect_to(struct spec *spec, const json_t *value,
			  struct err *err)
{
	static const struct value_rule port_rule = {
		.key = "connect_to",
		.kind = VALUE_PORT,
		.offset = offsetof(struct spec, connect_port),
		.min = 1,
		.max = UINT16_MAX,
	};
	const char *text = json_string_value(value);
	const char *colon = text != NULL ? strrchr(text, ':') : NULL;
	size_t len;
	json_t *port;
	int rc;

	if (value == NULL)
		return 0;
	if (spec->host != NULL && spec->host[0] == '/')
		return err_set(err, EINVAL,
			       "connect_to: does not go with a unix socket");
	len = colon != NULL ? (size_t)(colon - text) : 0;
	if (len > 2 && text[0] == '[' && text[len - 1] == ']') {
		text++;
		len -= 2;
	} else if (len > 0 && strcspn(text, ":[], /") != len) {
		len = 0;
	}
	if (len == 0)
		return err_set(err, EINVAL,
			       "connect_to: must be \"host:port\" or "
			       "\"[v6]:port\"");
	spec->connect_host = strndup(text, len);
	port = json_string(colon + 1);
	if (spec->connect_host == NULL || port == NULL) {
		json_decref(port);
		return err_set(err, ENOMEM, "connect_to: out of memory");
	}
	rc = value_set(spec, &port_rule, port, err);
	json_decref(port);
	return rc;
}

static int fill(struct spec *spec, const struct config_file *file,
		const json_t *object, const struct settings *settings,
		struct err *err)
{
	const json_t *access = json_object_get(object, "access");
	const json_t *queries = json_object_get(object, "queries");
	int rc;

	spec->engine = find_type(object, err);
	if (spec->engine == NULL)
		return -EINVAL;
	rc = set_fields(spec, object, err);
	if (rc == 0)
		rc = aws_resolve(spec, object, err);
	if (rc == 0)
		rc = check_fields(spec, object, err);
	if (rc == 0)
		rc = set_connect_to(spec, json_object_get(object, "connect_to"),
				    err);
	if (rc == 0)
		rc = tls_resolve(spec, object, err);
	if (rc == 0 && access != NULL)
		rc = access_parse(&spec->access, access, err);
	if (rc == 0 && queries != NULL)
		rc = queries_parse(spec, queries, err);
	if (rc == 0)
		rc = password_resolve(spec, file, object, settings, err);
	return rc;
}

static void destroy(struct spec *spec)
{
	int saved = errno;

	free(spec->conn_id);
	free(spec->file);
	free(spec->description);
	free(spec->owner);
	free(spec->host);
	free(spec->connect_host);
	free(spec->database);
	free(spec->user);
	free(spec->sslmode);
	free(spec->token_sslmode);
	free(spec->ca_cert);
	free(spec->tls_fingerprint);
	free(spec->init_sql);
	free(spec->application_name);
	free(spec->secret_id);
	free(spec->profile);
	free(spec->region);
	free(spec->role_arn);
	free(spec->cluster_id);
	free(spec->workgroup);
	access_finish(&spec->access);
	queries_finish(spec);
	auth_destroy(spec->auth);
	free(spec);
	errno = saved;
}

int spec_create(struct spec **out, const struct config_file *file,
		const json_t *object, const struct settings *settings,
		struct err *err)
{
	struct spec *spec = calloc(1, sizeof(*spec));
	int rc;

	*out = NULL;
	if (spec == NULL)
		return err_set(err, ENOMEM, "out of memory");
	spec->refs = 1;
	spec->conn_id =
		strdup(json_string_value(json_object_get(object, "conn_id")));
	spec->file = strdup(file->path);
	spec->connect_timeout_ms = settings->connect_timeout_ms;
	spec->idle_timeout_ms = settings->idle_timeout_ms;
	spec->idle_in_transaction_timeout_ms =
		settings->idle_in_transaction_timeout_ms;
	spec->max_connections = settings->max_connections;
	rc = spec->conn_id != NULL && spec->file != NULL
		     ? fill(spec, file, object, settings, err)
		     : err_set(err, ENOMEM, "out of memory");
	spec->read_only = spec->read_only || settings->read_only;
	if (rc == 0)
		rc = spec_digest(spec->digest, object, file, settings);
	if (rc < 0)
		destroy(spec);
	else
		*out = spec;
	return rc;
}

struct spec *spec_ref(struct spec *spec)
{
	spec->refs++;
	return spec;
}

void spec_unref(struct spec *spec)
{
	if (spec != NULL && --spec->refs == 0)
		destroy(spec);
}
