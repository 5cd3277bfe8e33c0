/* SPDX-License-Identifier: MIT */
/*
 * Text as a terminal shows it, on one line: control characters and malformed
 * bytes are written as escapes (\n, \x1B, \u0085), the rest is as it was. Any
 * split of the text gives the same. Pure.
 */
#ifndef CONNFS_FS_DISPLAY_H
#define CONNFS_FS_DISPLAY_H

#include <stdbool.h>
#include <stddef.h>

#include "fs/lanes.h"

/* All zero before a text, and after its last piece. */
struct display {
	char cut[4]; /* a character whose end has not come yet */
	unsigned n_cut;
};

/* Room display_text() needs for len bytes. */
#define DISPLAY_ROOM(len) (4 * (len) + 32)

/*
 * Writes the next piece of a text, returns the byte after it, and adds to
 * *width how many columns it takes. last: the text ends here.
 */
char *display_text(struct display *d, char *out, const char *data, size_t len,
		   bool last, size_t *width);

/* Only counts, until *width is enough or more. */
void display_count(struct display *d, const char *data, size_t len, bool last,
		   size_t enough, size_t *width);

/* The lanes of what is not printable ASCII. */
static inline lanes display_specials(lanes v)
{
	return (lanes)(v - lanes_fill(' ') > lanes_fill('~' - ' '));
}

/* It is as wide as it is long. The memory can be read up to limit. */
static inline bool display_is_plain(const char *data, size_t len,
				    const char *limit)
{
	size_t i = 0, n = LANES;

	for (; i < len && n == LANES; i += n)
		n = lanes_first(
			display_specials(lanes_load_until(data + i, limit)));
	return i >= len;
}

#endif
