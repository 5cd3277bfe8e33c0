/* SPDX-License-Identifier: MIT */
/*
 * password, password_plain, _file, _env and _command: at most one of them; and
 * what else auth/ has to know.
 */
#include "fs/config_internal.h"

#include <errno.h>
#include <stdlib.h>

#include "common/cleanup.h"
#include "common/err.h"

struct source {
	const char *key;
	enum auth_kind kind;
};

static const struct source sources[] = {
	{"password", AUTH_PARAMETER},       {"password_plain", AUTH_STATIC},
	{"password_file", AUTH_FILE},       {"password_env", AUTH_ENV},
	{"password_command", AUTH_COMMAND},
};

enum { N_SOURCES = sizeof(sources) / sizeof(*sources) };

bool password_is_given(const json_t *object)
{
	for (size_t i = 0; i < N_SOURCES; i++) {
		if (json_object_get(object, sources[i].key) != NULL)
			return true;
	}
	return false;
}

/* *out is null when there is none. */
static int find_source(const struct source **out, const json_t *object,
		       struct err *err)
{
	*out = NULL;
	for (size_t i = 0; i < N_SOURCES; i++) {
		if (json_object_get(object, sources[i].key) == NULL)
			continue;
		if (*out != NULL)
			return err_set(err, EINVAL,
				       "%s: %s is given already, and exactly "
				       "one is used",
				       sources[i].key, (*out)->key);
		*out = &sources[i];
	}
	return 0;
}

/* Pointers into the JSON, for free(). */
static const char **command_argv(const json_t *value, struct err *err)
{
	static const char wanted[] =
		"password_command: must be an array of strings, a program and "
		"its arguments";
	size_t n = json_array_size(value);
	const char **argv;

	if (!json_is_array(value) || n == 0) {
		(void)err_set(err, EINVAL, "%s", wanted);
		return NULL;
	}
	argv = calloc(n + 1, sizeof(*argv));
	if (argv == NULL) {
		(void)err_set(err, ENOMEM, "password_command: out of memory");
		return NULL;
	}
	for (size_t i = 0; i < n; i++) {
		argv[i] = json_string_value(json_array_get(value, i));
		if (argv[i] == NULL) {
			(void)err_set(err, EINVAL, "%s", wanted);
			free(argv);
			return NULL;
		}
	}
	return argv;
}

/* Pointers into the JSON, which aws_resolve() has looked at. 0 or -ENOMEM. */
static int session_tags(struct auth_tag **out, size_t *n, const json_t *tags)
{
	const char *key;
	json_t *value;
	size_t i = 0;

	*out = NULL;
	*n = json_object_size(tags);
	if (*n == 0)
		return 0;
	*out = calloc(*n, sizeof(**out));
	if (*out == NULL)
		return -ENOMEM;
	json_object_foreach ((json_t *)tags, key, value)
		(*out)[i++] = (struct auth_tag){key, json_string_value(value)};
	return 0;
}

/* All but the source of the password. */
static void set_login(struct auth_config *out, const struct spec *spec,
		      const json_t *object, const struct settings *settings)
{
	const struct engine *engine = spec->engine;
	/* A port of the secret goes before the type's, not before the spec's. */
	bool own_port = json_object_get(object, "port") != NULL;

	*out = (struct auth_config){
		.conn_id = spec->conn_id,
		.user = spec->user,
		.host = spec->host,
		.port = own_port ? spec->port : 0,
		.default_port = engine->default_port,
		.database = spec->database,
		.needs_login = engine->needs_login,
		.secret_id = spec->secret_id,
		.token = engine->token,
		.profile = spec->profile,
		.region = spec->region,
		.role_arn = spec->role_arn,
		.external_id = json_string_value(
			json_object_get(object, "external_id")),
		.cluster_id = spec->cluster_id,
		.workgroup = spec->workgroup,
		.token_duration_s = spec->token_duration_s,
		.password_duration_s = spec->password_duration_s,
		.cache_ttl_ms = settings->param_cache_ttl_ms,
	};
}

static int create_auth(struct spec *spec, struct auth_config *config,
		       const json_t *object, struct err *err)
{
	auto_free struct auth_tag *tags = NULL;

	if (session_tags(&tags, &config->n_tags,
			 json_object_get(object, "tags")) < 0)
		return err_set(err, ENOMEM, "tags: out of memory");
	config->tags = tags;
	return auth_create(&spec->auth, config, err);
}

static int set_source(struct auth_config *out, const char ***argv,
		      const struct source *source, const json_t *value,
		      struct err *err)
{
	out->kind = source->kind;
	if (source->kind == AUTH_COMMAND) {
		*argv = command_argv(value, err);
		out->argv = *argv;
		return *argv != NULL ? 0 : -EINVAL;
	}
	if (source->kind == AUTH_PARAMETER &&
	    aws_check_parameter(source->key, value, err) < 0)
		return -EINVAL;
	out->value = json_string_value(value);
	if (out->value == NULL)
		return err_set(err, EINVAL, "%s: must be a string",
			       source->key);
	return 0;
}

int password_resolve(struct spec *spec, const struct config_file *file,
		     const json_t *object, const struct settings *settings,
		     struct err *err)
{
	auto_free const char **argv = NULL;
	const struct source *source;
	struct auth_config config;
	int rc = find_source(&source, object, err);

	if (rc < 0)
		return rc;
	set_login(&config, spec, object, settings);
	if (source == NULL)
		return create_auth(spec, &config, object, err);
	if (source->kind == AUTH_STATIC && !file->is_private)
		return err_set(err, EACCES,
			       "password_plain: others can read the file it "
			       "stands in: chmod 600");
	rc = set_source(&config, &argv, source,
			json_object_get(object, source->key), err);
	return rc < 0 ? rc : create_auth(spec, &config, object, err);
}
