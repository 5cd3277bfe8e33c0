/* SPDX-License-Identifier: MIT */
#include "auth/aws/profile.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include <openssl/evp.h>

#include "auth/aws/files.h"
#include "auth/aws/ini.h"
#include "auth/env.h"
#include "common/cleanup.h"
#include "common/clock.h"

enum {
	N_FILES = 2, /* config, credentials */
	DIGEST_SIZE = 32,
	/* A file may change twice in a moment that its time cannot tell. */
	RACY_MS = 1000,
};

struct file {
	char *path;
	struct stat st;  /* st_mode 0: it is not there */
	int64_t read_at; /* wall clock, ms */
	unsigned char digest[DIGEST_SIZE];
	struct secret text; /* cut up by the parser */
};

struct aws_profiles {
	unsigned refs; /* mutex */
	/* Of the latest reading, mutex: the same text may be read again. */
	struct file files[N_FILES];
	struct aws_ini ini;
	struct err error; /* why nothing can be used; code 0: it can */
};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static struct aws_profiles *current; /* mutex; holds a reference */

static void destroy(struct aws_profiles *p)
{
	aws_ini_finish(&p->ini);
	for (size_t i = 0; i < N_FILES; i++) {
		secret_finish(&p->files[i].text);
		free(p->files[i].path);
	}
	free(p);
}

/* Called with the mutex held. */
static void drop(struct aws_profiles *p)
{
	if (p != NULL && --p->refs == 0)
		destroy(p);
}

static int find_path(struct file *f, const char *variable,
		     const char *otherwise)
{
	auto_free char *path = auth_env(variable);

	return aws_file_path(&f->path, path != NULL ? path : otherwise);
}

static int find_paths(struct aws_profiles *p)
{
	int rc = find_path(&p->files[0], "AWS_CONFIG_FILE", "~/.aws/config");

	if (rc == 0)
		rc = find_path(&p->files[1], "AWS_SHARED_CREDENTIALS_FILE",
			       "~/.aws/credentials");
	return rc;
}

static bool same_time(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

static bool same_file(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino &&
	       a->st_mode == b->st_mode && a->st_size == b->st_size &&
	       same_time(&a->st_mtim, &b->st_mtim) &&
	       same_time(&a->st_ctim, &b->st_ctim);
}

/* As it was when it was read, as far as its times can tell. */
static bool is_unchanged(const struct file *f)
{
	int64_t mtime_ms = (int64_t)f->st.st_mtim.tv_sec * 1000 +
			   f->st.st_mtim.tv_nsec / 1000000;
	struct stat st;

	if (stat(f->path, &st) < 0)
		st = (struct stat){0};
	if (!same_file(&st, &f->st))
		return false;
	return st.st_mode == 0 || f->read_at - mtime_ms >= RACY_MS;
}

static bool same_paths(const struct aws_profiles *a,
		       const struct aws_profiles *b)
{
	for (size_t i = 0; i < N_FILES; i++) {
		if (strcmp(a->files[i].path, b->files[i].path) != 0)
			return false;
	}
	return true;
}

/* What the files said is what they say. */
static bool same_content(const struct aws_profiles *a,
			 const struct aws_profiles *b)
{
	if (!same_paths(a, b) || a->error.code != b->error.code ||
	    strcmp(a->error.msg, b->error.msg) != 0)
		return false;
	for (size_t i = 0; i < N_FILES; i++) {
		if (memcmp(a->files[i].digest, b->files[i].digest,
			   DIGEST_SIZE) != 0)
			return false;
	}
	return true;
}

static int read_file(struct file *f, struct err *err)
{
	int rc;

	f->read_at = clock_wall_ms();
	rc = aws_file_read(&f->text, f->path, AWS_PROFILE_FILE_MAX, &f->st,
			   err);
	if (rc == -ENOENT || rc == -ENOTDIR) {
		*err = (struct err){0};
		f->st = (struct stat){0};
		return 0;
	}
	if (rc < 0)
		return rc;
	if ((f->st.st_mode & S_IWOTH) != 0)
		return err_set(err, EPERM,
			       "%s can be written by anybody: chmod o-w",
			       f->path);
	if (f->text.len == 0)
		return 0;
	if (memchr(f->text.data, '\0', f->text.len) != NULL)
		return err_set(err, EINVAL, "%s holds a NUL byte", f->path);
	if (EVP_Digest(f->text.data, f->text.len, f->digest, NULL, EVP_sha256(),
		       NULL) != 1)
		return err_set(err, ENOMEM, "%s: out of memory", f->path);
	return 0;
}

/* A failure is part of what was read. */
static void read_files(struct aws_profiles *p)
{
	for (size_t i = 0; i < N_FILES; i++) {
		if (read_file(&p->files[i], &p->error) < 0)
			return;
	}
}

static void parse(struct aws_profiles *p)
{
	for (size_t i = 0; i < N_FILES && p->error.code == 0; i++) {
		struct file *f = &p->files[i];

		if (f->text.len > 0)
			(void)aws_ini_add(&p->ini, f->text.data, f->path,
					  i == 1, &p->error);
	}
}

/* Called with the mutex held. */
static bool current_is_good(const struct aws_profiles *fresh)
{
	if (current == NULL || !same_paths(current, fresh))
		return false;
	/* What could not be read is tried again. */
	if (current->error.code != 0)
		return false;
	for (size_t i = 0; i < N_FILES; i++) {
		if (!is_unchanged(&current->files[i]))
			return false;
	}
	return true;
}

/* Makes fresh the current one, or drops it. Called with the mutex held. */
static void settle(struct aws_profiles *fresh)
{
	read_files(fresh);
	parse(fresh);
	if (current != NULL && same_content(current, fresh)) {
		for (size_t i = 0; i < N_FILES; i++) {
			current->files[i].st = fresh->files[i].st;
			current->files[i].read_at = fresh->files[i].read_at;
		}
		drop(fresh);
		return;
	}
	drop(current);
	current = fresh;
}

struct aws_profiles *aws_profiles_get(void)
{
	struct aws_profiles *fresh = calloc(1, sizeof(*fresh));

	if (fresh == NULL)
		return NULL;
	fresh->refs = 1;
	if (find_paths(fresh) < 0) {
		destroy(fresh);
		return NULL;
	}
	auto_lock(&mutex);
	if (current_is_good(fresh))
		drop(fresh);
	else
		settle(fresh);
	current->refs++;
	return current;
}

void aws_profiles_unref(struct aws_profiles *profiles)
{
	auto_lock(&mutex);
	drop(profiles);
}

int aws_profiles_find(const struct aws_section **out,
		      const struct aws_profiles *profiles,
		      enum aws_section_kind kind, const char *name,
		      struct err *err)
{
	*out = NULL;
	if (profiles->error.code != 0) {
		if (err != NULL)
			*err = profiles->error;
		return -profiles->error.code;
	}
	*out = aws_ini_find(&profiles->ini, kind, name);
	return 0;
}

const char *aws_profiles_config_path(const struct aws_profiles *profiles)
{
	return profiles->files[0].path;
}

const char *aws_profiles_credentials_path(const struct aws_profiles *profiles)
{
	return profiles->files[1].path;
}

/* The last one: credentials come behind config. */
static const struct aws_entry *find_entry(const struct aws_section *section,
					  const char *block, const char *key)
{
	if (section == NULL || key == NULL)
		return NULL;
	for (size_t i = section->n_entries; i > 0; i--) {
		const struct aws_entry *e = &section->entries[i - 1];

		if (strcmp(e->key, key) != 0 ||
		    (e->block == NULL) != (block == NULL))
			continue;
		if (block == NULL || strcmp(e->block, block) == 0)
			return e;
	}
	return NULL;
}

static const char *value_of(const struct aws_entry *entry)
{
	return entry != NULL && *entry->value != '\0' ? entry->value : NULL;
}

const char *aws_section_get(const struct aws_section *section, const char *key)
{
	return value_of(find_entry(section, NULL, key));
}

const char *aws_section_get_nested(const struct aws_section *section,
				   const char *block, const char *key)
{
	return value_of(find_entry(section, block, key));
}

void aws_section_place(const struct aws_section *section, const char *key,
		       char out[AWS_PLACE_SIZE])
{
	const struct aws_entry *e = find_entry(section, NULL, key);

	(void)snprintf(out, AWS_PLACE_SIZE, "%s line %u",
		       e != NULL ? e->path : section->path,
		       e != NULL ? e->line : section->line);
}

int aws_section_check(const struct aws_section *section, struct err *err)
{
	if (section->bad_line == 0)
		return 0;
	return err_set(err, EINVAL, "%s line %u is no \"key = value\"",
		       section->bad_path, section->bad_line);
}

void aws_section_each(const struct aws_section *section,
		      void (*each)(void *arg, const char *key,
				   const char *value),
		      void *arg)
{
	for (size_t i = 0; i < section->n_entries; i++)
		each(arg, section->entries[i].key, section->entries[i].value);
}
