/* SPDX-License-Identifier: MIT */
/* UTF-8 as PostgreSQL accepts it: no overlong forms, no surrogates. */
#ifndef CONNFS_COMMON_UTF8_H
#define CONNFS_COMMON_UTF8_H

#include <stddef.h>

/* Bytes of the character at s (1 to 4), or 0 when it is malformed or cut. */
size_t utf8_char(const char *s, size_t len);

/*
 * Bytes before the first one that is malformed or NUL: len when the text is
 * sound.
 */
size_t utf8_span(const char *s, size_t len);

/*
 * Copies text as one line: control characters become spaces, malformed bytes
 * '?'. When out, of size bytes, is full it ends with a whole character.
 */
void utf8_line(char *out, size_t size, const char *text, size_t len);

#endif
