/* SPDX-License-Identifier: MIT */
#include "common/utf8.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

static bool tail(unsigned char c)
{
	return (c & 0xc0) == 0x80;
}

size_t utf8_char(const char *s, size_t len)
{
	const unsigned char *p = (const unsigned char *)s;

	if (len == 0)
		return 0;
	if (p[0] < 0x80)
		return 1;
	if (p[0] < 0xc2 || p[0] > 0xf4)
		return 0;
	if (p[0] < 0xe0)
		return len >= 2 && tail(p[1]) ? 2 : 0;
	if (p[0] < 0xf0) {
		if (len < 3 || !tail(p[1]) || !tail(p[2]))
			return 0;
		if ((p[0] == 0xe0 && p[1] < 0xa0) ||
		    (p[0] == 0xed && p[1] > 0x9f))
			return 0;
		return 3;
	}
	if (len < 4 || !tail(p[1]) || !tail(p[2]) || !tail(p[3]))
		return 0;
	if ((p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] > 0x8f))
		return 0;
	return 4;
}

size_t utf8_span(const char *s, size_t len)
{
	const uint64_t high = 0x8080808080808080u, ones = 0x0101010101010101u;
	size_t i = 0;

	while (i < len) {
		uint64_t word;
		size_t n;

		if (len - i >= sizeof(word)) {
			memcpy(&word, s + i, sizeof(word));
			/* All ASCII, and no byte is zero. */
			if (((word | (word - ones)) & high) == 0) {
				i += sizeof(word);
				continue;
			}
		}
		n = s[i] == '\0' ? 0 : utf8_char(s + i, len - i);
		if (n == 0)
			return i;
		i += n;
	}
	return len;
}

static bool control(const char *s, size_t n)
{
	unsigned char c = (unsigned char)s[n - 1];

	if (n == 1)
		return c < 0x20 || c == 0x7f;
	/* U+0080 to U+009F */
	return n == 2 && (unsigned char)s[0] == 0xc2 && c < 0xa0;
}

void utf8_line(char *out, size_t size, const char *text, size_t len)
{
	size_t used = 0;
	size_t step;

	for (size_t i = 0; i < len; i += step) {
		size_t n = utf8_char(text + i, len - i);
		const char *c = text + i;

		step = n > 0 ? n : 1;
		if (n == 0 || control(c, n)) {
			c = n == 0 ? "?" : " ";
			n = 1;
		}
		if (used + n >= size)
			break;
		memcpy(out + used, c, n);
		used += n;
	}
	out[used] = '\0';
}
