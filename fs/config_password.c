/* SPDX-License-Identifier: MIT */
/* password_plain, _file, _env and _command: at most one of them. */
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
	{"password_plain", AUTH_STATIC},
	{"password_file", AUTH_FILE},
	{"password_env", AUTH_ENV},
	{"password_command", AUTH_COMMAND},
};

/* *out is null when there is none. */
static int find_source(const struct source **out, const json_t *object,
		       struct err *err)
{
	*out = NULL;
	for (size_t i = 0; i < sizeof(sources) / sizeof(*sources); i++) {
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

static int create_auth(struct spec *spec, const struct source *source,
		       const json_t *value, struct err *err)
{
	struct auth_config config = {.kind = source->kind, .user = spec->user};
	auto_free const char **argv = NULL;

	if (source->kind == AUTH_COMMAND) {
		argv = command_argv(value, err);
		if (argv == NULL)
			return -EINVAL;
		config.argv = argv;
	} else {
		config.value = json_string_value(value);
		if (config.value == NULL)
			return err_set(err, EINVAL, "%s: must be a string",
				       source->key);
	}
	return auth_create(&spec->auth, &config, err);
}

int password_resolve(struct spec *spec, const struct config_file *file,
		     const json_t *object, struct err *err)
{
	const struct auth_config none = {.user = spec->user};
	const struct source *source;
	int rc = find_source(&source, object, err);

	if (rc < 0)
		return rc;
	if (source == NULL && spec->engine->has_iam)
		return err_set(err, EINVAL,
			       "type: %s without a password logs in by IAM, "
			       "which is not supported yet: give "
			       "password_file, password_env, password_command "
			       "or password_plain",
			       spec->engine->type);
	if (source == NULL)
		return auth_create(&spec->auth, &none, err);
	if (source->kind == AUTH_STATIC && !file->is_private)
		return err_set(err, EACCES,
			       "password_plain: others can read the file it "
			       "stands in: chmod 600");
	return create_auth(spec, source, json_object_get(object, source->key),
			   err);
}
