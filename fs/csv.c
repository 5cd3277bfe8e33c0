/* SPDX-License-Identifier: MIT */
#include "fs/csv.h"

#include <stdint.h>
#include <string.h>

enum { LANES = 16 };

/* Compared lane by lane: SSE2, NEON, or whatever the compiler finds. */
typedef char lanes __attribute__((vector_size(LANES)));

static bool any(lanes mask)
{
	uint64_t half[2];

	memcpy(half, &mask, sizeof(half));
	return (half[0] | half[1]) != 0;
}

static lanes load(const char *p)
{
	lanes v;

	memcpy(&v, p, sizeof(v));
	return v;
}

/* All lanes c. A cast of a vector is no conversion, hence the subtraction. */
static lanes fill(char c)
{
	return (lanes){0} + c;
}

static bool special(lanes v)
{
	return any((lanes)((v == fill(',')) | (v == fill('"')) |
			   (v == fill('\n')) | (v == fill('\r'))));
}

/* The last bytes of a cell, with harmless ones behind them. */
static lanes load_tail(const char *data, size_t len)
{
	char pad[LANES] = {0};

	memcpy(pad, data, len);
	return load(pad);
}

bool csv_needs_quotes(const char *data, size_t len, bool alone)
{
	if (len == 0)
		return true;
	if (alone && len == 2 && data[0] == '\\' && data[1] == '.')
		return true;
	while (len >= LANES) {
		if (special(load(data)))
			return true;
		data += LANES;
		len -= LANES;
	}
	return special(load_tail(data, len));
}

char *csv_escape(char *out, const char *data, size_t len)
{
	while (len > 0) {
		const char *quote = memchr(data, '"', len);
		size_t n = quote != NULL ? (size_t)(quote - data) + 1 : len;

		memcpy(out, data, n);
		out += n;
		data += n;
		len -= n;
		if (quote != NULL)
			*out++ = '"';
	}
	return out;
}

static char *quoted(char *out, const char *data, size_t len)
{
	*out++ = '"';
	out = csv_escape(out, data, len);
	*out++ = '"';
	return out;
}

char *csv_cell(char *out, const char *data, size_t len, bool alone)
{
	char *p = out;
	size_t left = len;
	const char *from = data;
	lanes v;

	if (len == 0 || (alone && len == 2 && memcmp(data, "\\.", 2) == 0))
		return quoted(out, data, len);
	/* Copies while it looks, and begins anew when it meets a special. */
	while (left >= LANES) {
		v = load(from);
		if (special(v))
			return quoted(out, data, len);
		memcpy(p, &v, LANES);
		p += LANES;
		from += LANES;
		left -= LANES;
	}
	v = load_tail(from, left);
	if (special(v))
		return quoted(out, data, len);
	memcpy(p, &v, LANES); /* CSV_ROOM leaves room for the whole vector */
	return p + left;
}
