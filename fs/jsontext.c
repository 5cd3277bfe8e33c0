/* SPDX-License-Identifier: MIT */
#include "fs/jsontext.h"

#include <stdint.h>

#include "common/utf8.h"
#include "fs/lanes.h"

/* Where a text is read. */
struct cursor {
	const char *p, *end;
};

static lanes special(lanes v)
{
	return (lanes)((v < lanes_fill(0x20)) | (v == lanes_fill('"')) |
		       (v == lanes_fill('\\')));
}

static char *escape_byte(char *out, char c)
{
	static const char hex[] = "0123456789abcdef";
	static const char unit[] = {'u', '0', '0'};
	static const char letters[0x20] = {
		['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n',
		['\f'] = 'f', ['\r'] = 'r',
	};

	*out++ = '\\';
	if (c == '"' || c == '\\') {
		*out++ = c;
	} else if (letters[(unsigned char)c] != '\0') {
		*out++ = letters[(unsigned char)c];
	} else {
		memcpy(out, unit, sizeof(unit));
		out += sizeof(unit);
		*out++ = hex[(unsigned char)c >> 4];
		*out++ = hex[c & 15];
	}
	return out;
}

char *jsontext_escape(char *out, const char *data, size_t len,
		      const char *limit)
{
	const char *end = data + len;

	while (data < end) {
		lanes v = lanes_load_until(data, limit);
		size_t left = (size_t)(end - data), n = lanes_first(special(v));

		/* Whole vectors are written: JSONTEXT_ROOM leaves room for it. */
		lanes_store(out, v);
		if (n >= left)
			return out + left;
		out += n;
		data += n;
		if (n < LANES)
			out = escape_byte(out, *data++);
	}
	return out;
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* At least one. */
static bool digits(struct cursor *c)
{
	const char *start = c->p;

	while (c->p < c->end && is_digit(*c->p))
		c->p++;
	return c->p > start;
}

static bool take(struct cursor *c, char wanted)
{
	if (c->p == c->end || *c->p != wanted)
		return false;
	c->p++;
	return true;
}

static bool number(struct cursor *c)
{
	(void)take(c, '-');
	if (!take(c, '0') && !digits(c))
		return false;
	if (take(c, '.') && !digits(c))
		return false;
	if (take(c, 'e') || take(c, 'E')) {
		if (!take(c, '-'))
			(void)take(c, '+');
		return digits(c);
	}
	return true;
}

bool jsontext_is_number(const char *data, size_t len)
{
	struct cursor c = {data, data + len};

	return number(&c) && c.p == c.end;
}

/* Four hex digits, or -1. */
static int unit(struct cursor *c)
{
	int value = 0;

	if (c->end - c->p < 4)
		return -1;
	for (int i = 0; i < 4; i++) {
		char digit = *c->p++, lower = (char)(digit | 0x20);

		if (is_digit(digit))
			value = value << 4 | (digit - '0');
		else if (lower >= 'a' && lower <= 'f')
			value = value << 4 | (lower - 'a' + 10);
		else
			return -1;
	}
	return value;
}

/* Behind a backslash. */
static bool escape(struct cursor *c)
{
	int first;

	if (c->p == c->end)
		return false;
	if (*c->p != 'u')
		return *c->p != '\0' && strchr("\"\\/bfnrt", *c->p++) != NULL;
	c->p++;
	first = unit(c);
	if (first < 0xd800 || first > 0xdfff)
		return first >= 0;
	if (first > 0xdbff || !take(c, '\\') || !take(c, 'u'))
		return false;
	first = unit(c);
	return first >= 0xdc00 && first <= 0xdfff;
}

/* Behind the first quote. */
static bool string(struct cursor *c)
{
	while (c->p < c->end) {
		size_t left = (size_t)(c->end - c->p), n;
		lanes v = lanes_load_until(c->p, c->end);

		v = special(v) | (lanes)(v >= lanes_fill('\x80'));
		n = lanes_first(v);
		if (n >= left)
			break;
		c->p += n;
		if (n == LANES)
			continue;
		if (take(c, '"'))
			return true;
		if (take(c, '\\')) {
			if (!escape(c))
				return false;
			continue;
		}
		n = utf8_char(c->p, left - n);
		if (n < 2)
			return false; /* a control character, or no UTF-8 */
		c->p += n;
	}
	return false;
}

static bool word(struct cursor *c, const char *text)
{
	size_t len = strlen(text);

	if ((size_t)(c->end - c->p) < len || memcmp(c->p, text, len) != 0)
		return false;
	c->p += len;
	return true;
}

static void skip_blanks(struct cursor *c)
{
	while (c->p < c->end && (*c->p == ' ' || *c->p == '\n' ||
				 *c->p == '\t' || *c->p == '\r'))
		c->p++;
}

/* What has no parts. */
static bool scalar(struct cursor *c)
{
	if (take(c, '"'))
		return string(c);
	return word(c, "true") || word(c, "false") || word(c, "null") ||
	       number(c);
}

static bool name(struct cursor *c)
{
	skip_blanks(c);
	if (!take(c, '"') || !string(c))
		return false;
	skip_blanks(c);
	return take(c, ':');
}

/* The arrays and objects around: a bit of each says that it is an object. */
struct nest {
	size_t depth;
	unsigned char objects[JSONTEXT_MAX_DEPTH / 8];
};

static bool in_object(const struct nest *nest)
{
	size_t i = nest->depth - 1;

	return (nest->objects[i / 8] >> i % 8 & 1) != 0;
}

/* Opens brackets up to the first value inside; *closed: it was all empty. */
static bool open_brackets(struct cursor *c, struct nest *nest, bool *closed)
{
	*closed = false;
	for (;;) {
		bool object = take(c, '{');
		size_t i = nest->depth;

		if (!object && !take(c, '['))
			return true;
		if (i == JSONTEXT_MAX_DEPTH)
			return false;
		nest->depth++;
		nest->objects[i / 8] &= (unsigned char)~(1u << i % 8);
		nest->objects[i / 8] |= (unsigned char)(object << i % 8);
		skip_blanks(c);
		*closed = take(c, object ? '}' : ']');
		if (*closed) {
			nest->depth--;
			return true;
		}
		if (object && !name(c))
			return false;
		skip_blanks(c);
	}
}

bool jsontext_is_value(const char *data, size_t len)
{
	struct cursor c = {data, data + len};
	struct nest nest = {.depth = 0};

	for (;;) {
		bool closed;

		skip_blanks(&c);
		if (!open_brackets(&c, &nest, &closed) ||
		    (!closed && !scalar(&c)))
			return false;
		/* Behind a value. */
		for (;;) {
			skip_blanks(&c);
			if (nest.depth == 0)
				return c.p == c.end;
			if (take(&c, ','))
				break;
			if (!take(&c, in_object(&nest) ? '}' : ']'))
				return false;
			nest.depth--;
		}
		if (in_object(&nest) && !name(&c))
			return false;
	}
}
