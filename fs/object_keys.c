/* SPDX-License-Identifier: MIT */
#include "fs/object_keys.h"

#include <errno.h>
#include <jansson.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fs/format.h"
#include "fs/jsontext.h"

enum { MAX_SUFFIX = 24 }; /* "_" and the digits of any size_t */

/*
 * A number for each name there is: 0 until the first column of that name was
 * met, then the last one that was put behind it.
 */
static json_t *all_names(const struct format_head *head)
{
	json_t *names = json_object();

	for (size_t i = 0; i < head->n_cols && names != NULL; i++) {
		if (json_object_set_new_nocheck(names, head->cols[i].name,
						json_integer(0)) < 0) {
			json_decref(names);
			names = NULL;
		}
	}
	return names;
}

/* out is name_2, or _3 ..: what nobody is called yet; then somebody is. */
static int make_unique(json_t *names, const char *name, char *out, size_t size)
{
	json_t *last = json_object_get(names, name);
	json_int_t n = json_integer_value(last);

	do {
		n++;
		(void)snprintf(out, size, "%s_%lld", name, (long long)n);
	} while (json_object_get(names, out) != NULL);
	(void)json_integer_set(last, n);
	return json_object_set_new_nocheck(names, out, json_integer(1)) < 0
		       ? -ENOMEM
		       : 0;
}

static void put_key(struct object_keys *keys, size_t col, const char *name)
{
	struct buf *text = &keys->text;
	size_t len = strlen(name);
	char *end;

	if (col > 0)
		buf_putc(text, ',');
	buf_putc(text, '"');
	if (buf_reserve(text, JSONTEXT_ROOM(len))) {
		end = jsontext_escape(text->data + text->len, name, len,
				      name + len);
		text->len = (size_t)(end - text->data);
	}
	buf_puts(text, "\":");
	keys->ends[col] = text->len;
}

static int put_keys(struct object_keys *keys, const struct format_head *head,
		    json_t *names, char *room, size_t size)
{
	int rc = 0;

	for (size_t i = 0; i < head->n_cols && rc == 0; i++) {
		const char *name = head->cols[i].name;
		json_t *last = json_object_get(names, name);

		if (json_integer_value(last) == 0) {
			(void)json_integer_set(last, 1);
		} else {
			rc = make_unique(names, name, room, size);
			name = room;
		}
		put_key(keys, i, name);
	}
	/* Whole vectors are read of a key. */
	if (!buf_reserve(&keys->text, 16))
		rc = -ENOMEM;
	return rc;
}

int object_keys_init(struct object_keys *keys, const struct format_head *head)
{
	size_t longest = 0, size = 0;
	json_t *names = all_names(head);
	char *room;
	int rc = -ENOMEM;

	for (size_t i = 0; i < head->n_cols; i++) {
		size_t len = strlen(head->cols[i].name) + MAX_SUFFIX;

		longest = len > longest ? len : longest;
		size += JSONTEXT_ROOM(len);
	}
	buf_init(&keys->text, size + 16);
	keys->ends = calloc(head->n_cols + 1, sizeof(*keys->ends));
	room = malloc(longest + 1);
	if (names != NULL && keys->ends != NULL && room != NULL)
		rc = put_keys(keys, head, names, room, longest + 1);
	free(room);
	json_decref(names);
	return rc;
}

void object_keys_finish(struct object_keys *keys)
{
	buf_finish(&keys->text);
	free(keys->ends);
	keys->ends = NULL;
}

const char *object_keys_get(const struct object_keys *keys, size_t col,
			    size_t *len)
{
	size_t start = col > 0 ? keys->ends[col - 1] : 0;

	*len = keys->ends[col] - start;
	return keys->text.data + start;
}
