/* SPDX-License-Identifier: MIT */
/*
 * Growable bytes with a mandatory maximum and sticky failure: after one append
 * that did not fit or found no memory, `failed` stays set, later appends do
 * nothing, and the caller looks once at the end.
 *
 * Belongs to one thread at a time. data is not null-terminated unless
 * buf_cstr() was called last.
 */
#ifndef CONNFS_COMMON_BUF_H
#define CONNFS_COMMON_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf {
	char *data;
	size_t len; /* bytes */
	size_t cap; /* bytes */
	size_t max; /* bytes; len never exceeds it */
	bool failed;
};

void buf_init(struct buf *b, size_t max);
void buf_finish(struct buf *b);
void buf_reset(struct buf *b); /* empties, keeps the memory and the maximum */

/*
 * Room for len more bytes, and a terminator, at data + len: who writes there
 * adds to len itself. False: an append of that many would have failed.
 */
bool buf_reserve(struct buf *b, size_t len);

void buf_put(struct buf *b, const void *data, size_t len);
void buf_puts(struct buf *b, const char *s);
void buf_putc(struct buf *b, char c);
void buf_printf(struct buf *b, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/*
 * Appends what fd has, to its end or as much as max allows. 0, or a negative
 * errno.
 */
int buf_read(struct buf *b, int fd);

/* Appends text as a JSON string with its quotes; invalid UTF-8 becomes U+FFFD. */
void buf_json(struct buf *b, const char *text, size_t len);

/* Drops the first n bytes, n <= len. */
void buf_drop(struct buf *b, size_t n);

/* The content as a string, or null when an append had failed. */
const char *buf_cstr(struct buf *b);

/* Hands the content on as a string for free(); null when an append failed. */
char *buf_take(struct buf *b);

#endif
