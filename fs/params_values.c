/* SPDX-License-Identifier: MIT */
#include "fs/params_values.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/err.h"
#include "fs/params_check.h"

/*
 * Values of an array that is not over grow from the block's beginning; once it is, they move to
 * its end, before those that are there: together they never need more room
 * than there are values.
 */
struct builder {
	const char *text; /* for places in it */
	const char *p;
	struct db_value *values;
	size_t low, high;
	char *bytes;
};

/* Keeps len bytes, and a NUL behind. */
static const char *keep(struct builder *b, const char *data, size_t len)
{
	char *kept = b->bytes;

	memcpy(kept, data, len);
	kept[len] = '\0';
	b->bytes += len + 1;
	return kept;
}

static void skip_blanks(struct builder *b)
{
	while (*b->p == ' ' || (*b->p >= '\t' && *b->p <= '\r'))
		b->p++;
}

/* The text of a number, true or false ends before one of these. */
static void skip_word(struct builder *b)
{
	while (*b->p != ',' && *b->p != ']' && *b->p != '}' && *b->p > ' ')
		b->p++;
}

/* To a string's quote, or the backslash of an escape. */
static size_t plain_span(const char *p)
{
	size_t n = 0;

	while (p[n] != '"' && p[n] != '\\')
		n++;
	return n;
}

static unsigned take_unit(struct builder *b)
{
	char digits[5] = {b->p[0], b->p[1], b->p[2], b->p[3]};

	b->p += 4;
	return (unsigned)strtoul(digits, NULL, 16);
}

/* Behind \u. */
static void take_code(struct builder *b)
{
	unsigned code = take_unit(b);

	if (code >= 0xd800 && code <= 0xdbff) {
		b->p += 2; /* \u */
		code = 0x10000 + ((code - 0xd800) << 10) + take_unit(b) -
		       0xdc00;
		*b->bytes++ = (char)(0xf0 | code >> 18);
		*b->bytes++ = (char)(0x80 | (code >> 12 & 0x3f));
		*b->bytes++ = (char)(0x80 | (code >> 6 & 0x3f));
		*b->bytes++ = (char)(0x80 | (code & 0x3f));
	} else if (code >= 0x800) {
		*b->bytes++ = (char)(0xe0 | code >> 12);
		*b->bytes++ = (char)(0x80 | (code >> 6 & 0x3f));
		*b->bytes++ = (char)(0x80 | (code & 0x3f));
	} else if (code >= 0x80) {
		*b->bytes++ = (char)(0xc0 | code >> 6);
		*b->bytes++ = (char)(0x80 | (code & 0x3f));
	} else {
		*b->bytes++ = (char)code;
	}
}

/* Behind a backslash. */
static void take_escape(struct builder *b)
{
	static const char letters[] = "bfnrt", meant[] = "\b\f\n\r\t";
	const char *letter = strchr(letters, *b->p);

	if (*b->p++ == 'u')
		take_code(b);
	else if (letter != NULL)
		*b->bytes++ = meant[letter - letters];
	else
		*b->bytes++ = b->p[-1];
}

static const char *take_string(struct builder *b, size_t *len)
{
	const char *kept = b->bytes;

	b->p++;
	while (*b->p != '"') {
		size_t n = plain_span(b->p);

		memcpy(b->bytes, b->p, n);
		b->bytes += n;
		b->p += n;
		if (*b->p == '\\') {
			b->p++;
			take_escape(b);
		}
	}
	b->p++;
	*len = (size_t)(b->bytes - kept);
	*b->bytes++ = '\0';
	return kept;
}

static void skip_string(struct builder *b)
{
	for (b->p++; *b->p != '"'; b->p++) {
		b->p += plain_span(b->p);
		if (*b->p == '"')
			break;
		b->p++;
	}
	b->p++;
}

/* Over an object, to behind its bracket. */
static void skip_object(struct builder *b)
{
	size_t depth = 0;

	do {
		if (*b->p == '"') {
			skip_string(b);
			continue;
		}
		if (*b->p == '{')
			depth++;
		else if (*b->p == '}')
			depth--;
		b->p++;
	} while (depth > 0);
}

static struct db_value take_value(struct builder *b);

/* The values that were put to the block's beginning since go to its end. */
static const struct db_value *finish_values(struct builder *b, size_t since)
{
	size_t n = b->low - since;

	b->high -= n;
	b->low = since;
	memmove(b->values + b->high, b->values + since, n * sizeof(*b->values));
	return b->values + b->high;
}

static void take_array(struct builder *b, struct db_value *v)
{
	size_t since = b->low;

	b->p++;
	skip_blanks(b);
	while (*b->p != ']') {
		struct db_value item = take_value(b);

		b->values[b->low++] = item;
		skip_blanks(b);
		if (*b->p == ',')
			b->p++;
		skip_blanks(b);
	}
	b->p++;
	v->n_items = b->low - since;
	v->items = finish_values(b, since);
}

static struct db_value take_value(struct builder *b)
{
	struct db_value v = {.kind = DB_NUMBER};
	const char *start = b->p;

	switch (*start) {
	case '"':
		v.kind = DB_TEXT;
		v.data = take_string(b, &v.len);
		return v;
	case 'n':
		v.kind = DB_NULL;
		skip_word(b);
		return v;
	case '[':
		v.kind = DB_ARRAY;
		take_array(b, &v);
		break;
	case '{':
		v.kind = DB_OBJECT;
		skip_object(b);
		break;
	default:
		if (*start == 't' || *start == 'f')
			v.kind = DB_BOOL;
		skip_word(b);
	}
	v.len = (size_t)(b->p - start);
	v.data = keep(b, start, v.len);
	return v;
}

struct member {
	const char *name;
	size_t at; /* in the text */
};

static int compare_members(const void *a, const void *b)
{
	const struct member *left = a, *right = b;
	int order = strcmp(left->name, right->name);

	if (order != 0)
		return order;
	return left->at < right->at ? -1 : left->at > right->at;
}

/* Of the members, which are put in order by this. */
static int check_names(struct params_values *v, struct member *members,
		       struct err *err)
{
	qsort(members, v->args.n, sizeof(*members), compare_members);
	for (size_t i = 0; i < v->args.n; i++) {
		const char *name = members[i].name;

		v->mistake = members[i].at;
		if (name[0] == '\0')
			return err_set(err, EINVAL, "an empty name");
		if (i > 0 && strcmp(name, members[i - 1].name) == 0)
			return err_set(err, EINVAL,
				       "the name %.100s stands here again",
				       name);
	}
	return 0;
}

/* A placeholder's sign in front of its name is left out. */
static const char *take_name(struct builder *b)
{
	size_t len;
	const char *name = take_string(b, &len);

	return *name == ':' || *name == '@' || *name == '$' ? name + 1 : name;
}

static void take_members(struct builder *b, struct member *members)
{
	struct db_value v;

	b->p++;
	skip_blanks(b);
	while (*b->p != '}') {
		members[b->low].at = (size_t)(b->p - b->text);
		members[b->low].name = take_name(b);
		skip_blanks(b);
		b->p++; /* the colon */
		skip_blanks(b);
		v = take_value(b);
		v.name = members[b->low].name;
		b->values[b->low++] = v;
		skip_blanks(b);
		if (*b->p == ',')
			b->p++;
		skip_blanks(b);
	}
}

static int take_object(struct params_values *v, struct builder *b,
		       struct err *err)
{
	auto_free struct member *members =
		calloc(v->args.n + 1, sizeof(*members));

	if (members == NULL)
		return err_set(err, ENOMEM, "no memory for the parameters");
	take_members(b, members);
	v->args.values = finish_values(b, 0);
	v->args.named = true;
	return check_names(v, members, err);
}

int params_values_init(struct params_values *v, const char *text, size_t len,
		       const struct params_check *c, struct err *err)
{
	size_t size = c->n_values * sizeof(struct db_value);
	struct builder b = {.text = text, .p = text, .high = c->n_values};
	struct db_value list = {0};

	/* A value takes no more room than its text and what ends that. */
	v->size = size + len + c->n_copied;
	v->block = malloc(v->size);
	if (v->block == NULL)
		return err_set(err, ENOMEM, "no memory for the parameters");
	b.values = v->block;
	b.bytes = (char *)v->block + size;
	v->args.n = c->n;
	skip_blanks(&b);
	if (*b.p == '{')
		return take_object(v, &b, err);
	take_array(&b, &list);
	v->args.values = list.items;
	return 0;
}

void params_values_finish(struct params_values *v)
{
	free(v->block);
}
