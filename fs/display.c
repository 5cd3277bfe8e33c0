/* SPDX-License-Identifier: MIT */
#include "fs/display.h"

#include <utf8proc.h>

#include "common/utf8.h"

static char *put_hex(char *out, unsigned char byte)
{
	static const char hex[] = "0123456789ABCDEF";

	*out++ = hex[byte >> 4];
	*out++ = hex[byte & 15];
	return out;
}

static char *escape_byte(char *out, unsigned char byte)
{
	*out++ = '\\';
	switch (byte) {
	case '\n':
		*out++ = 'n';
		return out;
	case '\r':
		*out++ = 'r';
		return out;
	case '\t':
		*out++ = 't';
		return out;
	default:
		*out++ = 'x';
		return put_hex(out, byte);
	}
}

/* How long the character that begins so is, if it is one. */
static size_t expected_length(char first)
{
	unsigned char byte = (unsigned char)first;

	if (byte < 0xc2 || byte > 0xf4)
		return 1;
	return byte < 0xe0 ? 2 : byte < 0xf0 ? 3 : 4;
}

/* A character of n bytes that is sound, and not ASCII. */
static char *put_wide(char *out, const char *s, size_t n, size_t *width)
{
	static const char unit[] = {'\\', 'u', '0', '0'};
	utf8proc_int32_t c = 0;

	(void)utf8proc_iterate((const utf8proc_uint8_t *)s, (utf8proc_ssize_t)n,
			       &c);
	if (c < 0xa0) { /* a control character too, and one byte long */
		memcpy(out, unit, sizeof(unit));
		*width += sizeof(unit) + 2;
		return put_hex(out + sizeof(unit), (unsigned char)c);
	}
	memcpy(out, s, n);
	*width += (size_t)utf8proc_charwidth(c);
	return out + n;
}

/* One character of at most len bytes, or one byte that is none; its length. */
static size_t put_char(char **out, const char *s, size_t len, size_t *width)
{
	size_t n = utf8_char(s, len);
	char *end = *out;

	if (n > 1) {
		*out = put_wide(end, s, n, width);
		return n;
	}
	if (*s >= ' ' && *s <= '~')
		*end++ = *s;
	else
		end = escape_byte(end, (unsigned char)*s);
	*width += (size_t)(end - *out);
	*out = end;
	return 1;
}

/* The bytes before the first that is not printable ASCII; they are copied. */
static size_t put_plain(char *out, const char *data, size_t len)
{
	size_t n = 0, i = LANES;

	for (; n < len && i == LANES; n += i) {
		lanes v = lanes_load_until(data + n, data + len);

		i = lanes_first(
			(lanes)(v - lanes_fill(' ') > lanes_fill('~' - ' ')));
		lanes_store(out + n, v);
	}
	return n < len ? n : len;
}

/* Completes what was cut; how many bytes of data that took. */
static size_t put_cut(struct display *d, char **out, const char *data,
		      size_t len, bool last, size_t *width)
{
	size_t used = 0;

	while (d->n_cut > 0) {
		size_t n = expected_length(d->cut[0]);

		while (d->n_cut < n && used < len)
			d->cut[d->n_cut++] = data[used++];
		if (d->n_cut < n && !last)
			break;
		n = put_char(out, d->cut, d->n_cut, width);
		d->n_cut -= (unsigned)n;
		memmove(d->cut, d->cut + n, d->n_cut);
	}
	return used;
}

char *display_text(struct display *d, char *out, const char *data, size_t len,
		   bool last, size_t *width)
{
	size_t i = put_cut(d, &out, data, len, last, width);

	while (i < len) {
		size_t n = put_plain(out, data + i, len - i);

		out += n;
		*width += n;
		i += n;
		if (i == len)
			break;
		if (!last && expected_length(data[i]) > len - i) {
			d->n_cut = (unsigned)(len - i);
			memcpy(d->cut, data + i, d->n_cut);
			break;
		}
		i += put_char(&out, data + i, len - i, width);
	}
	return out;
}

void display_count(struct display *d, const char *data, size_t len, bool last,
		   size_t enough, size_t *width)
{
	enum { SLICE = 256 };
	char scratch[DISPLAY_ROOM(SLICE)];

	while (len > 0 && *width < enough) {
		size_t n = len < SLICE ? len : SLICE;

		(void)display_text(d, scratch, data, n, false, width);
		data += n;
		len -= n;
	}
	if (last)
		(void)display_text(d, scratch, data, 0, true, width);
}
