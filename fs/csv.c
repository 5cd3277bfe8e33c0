/* SPDX-License-Identifier: MIT */
#include "fs/csv.h"

#include <string.h>

#include "fs/lanes.h"

static bool special(lanes v)
{
	return lanes_any(
		(lanes)((v == lanes_fill(',')) | (v == lanes_fill('"')) |
			(v == lanes_fill('\n')) | (v == lanes_fill('\r'))));
}

bool csv_needs_quotes(const char *data, size_t len, bool alone)
{
	if (len == 0)
		return true;
	if (alone && len == 2 && data[0] == '\\' && data[1] == '.')
		return true;
	while (len >= LANES) {
		if (special(lanes_load(data)))
			return true;
		data += LANES;
		len -= LANES;
	}
	return special(lanes_load_tail(data, len));
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
		v = lanes_load(from);
		if (special(v))
			return quoted(out, data, len);
		lanes_store(p, v);
		p += LANES;
		from += LANES;
		left -= LANES;
	}
	v = lanes_load_tail(from, left);
	if (special(v))
		return quoted(out, data, len);
	lanes_store(p, v); /* CSV_ROOM leaves room for the whole vector */
	return p + left;
}
