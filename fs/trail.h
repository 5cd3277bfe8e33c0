/* SPDX-License-Identifier: MIT */
/*
 * The last things that happened, a line each, for `error` to tell when they
 * did not end well. Of fixed size: noting one cannot fail and takes no memory.
 * A plain value; whoever has it guards it.
 */
#ifndef CONNFS_FS_TRAIL_H
#define CONNFS_FS_TRAIL_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

struct buf;

enum {
	TRAIL_LINES = 16,
	TRAIL_LINE_SIZE = 200, /* bytes, with the final NUL */
};

/* Starts as {0}. */
struct trail {
	uint64_t first; /* how many lines there were before these */
	size_t n;
	struct trail_line {
		int64_t at; /* clock_wall_ms() */
		char text[TRAIL_LINE_SIZE];
	} lines[TRAIL_LINES];
};

/*
 * Appends a line; when there is no room, the oldest goes. It never has a
 * secret in it. Control characters become spaces; a text that is too long ends
 * in "...".
 */
void trail_note(struct trail *t, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

void trail_vnote(struct trail *t, const char *fmt, va_list ap)
	__attribute__((format(printf, 2, 0)));

/* The number of the next line, for trail_keep(). */
uint64_t trail_next(const struct trail *t);

/* Forgets all lines but those from number `from` to before number `to`. */
void trail_keep(struct trail *t, uint64_t from, uint64_t to);

/* Appends the lines to out, indented, with the time of day of each. */
void trail_text(const struct trail *t, struct buf *out);

#endif
