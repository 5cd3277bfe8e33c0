/* SPDX-License-Identifier: MIT */
#include "fs/trail.h"

#include <stdio.h>
#include <string.h>

#include "common/buf.h"
#include "common/clock.h"

/* Cuts no character in two. */
static void mark_cut(char text[TRAIL_LINE_SIZE])
{
	static const char mark[] = "...";
	size_t len = TRAIL_LINE_SIZE - sizeof(mark);

	while (len > 0 && ((unsigned char)text[len] & 0xc0) == 0x80)
		len--;
	memcpy(text + len, mark, sizeof(mark));
}

void trail_vnote(struct trail *t, const char *fmt, va_list ap)
{
	struct trail_line *line;
	int len;

	if (t->n == TRAIL_LINES)
		trail_keep(t, t->first + 1, trail_next(t));
	line = &t->lines[t->n++];
	line->at = clock_wall_ms();
	len = vsnprintf(line->text, sizeof(line->text), fmt, ap);
	if (len >= TRAIL_LINE_SIZE)
		mark_cut(line->text);
	for (char *p = line->text; *p != '\0'; p++) {
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			*p = ' ';
	}
}

void trail_note(struct trail *t, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	trail_vnote(t, fmt, ap);
	va_end(ap);
}

uint64_t trail_next(const struct trail *t)
{
	return t->first + t->n;
}

void trail_keep(struct trail *t, uint64_t from, uint64_t to)
{
	uint64_t next = trail_next(t);

	if (to > next)
		to = next;
	if (from < t->first)
		from = t->first;
	if (from > to)
		from = to;
	t->n = (size_t)(to - from);
	if (t->n > 0)
		memmove(t->lines, t->lines + (from - t->first),
			t->n * sizeof(t->lines[0]));
	t->first = from;
}

void trail_text(const struct trail *t, struct buf *out)
{
	char at[CLOCK_TEXT_SIZE];

	for (size_t i = 0; i < t->n; i++) {
		clock_text(t->lines[i].at, at);
		buf_printf(out, "  %s  %s\n", at, t->lines[i].text);
	}
}
