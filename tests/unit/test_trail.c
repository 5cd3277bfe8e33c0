/* SPDX-License-Identifier: MIT */
/* What is kept of events, and of how long each part took. */
#include "fs/trail.h"

#include <inttypes.h>
#include <string.h>

#include "common/buf.h"
#include "common/clock.h"
#include "fs/timing.h"
#include "tests/unit/check.h"

uint64_t __wrap_clock_mono_us(void);
int64_t __wrap_clock_wall_ms(void);

static uint64_t mono_us;

uint64_t __wrap_clock_mono_us(void)
{
	return mono_us;
}

int64_t __wrap_clock_wall_ms(void)
{
	return 1700000000123;
}

#define AT "  2023-11-14T22:13:20.123Z  "

static void check_lines(const struct trail *t, const char *expected)
{
	struct buf out;

	buf_init(&out, 65536);
	trail_text(t, &out);
	CHECK_TEXT(buf_cstr(&out), expected);
	buf_finish(&out);
}

static void notes_are_lines(void)
{
	struct trail t = {0};

	check_lines(&t, "");
	trail_note(&t, "one %d", 1);
	trail_note(&t, "a\nb\tc\x7f");
	check_lines(&t, AT "one 1\n" AT "a b c \n");
}

static void the_oldest_goes(void)
{
	struct trail t = {0};

	for (int i = 0; i < 100; i++)
		trail_note(&t, "%d", i);
	CHECK(t.n == TRAIL_LINES && trail_next(&t) == 100);
	CHECK_TEXT(t.lines[0].text, "84");
	CHECK_TEXT(t.lines[TRAIL_LINES - 1].text, "99");
}

static void a_long_text_is_cut(void)
{
	char text[2 * TRAIL_LINE_SIZE + 1];
	struct trail t = {0};
	size_t len;

	/* Of two bytes each: none is cut in two. */
	for (size_t i = 0; i < sizeof(text) - 1; i++)
		text[i] = i % 2 == 0 ? '\xc3' : '\xa9';
	text[sizeof(text) - 1] = '\0';
	trail_note(&t, "%s", text);
	trail_note(&t, "x%s", text);
	for (size_t i = 0; i < 2; i++) {
		len = strlen(t.lines[i].text);
		CHECK(len < TRAIL_LINE_SIZE && len > TRAIL_LINE_SIZE - 4);
		CHECK_TEXT(t.lines[i].text + len - 5, "\xc3\xa9...");
	}
	text[TRAIL_LINE_SIZE - 1] = '\0';
	trail_note(&t, "%s", text);
	CHECK(strcmp(t.lines[2].text, text) == 0);
}

static void some_are_kept(void)
{
	struct trail t = {0};
	uint64_t from, to;

	trail_note(&t, "before");
	from = trail_next(&t);
	trail_note(&t, "first");
	trail_note(&t, "second");
	to = trail_next(&t);
	trail_note(&t, "after");

	trail_keep(&t, from, to);
	check_lines(&t, AT "first\n" AT "second\n");
	trail_note(&t, "next");
	trail_keep(&t, from, to);
	check_lines(&t, AT "first\n" AT "second\n");

	/* What has gone cannot be kept. */
	for (int i = 0; i < TRAIL_LINES - 1; i++)
		trail_note(&t, "more");
	trail_keep(&t, from, to);
	check_lines(&t, AT "second\n");
	trail_keep(&t, 0, 0);
	check_lines(&t, "");
	trail_keep(&t, from, to + 10);
	check_lines(&t, "");
}

static void check_json(const struct timing *t, const char *expected)
{
	struct buf out;

	buf_init(&out, 1024);
	timing_json(t, &out);
	CHECK_TEXT(buf_cstr(&out), expected);
	buf_finish(&out);
}

static void parts_follow_each_other(void)
{
	struct timing t;

	mono_us = 1000000;
	timing_init(&t);
	check_json(&t, "{\"queue\": null, \"credentials\": null, "
		       "\"dial\": null, \"tls\": null, \"login\": null, "
		       "\"first_row\": null, \"rows\": null}");
	mono_us += 1250;
	timing_end(&t, TIMING_QUEUE);
	timing_end(&t, TIMING_CREDENTIALS);
	mono_us += 99;
	timing_end(&t, TIMING_DIAL);
	mono_us += 5000;
	timing_end(&t, TIMING_TLS);
	mono_us += 777;
	timing_begin(&t);
	mono_us += 3600000000;
	timing_end(&t, TIMING_FIRST_ROW);
	timing_forget(&t, TIMING_TLS, TIMING_LOGIN);
	check_json(&t, "{\"queue\": 1.2, \"credentials\": 0.0, "
		       "\"dial\": 0.0, \"tls\": null, \"login\": null, "
		       "\"first_row\": 3600000.0, \"rows\": null}");
}

int main(void)
{
	notes_are_lines();
	the_oldest_goes();
	a_long_text_is_cut();
	some_are_kept();
	parts_follow_each_other();
	return 0;
}
