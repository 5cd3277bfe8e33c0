/* SPDX-License-Identifier: MIT */
#include "common/buf.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/utf8.h"

enum { FIRST_CAP = 256 };

void buf_init(struct buf *b, size_t max)
{
	*b = (struct buf){.max = max};
}

void buf_finish(struct buf *b)
{
	free(b->data);
	*b = (struct buf){.max = b->max};
}

void buf_reset(struct buf *b)
{
	b->len = 0;
	b->failed = false;
}

bool buf_reserve(struct buf *b, size_t len)
{
	size_t cap = b->cap != 0 ? b->cap : FIRST_CAP;
	char *data;

	if (b->failed || len > b->max - b->len) {
		b->failed = true;
		return false;
	}
	if (b->cap > b->len + len)
		return true;
	while (cap <= b->len + len)
		cap *= 2;
	data = realloc(b->data, cap);
	if (data == NULL) {
		b->failed = true;
		return false;
	}
	b->data = data;
	b->cap = cap;
	return true;
}

void buf_put(struct buf *b, const void *data, size_t len)
{
	if (len == 0 || !buf_reserve(b, len))
		return;
	memcpy(b->data + b->len, data, len);
	b->len += len;
}

void buf_puts(struct buf *b, const char *s)
{
	buf_put(b, s, strlen(s));
}

void buf_putc(struct buf *b, char c)
{
	buf_put(b, &c, 1);
}

void buf_printf(struct buf *b, const char *fmt, ...)
{
	auto_free char *text = NULL;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vasprintf(&text, fmt, ap);
	va_end(ap);
	if (n < 0) {
		text = NULL;
		b->failed = true;
		return;
	}
	buf_put(b, text, (size_t)n);
}

int buf_read(struct buf *b, int fd)
{
	char part[4096];

	while (b->len < b->max) {
		size_t room = b->max - b->len;
		ssize_t n = read(fd, part,
				 room < sizeof(part) ? room : sizeof(part));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		buf_put(b, part, (size_t)n);
		if (b->failed)
			return -ENOMEM;
	}
	return 0;
}

void buf_json(struct buf *b, const char *text, size_t len)
{
	static const char hex[] = "0123456789abcdef";
	size_t n;

	buf_putc(b, '"');
	for (size_t i = 0; i < len; i += n) {
		unsigned char c = (unsigned char)text[i];

		n = 1;
		if (c == '"' || c == '\\') {
			buf_putc(b, '\\');
			buf_putc(b, (char)c);
		} else if (c == '\n') {
			buf_puts(b, "\\n");
		} else if (c == '\t') {
			buf_puts(b, "\\t");
		} else if (c < 0x20 || c == 0x7f) {
			buf_puts(b, "\\u00");
			buf_putc(b, hex[c >> 4]);
			buf_putc(b, hex[c & 15]);
		} else if (c < 0x80) {
			buf_putc(b, (char)c);
		} else if ((n = utf8_char(text + i, len - i)) > 0) {
			buf_put(b, text + i, n);
		} else {
			n = 1;
			buf_puts(b, "\xef\xbf\xbd");
		}
	}
	buf_putc(b, '"');
}

void buf_drop(struct buf *b, size_t n)
{
	memmove(b->data, b->data + n, b->len - n);
	b->len -= n;
}

const char *buf_cstr(struct buf *b)
{
	if (!buf_reserve(b, 0))
		return NULL;
	b->data[b->len] = '\0';
	return b->data;
}

char *buf_take(struct buf *b)
{
	char *data = NULL;

	if (buf_cstr(b) != NULL)
		data = take_ptr(b->data);
	buf_finish(b);
	return data;
}
