/* SPDX-License-Identifier: MIT */
#include "fs/scratch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"

struct scratch_dir *scratch_dir_create(unsigned max_files, uint64_t max_bytes)
{
	struct scratch_dir *dir = calloc(1, sizeof(*dir));

	if (dir == NULL)
		return NULL;
	dir->refs = 1;
	dir->max_files = max_files;
	dir->max_bytes = max_bytes;
	return dir;
}

static void unref_dir(struct scratch_dir *dir)
{
	if (--dir->refs == 0)
		free(dir);
}

/* What it holds is given back at once. */
static void empty(struct scratch *s)
{
	s->dir->n_bytes -= s->content.len;
	buf_finish(&s->content);
}

void scratch_dir_end(struct scratch_dir *dir)
{
	if (dir == NULL)
		return;
	while (dir->files != NULL) {
		/* The kernel may remember its inode for very long. */
		empty(dir->files);
		scratch_remove(dir->files);
	}
	unref_dir(dir);
}

struct scratch *scratch_first(const struct scratch_dir *dir)
{
	return dir != NULL ? dir->files : NULL;
}

struct scratch *scratch_find(const struct scratch_dir *dir, const char *name)
{
	struct scratch *s = scratch_first(dir);

	while (s != NULL && strcmp(s->name, name) != 0)
		s = s->next;
	return s;
}

int scratch_create(struct scratch **out, struct scratch_dir *dir,
		   const char *name, mode_t mode)
{
	struct scratch *s;

	*out = NULL;
	if (dir->n_files >= dir->max_files)
		return -EDQUOT;
	s = calloc(1, sizeof(*s));
	if (s == NULL)
		return -ENOMEM;
	s->refs = 1;
	s->dir = dir;
	dir->refs++;
	s->mode = mode;
	s->mtime_ms = clock_wall_ms();
	buf_init(&s->content, SCRATCH_MAX_SIZE);
	s->name = strdup(name);
	if (s->name == NULL) {
		scratch_unref(s);
		return -ENOMEM;
	}
	s->next = dir->files;
	dir->files = s;
	dir->n_files++;
	dir->changed_ms = s->mtime_ms;
	*out = s;
	return 0;
}

struct scratch *scratch_ref(struct scratch *s)
{
	s->refs++;
	return s;
}

void scratch_unref(struct scratch *s)
{
	if (s == NULL || --s->refs > 0)
		return;
	empty(s);
	unref_dir(s->dir);
	free(s->name);
	free(s);
}

struct scratch *scratch_open(struct scratch *s)
{
	s->n_open++;
	return scratch_ref(s);
}

void scratch_close(struct scratch *s)
{
	if (--s->n_open == 0 && s->removed)
		empty(s);
	scratch_unref(s);
}

void scratch_remove(struct scratch *s)
{
	struct scratch **p = &s->dir->files;

	while (*p != s)
		p = &(*p)->next;
	*p = s->next;
	s->next = NULL;
	s->removed = true;
	s->dir->n_files--;
	s->dir->changed_ms = clock_wall_ms();
	if (s->n_open == 0)
		empty(s);
	scratch_unref(s);
}

int scratch_rename(struct scratch *s, const char *name)
{
	struct scratch *old = scratch_find(s->dir, name);
	char *copy = strdup(name);

	if (copy == NULL)
		return -ENOMEM;
	if (old != NULL && old != s)
		scratch_remove(old);
	free(s->name);
	s->name = copy;
	s->dir->changed_ms = clock_wall_ms();
	return 0;
}

static void shorten(struct scratch *s, size_t size)
{
	struct buf rest;

	s->dir->n_bytes -= s->content.len - size;
	s->content.len = size;
	if (size > s->content.cap / 4)
		return;
	/* Memory that is not counted is not kept. */
	buf_init(&rest, SCRATCH_MAX_SIZE);
	buf_put(&rest, s->content.data, size);
	if (rest.failed)
		return;
	buf_finish(&s->content);
	s->content = rest;
}

/* Zeros up to size. */
static int lengthen(struct scratch *s, size_t size)
{
	static const char zeros[4096];
	size_t before = s->content.len;

	if (size - before > s->dir->max_bytes - s->dir->n_bytes)
		return -EDQUOT;
	while (s->content.len < size && !s->content.failed) {
		size_t n = size - s->content.len;

		buf_put(&s->content, zeros,
			n < sizeof(zeros) ? n : sizeof(zeros));
	}
	s->dir->n_bytes += s->content.len - before;
	if (!s->content.failed)
		return 0;
	s->content.failed = false;
	shorten(s, before);
	return -ENOMEM;
}

int scratch_truncate(struct scratch *s, uint64_t size)
{
	int rc = 0;

	if (size > SCRATCH_MAX_SIZE)
		return -EFBIG;
	if (size > s->content.len)
		rc = lengthen(s, (size_t)size);
	else
		shorten(s, (size_t)size);
	if (rc == 0)
		s->mtime_ms = clock_wall_ms();
	return rc;
}

int scratch_write(struct scratch *s, const char *data, size_t len, uint64_t off)
{
	int rc = 0;

	if (off > SCRATCH_MAX_SIZE || len > SCRATCH_MAX_SIZE - off)
		return -EFBIG;
	if (off + len > s->content.len)
		rc = lengthen(s, (size_t)off + len);
	if (rc < 0)
		return rc;
	memcpy(s->content.data + off, data, len);
	s->mtime_ms = clock_wall_ms();
	return 0;
}
