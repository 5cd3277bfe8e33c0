/* SPDX-License-Identifier: MIT */
/* JSON (RFC 8259) as text: made, and recognized. Pure. */
#ifndef CONNFS_FS_JSONTEXT_H
#define CONNFS_FS_JSONTEXT_H

#include <stdbool.h>
#include <stddef.h>

/* Room jsontext_escape() needs for len bytes. */
#define JSONTEXT_ROOM(len) (6 * (len) + 16)

/* Deeper values are not recognized. */
enum { JSONTEXT_MAX_DEPTH = 8192 };

/*
 * Writes what stands between the quotes of a string and returns the byte after
 * it: escapes the quote, the backslash and control characters, all else is as
 * it was. limit: up to there the memory behind data can be read.
 */
char *jsontext_escape(char *out, const char *data, size_t len,
		      const char *limit);

/* The whole text is a number. */
bool jsontext_is_number(const char *data, size_t len);

/*
 * The whole text is one value, and in UTF-8. Half of a surrogate pair, which
 * the grammar allows and many readers refuse, is none.
 */
bool jsontext_is_value(const char *data, size_t len);

#endif
