/* SPDX-License-Identifier: MIT */
#include "fs/config_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/cleanup.h"
#include "common/err.h"
#include "common/secret.h"
#include "common/trust.h"

enum {
	FILE_MAX = 1024 * 1024,       /* bytes of one file */
	TOTAL_MAX = 32 * 1024 * 1024, /* bytes of all */
	FILES_MAX = 10000,
};

/*
 * Of the functions below that take a descriptor, err continues the path:
 * ":3:14: .." or ": is not ..".
 */

/* The text may hold passwords, so it is read into locked memory. */
static int read_text(struct secret *out, int fd, off_t size, struct err *err)
{
	ssize_t n;

	if (size > FILE_MAX)
		return err_set(err, EFBIG, ": is over %d bytes long", FILE_MAX);
	if (secret_alloc(out, (size_t)size + 1) < 0)
		return err_set(err, ENOMEM, ": out of memory");
	n = secret_read(out, fd);
	if (n < 0)
		return err_sys(err, (int)-n, ": cannot be read");
	if ((size_t)n == out->len)
		return err_set(err, EAGAIN, ": grew while it was read");
	out->len = (size_t)n;
	return 0;
}

/*
 * jansson's own words without its quotation of the text, which may be a
 * password; a duplicate key is quoted, as it is no value.
 */
static int syntax_error(const json_error_t *e, struct err *err)
{
	const char *near = strstr(e->text, " near '");
	int len = (int)strlen(e->text);

	if (near != NULL && json_error_code(e) != json_error_duplicate_key)
		len = (int)(near - e->text);
	return err_set(err, EINVAL, ":%d:%d: %.*s", e->line, e->column, len,
		       e->text);
}

static int parse_text(struct config_file *file, const struct secret *text,
		      struct err *err)
{
	json_error_t e;
	int rc = 0;

	file->json =
		json_loadb(text->data, text->len, JSON_REJECT_DUPLICATES, &e);
	if (file->json == NULL)
		rc = syntax_error(&e, err);
	secret_wipe(&e, sizeof(e));
	return rc;
}

/*
 * {"settings": .., "connections": ..}, also when both are misspelled: an
 * object without any key of a spec is none.
 */
static bool is_wrapper(json_t *json)
{
	const char *key;
	json_t *value;

	if (!json_is_object(json))
		return false;
	if (json_object_get(json, "settings") != NULL ||
	    json_object_get(json, "connections") != NULL)
		return true;
	json_object_foreach (json, key, value) {
		if (spec_has_key(key))
			return false;
	}
	return true;
}

static int unwrap(struct config_file *file, struct err *err)
{
	const char *key;
	json_t *value;

	json_object_foreach (file->json, key, value) {
		struct guess guess = {.word = key};

		if (strcmp(key, "settings") == 0) {
			file->settings = value;
		} else if (strcmp(key, "connections") == 0) {
			file->specs = value;
		} else if (!value_is_private_key(key)) {
			guess_try(&guess, "settings");
			guess_try(&guess, "connections");
			return guess_fail(&guess, ": unknown key", err);
		}
	}
	if (file->specs != NULL && !json_is_array(file->specs))
		return err_set(err, EINVAL, ": connections: must be an array");
	return 0;
}

static int parse(struct config_file *file, int fd, size_t *total,
		 struct err *err)
{
	auto_secret struct secret text = {0};
	struct stat st;
	int rc;

	if (fstat(fd, &st) < 0)
		return err_sys(err, errno, ": cannot be read");
	if (!S_ISREG(st.st_mode))
		return err_set(err, EINVAL, ": is not a regular file");
	file->is_private = (st.st_mode & (S_IRGRP | S_IROTH)) == 0;
	rc = read_text(&text, fd, st.st_size, err);
	if (rc < 0)
		return rc;
	*total += text.len;
	if (*total > TOTAL_MAX)
		return err_set(err, EFBIG,
			       ": is not read: all files together are over %d "
			       "bytes long",
			       TOTAL_MAX);
	rc = parse_text(file, &text, err);
	if (rc < 0)
		return rc;
	if (is_wrapper(file->json))
		return unwrap(file, err);
	file->specs = file->json;
	return 0;
}

static void file_finish(struct config_file *file)
{
	json_decref(file->json);
	free(file->path);
}

void source_finish(struct config_source *source)
{
	for (size_t i = 0; i < source->n_files; i++)
		file_finish(&source->files[i]);
	free(source->files);
	*source = (struct config_source){0};
}

static int is_json_file(const struct dirent *entry)
{
	size_t len = strlen(entry->d_name);

	return entry->d_name[0] != '.' && len > 5 &&
	       strcmp(entry->d_name + len - 5, ".json") == 0;
}

static int by_bytes(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

/* One file of a directory. Fails for want of memory only. */
static int read_entry(struct config_source *out, struct config *config,
		      char *path, size_t *total)
{
	struct config_file file = {.path = path};
	auto_close int fd = -1;
	struct err why = {0};
	int rc;

	fd = trust_open(path, O_RDONLY, &why);
	rc = fd < 0 ? fd : parse(&file, fd, total, &why);
	if (rc == 0) {
		out->files[out->n_files++] = file;
		return 0;
	}
	rc = config_complain(config, path, NULL, "%s%s%s", path,
			     fd < 0 ? ": " : "", why.msg);
	file_finish(&file);
	return rc;
}

static int read_entries(struct config_source *out, struct config *config,
			const char *source, struct dirent **names, size_t n)
{
	size_t total = 0;
	int rc = 0;

	out->files = calloc(n + 1, sizeof(*out->files));
	if (out->files == NULL)
		return -ENOMEM;
	for (size_t i = 0; rc == 0 && i < n; i++) {
		size_t len = strlen(source);
		bool slash = len > 0 && source[len - 1] == '/';
		char *path;

		if (asprintf(&path, "%s%s%s", source, slash ? "" : "/",
			     names[i]->d_name) < 0)
			return -ENOMEM;
		rc = read_entry(out, config, path, &total);
	}
	return rc;
}

static int read_directory(struct config_source *out, struct config *config,
			  const char *source, struct err *err)
{
	struct dirent **names = NULL;
	int n = scandir(source, &names, is_json_file, by_bytes);
	int rc;

	if (n < 0)
		return err_sys(err, errno, "%s", source);
	if (n > FILES_MAX)
		rc = err_set(err, EFBIG, "%s: has over %d files", source,
			     FILES_MAX);
	else
		rc = read_entries(out, config, source, names, (size_t)n);
	for (int i = 0; i < n; i++)
		free(names[i]);
	free(names);
	return rc == -ENOMEM ? err_set(err, ENOMEM, "out of memory") : rc;
}

static int read_file(struct config_source *out, const char *source, int fd,
		     struct err *err)
{
	struct err why = {0};
	size_t total = 0;
	int rc;

	out->files = calloc(1, sizeof(*out->files));
	if (out->files == NULL)
		return err_set(err, ENOMEM, "out of memory");
	out->n_files = 1;
	out->files[0].path = strdup(source);
	if (out->files[0].path == NULL)
		return err_set(err, ENOMEM, "out of memory");
	rc = parse(&out->files[0], fd, &total, &why);
	if (rc < 0)
		return err_set(err, why.code, "%s%s", source, why.msg);
	return 0;
}

int source_read(struct config_source *out, struct config *config,
		const char *source, struct err *err)
{
	auto_close int fd = -1;
	struct err why = {0};
	struct stat st;
	int rc;

	*out = (struct config_source){0};
	fd = trust_open(source, O_RDONLY, &why);
	if (fd < 0)
		return err_set(err, why.code, "SOURCE %s: %s", source, why.msg);
	if (fstat(fd, &st) < 0)
		return err_sys(err, errno, "SOURCE %s", source);
	if (S_ISDIR(st.st_mode))
		rc = read_directory(out, config, source, err);
	else
		rc = read_file(out, source, fd, err);
	if (rc < 0)
		source_finish(out);
	return rc;
}
