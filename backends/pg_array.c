/* SPDX-License-Identifier: MIT */
#include "backends/pg_array.h"

#include <errno.h>
#include <stddef.h>

#include "backends/value.h"
#include "common/buf.h"
#include "common/err.h"

enum { MAX_DIMENSIONS = 6 }; /* MAXDIM of every server */

/* A list that is being written, and how far. */
struct level {
	const struct db_value *list;
	size_t next;
};

/*
 * Always in quotes: without them the word NULL, white space, the delimiter and
 * the empty string mean something else. In them, only " and \ do.
 */
static void put_quoted(struct buf *out, const char *text, size_t len)
{
	size_t done = 0;

	buf_putc(out, '"');
	for (size_t i = 0; i < len; i++) {
		if (text[i] != '"' && text[i] != '\\')
			continue;
		buf_put(out, text + done, i - done);
		buf_putc(out, '\\');
		done = i;
	}
	buf_put(out, text + done, len - done);
	buf_putc(out, '"');
}

static void put_json_string(struct buf *out, const struct db_value *text)
{
	struct buf json;

	buf_init(&json, out->max);
	buf_json(&json, text->data, text->len);
	out->failed = out->failed || json.failed;
	put_quoted(out, json.data, json.len);
	buf_finish(&json);
}

static void put_item(struct buf *out, const struct db_value *item, bool json)
{
	switch (item->kind) {
	case DB_NULL:
		buf_puts(out, "NULL");
		break;
	case DB_BOOL:
	case DB_NUMBER:
		buf_put(out, item->data, item->len);
		break;
	case DB_TEXT:
		if (json)
			put_json_string(out, item);
		else
			put_quoted(out, item->data, item->len);
		break;
	case DB_ARRAY:
	case DB_OBJECT:
		put_quoted(out, item->data, item->len);
		break;
	}
}

int pg_array_put(struct buf *out, const struct db_value *array,
		 const struct pg_array_style *style, struct err *err)
{
	struct level levels[MAX_DIMENSIONS];
	size_t depth = 1;

	levels[0] = (struct level){.list = array};
	buf_putc(out, '{');
	while (depth > 0) {
		struct level *top = &levels[depth - 1];
		const struct db_value *item;

		if (top->next == top->list->n_items) {
			buf_putc(out, '}');
			depth--;
			continue;
		}
		if (top->next > 0)
			buf_putc(out, style->delimiter);
		item = &top->list->items[top->next++];
		if (item->kind != DB_ARRAY || style->json) {
			put_item(out, item, style->json);
			continue;
		}
		if (depth == MAX_DIMENSIONS)
			return err_set(err, EINVAL,
				       "an array of PostgreSQL has at most %d "
				       "dimensions",
				       MAX_DIMENSIONS);
		levels[depth++] = (struct level){.list = item};
		buf_putc(out, '{');
	}
	return 0;
}
