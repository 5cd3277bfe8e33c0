/* SPDX-License-Identifier: MIT */
/*
 * CSV to standard output for the programs that measure the floor: what a
 * plain loop over a driver's rows would do, no more.
 */
#ifndef CONNFS_BENCH_CSV_OUT_H
#define CONNFS_BENCH_CSV_OUT_H

#include <err.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

static char csv_buf[1 << 20];
static size_t csv_len;

static void csv_flush(void)
{
	size_t done = 0;

	while (done < csv_len) {
		ssize_t n =
			write(STDOUT_FILENO, csv_buf + done, csv_len - done);

		if (n < 0)
			err(1, "write");
		done += (size_t)n;
	}
	csv_len = 0;
}

static bool csv_needs_quotes(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		char c = text[i];

		if (c == ',' || c == '"' || c == '\n' || c == '\r')
			return true;
	}
	return len == 0;
}

/* A cell of at most a quarter of the buffer; text null: SQL NULL. */
static void csv_cell(const char *text, size_t len, char end)
{
	if (len > sizeof(csv_buf) / 4)
		errx(1, "a cell of %zu bytes", len);
	if (csv_len + 2 * len + 4 > sizeof(csv_buf))
		csv_flush();
	if (text && csv_needs_quotes(text, len)) {
		csv_buf[csv_len++] = '"';
		for (size_t i = 0; i < len; i++) {
			if (text[i] == '"')
				csv_buf[csv_len++] = '"';
			csv_buf[csv_len++] = text[i];
		}
		csv_buf[csv_len++] = '"';
	} else if (text) {
		memcpy(csv_buf + csv_len, text, len);
		csv_len += len;
	}
	csv_buf[csv_len++] = end;
}

#endif
