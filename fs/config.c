/* SPDX-License-Identifier: MIT */
#include "fs/config.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/err.h"
#include "common/secret_heap.h"
#include "fs/config_internal.h"

enum { SPECS_MAX = 10000 };

/* One config_load() under way. */
struct load {
	struct config *config;
	const struct config *old; /* null: there is none */
	json_t *seen;             /* conn_id: the file it was first found in */
	size_t n_found;
};

__attribute__((format(printf, 1, 0))) static char *one_line(const char *fmt,
							    va_list ap)
{
	char *text;

	if (vasprintf(&text, fmt, ap) < 0)
		return NULL;
	for (char *p = text; *p != '\0'; p++) {
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			*p = ' ';
	}
	return text;
}

/* Room for one more in an array that grows by doubling. */
static void *grow(void *array, size_t n, size_t size)
{
	if (n > 0 && (n & (n - 1)) != 0)
		return array;
	return reallocarray(array, n > 0 ? 2 * n : 1, size);
}

int config_complain(struct config *config, const char *file,
		    const char *conn_id, const char *fmt, ...)
{
	struct config_error *errors, *e;
	va_list ap;

	errors = grow(config->errors, config->n_errors, sizeof(*errors));
	if (errors == NULL)
		return -ENOMEM;
	config->errors = errors;
	e = &errors[config->n_errors++];
	va_start(ap, fmt);
	*e = (struct config_error){
		.file = strdup(file),
		.conn_id = conn_id != NULL ? strdup(conn_id) : NULL,
		.text = one_line(fmt, ap),
	};
	va_end(ap);
	if (e->file == NULL || e->text == NULL ||
	    (conn_id != NULL && e->conn_id == NULL))
		return -ENOMEM;
	return 0;
}

int config_amend(struct config_error *error, const char *fmt, ...)
{
	auto_free char *more = NULL;
	va_list ap;
	char *text;

	va_start(ap, fmt);
	more = one_line(fmt, ap);
	va_end(ap);
	if (more == NULL || asprintf(&text, "%s%s", error->text, more) < 0)
		return -ENOMEM;
	free(error->text);
	error->text = text;
	return 0;
}

int config_add_spec(struct config *config, struct spec *spec)
{
	struct spec **specs;

	specs = grow(config->specs, config->n_specs, sizeof(struct spec *));
	if (specs == NULL) {
		spec_unref(spec);
		return -ENOMEM;
	}
	config->specs = specs;
	specs[config->n_specs++] = spec;
	return 0;
}

static int by_conn_id(const void *a, const void *b)
{
	const struct spec *const *x = a;
	const struct spec *const *y = b;

	return strcmp((*x)->conn_id, (*y)->conn_id);
}

void config_sort(struct config *config)
{
	if (config->n_specs > 0)
		qsort(config->specs, config->n_specs, sizeof(struct spec *),
		      by_conn_id);
}

static int is_conn_id(const void *conn_id, const void *spec)
{
	return strcmp(conn_id, (*(const struct spec *const *)spec)->conn_id);
}

struct spec **config_find(const struct config *config, const char *conn_id)
{
	if (config->n_specs == 0)
		return NULL;
	return bsearch(conn_id, config->specs, config->n_specs,
		       sizeof(struct spec *), is_conn_id);
}

/* Null behind the last one. */
static const json_t *spec_at(const struct config_file *file, size_t i)
{
	if (json_is_array(file->specs))
		return json_array_get(file->specs, i);
	return i == 0 ? file->specs : NULL;
}

/* Of two that are the same the old one, which has a credential perhaps. */
static struct spec *unless_same(const struct load *load, struct spec *spec)
{
	struct spec **old = load->old != NULL
				    ? config_find(load->old, spec->conn_id)
				    : NULL;

	if (old == NULL || !spec_is_same(*old, spec))
		return spec;
	spec_unref(spec);
	return spec_ref(*old);
}

static int refuse_spec(struct load *load, const struct config_file *file,
		       const json_t *object, const struct err *why)
{
	const char *conn_id =
		json_string_value(json_object_get(object, "conn_id"));
	struct config *config = load->config;
	int rc = config_complain(config, file->path, conn_id, "%s: %s: %s",
				 file->path, conn_id, why->msg);

	if (rc == 0)
		config->errors[config->n_errors - 1].disabled =
			json_is_false(json_object_get(object, "enabled"));
	return rc;
}

/* index counts from 1 and names a spec that has no good conn_id. */
static int load_spec(struct load *load, const struct config_file *file,
		     const json_t *object, size_t index)
{
	struct err why = {0};
	const char *conn_id = spec_conn_id(object, &why);
	const char *other;
	struct spec *spec;
	int rc;

	if (conn_id == NULL)
		return config_complain(load->config, file->path, NULL,
				       "%s: spec %zu: %s", file->path, index,
				       why.msg);
	other = json_string_value(json_object_get(load->seen, conn_id));
	if (other != NULL)
		return config_complain(load->config, file->path, conn_id,
				       "%s: %s: conn_id: is defined in %s "
				       "already",
				       file->path, conn_id, other);
	if (json_object_set_new(load->seen, conn_id, json_string(file->path)) <
	    0)
		return -ENOMEM;
	rc = spec_create(&spec, file, object, &load->config->settings, &why);
	if (rc == -ENOMEM)
		return rc;
	if (rc < 0)
		return refuse_spec(load, file, object, &why);
	return config_add_spec(load->config, unless_same(load, spec));
}

static int load_specs(struct load *load, const struct config_file *file)
{
	size_t n = json_is_array(file->specs) ? json_array_size(file->specs)
					      : file->specs != NULL;
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < n; i++) {
		if (load->n_found++ >= SPECS_MAX)
			return config_complain(
				load->config, file->path, NULL,
				"%s: spec %zu: this and what follows is not "
				"read: there are over %d specs",
				file->path, i + 1, SPECS_MAX);
		rc = load_spec(load, file, spec_at(file, i), i + 1);
	}
	return rc;
}

/* Of every spec, the bad ones too: nothing of it may stay readable. */
static int take_env(const struct config_file *file)
{
	const json_t *spec, *name;
	int rc = 0;

	for (size_t i = 0; rc == 0; i++) {
		spec = spec_at(file, i);
		if (spec == NULL)
			break;
		name = json_object_get(spec, "password_env");
		if (json_is_string(name))
			rc = auth_take_env(json_string_value(name));
	}
	return rc;
}

/* Settings apply to all files, so they come before the first spec. */
static int load_settings(struct config *config, const struct config *old,
			 const struct config_source *source,
			 const char *const *options, struct err *err)
{
	struct err why = {0};
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < source->n_files; i++) {
		const struct config_file *file = &source->files[i];

		if (file->settings == NULL)
			continue;
		rc = settings_apply(&config->settings, file, &why);
		if (rc < 0)
			(void)err_set(err, why.code, "%s: settings: %s",
				      file->path, why.msg);
	}
	if (rc == 0 && old != NULL && config_keep_settings(config, old) < 0)
		rc = err_set(err, ENOMEM, "out of memory");
	if (rc == 0)
		rc = settings_apply_options(&config->settings, options, err);
	return rc;
}

static int load_files(struct config *config, const struct config *old,
		      const struct config_source *source,
		      const char *const *options, struct err *err)
{
	struct load load = {.config = config, .old = old};
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < source->n_files; i++)
		rc = take_env(&source->files[i]);
	if (rc < 0)
		return err_set(err, ENOMEM, "out of memory");
	rc = load_settings(config, old, source, options, err);
	if (rc < 0)
		return rc;
	load.seen = json_object();
	if (load.seen == NULL)
		rc = -ENOMEM;
	for (size_t i = 0; rc == 0 && i < source->n_files; i++)
		rc = load_specs(&load, &source->files[i]);
	if (rc == 0)
		config_sort(config);
	if (rc == 0 && old != NULL)
		rc = config_keep_specs(config, old, load.seen);
	json_decref(load.seen);
	return rc < 0 ? err_set(err, ENOMEM, "out of memory") : 0;
}

static int load_all(struct config *config, const char *source,
		    const char *const *options, const struct config *old,
		    struct err *err)
{
	struct config_source files;
	int rc;

	if (settings_init(&config->settings) < 0)
		return err_set(err, ENOMEM, "out of memory");
	rc = source_read(&files, config, source, err);
	if (rc < 0)
		return rc;
	rc = load_files(config, old, &files, options, err);
	source_finish(&files);
	return rc;
}

int config_load(struct config **out, const char *source,
		const char *const *options, struct err *err)
{
	return config_reload(out, source, options, NULL, err);
}

int config_reload(struct config **out, const char *source,
		  const char *const *options, const struct config *old,
		  struct err *err)
{
	struct config *config;
	int rc;

	*out = NULL;
	secret_heap_init(); /* a parsed spec may hold a password */
	config = calloc(1, sizeof(*config));
	if (config == NULL)
		return err_set(err, ENOMEM, "out of memory");
	rc = load_all(config, source, options, old, err);
	if (rc < 0)
		config_destroy(config);
	else
		*out = config;
	return rc;
}

void config_destroy(struct config *config)
{
	int saved = errno;

	if (config == NULL)
		return;
	settings_finish(&config->settings);
	for (size_t i = 0; i < config->n_specs; i++)
		spec_unref(config->specs[i]);
	free(config->specs);
	for (size_t i = 0; i < config->n_kept; i++)
		free(config->kept[i].file);
	free(config->kept);
	for (size_t i = 0; i < config->n_errors; i++) {
		free(config->errors[i].file);
		free(config->errors[i].conn_id);
		free(config->errors[i].text);
	}
	free(config->errors);
	free(config);
	errno = saved;
}

/* A conn_id or a file name may hold control characters. */
__attribute__((format(printf, 1, 2))) static void print_line(const char *fmt,
							     ...)
{
	auto_free char *text = NULL;
	va_list ap;

	va_start(ap, fmt);
	text = one_line(fmt, ap);
	va_end(ap);
	(void)puts(text != NULL ? text : "out of memory");
}

int config_check(const struct config *config)
{
	for (size_t i = 0; i < config->n_specs; i++) {
		const struct spec *spec = config->specs[i];

		print_line("OK   %s  %s  %s%s", spec->conn_id,
			   spec->engine->type, spec->file,
			   spec->enabled ? "" : "  (not enabled)");
	}
	for (size_t i = 0; i < config->n_errors; i++)
		print_line("BAD  %s", config->errors[i].text);
	return config->n_errors > 0 ? 1 : 0;
}
