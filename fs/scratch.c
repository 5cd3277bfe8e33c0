/* SPDX-License-Identifier: MIT */
#include "fs/scratch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "fs/conversation.h"

struct scratch *scratch_find(struct conversation *conv, const char *name)
{
	for (struct scratch *s = conv->scratch; s != NULL; s = s->next) {
		if (strcmp(s->name, name) == 0)
			return s;
	}
	return NULL;
}

int scratch_create(struct scratch **out, struct conversation *conv,
		   const char *name, mode_t mode)
{
	struct scratch *s;
	unsigned n = 0;

	*out = NULL;
	for (s = conv->scratch; s != NULL; s = s->next)
		n++;
	if (n >= SCRATCH_MAX_FILES)
		return -EDQUOT;
	s = calloc(1, sizeof(*s));
	if (s == NULL)
		return -ENOMEM;
	s->refs = 1;
	s->mode = mode;
	s->mtime_ms = clock_wall_ms();
	buf_init(&s->content, SCRATCH_MAX_SIZE);
	s->name = strdup(name);
	if (s->name == NULL) {
		scratch_unref(s);
		return -ENOMEM;
	}
	s->next = conv->scratch;
	conv->scratch = s;
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
	buf_finish(&s->content);
	free(s->name);
	free(s);
}

void scratch_remove(struct conversation *conv, struct scratch *s)
{
	for (struct scratch **p = &conv->scratch; *p != NULL; p = &(*p)->next) {
		if (*p == s) {
			*p = s->next;
			s->next = NULL;
			scratch_unref(s);
			return;
		}
	}
}

void scratch_drop_all(struct conversation *conv)
{
	while (conv->scratch != NULL) {
		/* The kernel may remember its inode for very long. */
		buf_finish(&conv->scratch->content);
		scratch_remove(conv, conv->scratch);
	}
}

int scratch_rename(struct conversation *conv, struct scratch *s,
		   const char *name)
{
	struct scratch *old = scratch_find(conv, name);
	char *copy = strdup(name);

	if (copy == NULL)
		return -ENOMEM;
	if (old != NULL && old != s)
		scratch_remove(conv, old);
	free(s->name);
	s->name = copy;
	return 0;
}

int scratch_truncate(struct scratch *s, uint64_t size)
{
	static const char zeros[4096];

	if (size > SCRATCH_MAX_SIZE)
		return -EFBIG;
	s->mtime_ms = clock_wall_ms();
	if (size <= s->content.len) {
		s->content.len = (size_t)size;
		return 0;
	}
	while (s->content.len < size && !s->content.failed) {
		size_t n = (size_t)size - s->content.len;

		buf_put(&s->content, zeros,
			n < sizeof(zeros) ? n : sizeof(zeros));
	}
	if (!s->content.failed)
		return 0;
	s->content.failed = false;
	return -ENOMEM;
}

int scratch_write(struct scratch *s, const char *data, size_t len, uint64_t off)
{
	int rc = 0;

	if (off > SCRATCH_MAX_SIZE || len > SCRATCH_MAX_SIZE - off)
		return -EFBIG;
	if (off + len > s->content.len)
		rc = scratch_truncate(s, off + len);
	if (rc == 0)
		memcpy(s->content.data + off, data, len);
	s->mtime_ms = clock_wall_ms();
	return rc;
}
