/* SPDX-License-Identifier: MIT */
#include "auth/aws/text.h"

#include <errno.h>
#include <string.h>

void aws_text_put(struct aws_text *text, const char *data, size_t len)
{
	if (text->failed)
		return;
	if (len > AWS_TEXT_MAX - text->secret.len ||
	    secret_append(&text->secret, data, len) < 0)
		text->failed = true;
}

void aws_text_puts(struct aws_text *text, const char *s)
{
	aws_text_put(text, s, strlen(s));
}

void aws_text_putc(struct aws_text *text, char c)
{
	aws_text_put(text, &c, 1);
}

/* Whatever the locale says of letters. */
static bool stays(char c)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
	       (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_' ||
	       c == '~';
}

void aws_text_encode(struct aws_text *text, const char *data, size_t len)
{
	static const char hex[] = "0123456789ABCDEF";

	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)data[i];

		if (stays(data[i])) {
			aws_text_putc(text, data[i]);
		} else {
			char escape[] = {'%', hex[c >> 4], hex[c & 15]};

			aws_text_put(text, escape, sizeof(escape));
		}
	}
}

void aws_text_param(struct aws_text *text, const char *name, const char *value)
{
	if (value == NULL)
		return;
	if (text->secret.len > 0)
		aws_text_putc(text, '&');
	aws_text_encode(text, name, strlen(name));
	aws_text_putc(text, '=');
	aws_text_encode(text, value, strlen(value));
}

int aws_text_take(struct aws_text *text, struct secret *out)
{
	if (text->failed) {
		aws_text_finish(text);
		return -ENOMEM;
	}
	secret_finish(out);
	*out = text->secret;
	*text = (struct aws_text){0};
	return 0;
}

void aws_text_finish(struct aws_text *text)
{
	secret_finish(&text->secret);
	text->failed = false;
}
