/* SPDX-License-Identifier: MIT */
#include "fs/timing.h"

#include <inttypes.h>

#include "common/buf.h"
#include "common/clock.h"

void timing_init(struct timing *t)
{
	timing_forget(t, TIMING_QUEUE, TIMING_ROWS);
	timing_begin(t);
}

void timing_begin(struct timing *t)
{
	t->since = clock_mono_us();
}

void timing_end(struct timing *t, enum timing_part part)
{
	uint64_t now = clock_mono_us();

	t->us[part] = (int64_t)(now - t->since);
	t->since = now;
}

void timing_forget(struct timing *t, enum timing_part first,
		   enum timing_part last)
{
	for (unsigned i = first; i <= last; i++)
		t->us[i] = -1;
}

void timing_json(const struct timing *t, struct buf *out)
{
	static const char *const names[TIMING_PARTS] = {
		"queue", "credentials", "dial", "tls",
		"login", "first_row",   "rows",
	};

	for (unsigned i = 0; i < TIMING_PARTS; i++) {
		buf_printf(out, "%s\"%s\": ", i == 0 ? "{" : ", ", names[i]);
		if (t->us[i] < 0)
			buf_puts(out, "null");
		else
			buf_printf(out, "%" PRId64 ".%" PRId64, t->us[i] / 1000,
				   t->us[i] % 1000 / 100);
	}
	buf_putc(out, '}');
}
