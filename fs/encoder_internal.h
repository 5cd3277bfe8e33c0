/* SPDX-License-Identifier: MIT */
/*
 * What the encoders of single formats share with fs/encoder.c, which calls
 * them cell by cell. Nothing here is for others.
 */
#ifndef CONNFS_FS_ENCODER_INTERNAL_H
#define CONNFS_FS_ENCODER_INTERNAL_H

#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "common/buf.h"
#include "fs/csv_reader.h"
#include "fs/display.h"
#include "fs/encoder.h"
#include "fs/lanes.h"
#include "fs/object_keys.h"

enum {
	ENCODER_SLICE = 4 * 1024,  /* of a cell: what is escaped at a time */
	ENCODER_STEP = 16 * 1024,  /* of what is drained at a time */
	ENCODER_KEEP = 256 * 1024, /* of a held cell's memory, for the next */
};

#define ENCODER_NULL "NULL" /* in TXT */

/* A format. Functions that have nothing to do may be null, but for piece. */
struct encoder_ops {
	int (*create)(struct encoder *e);
	void (*destroy)(struct encoder *e);
	/* Of the header line, in which nothing is NULL. */
	void (*header)(struct encoder *e, const struct csv_piece *p,
		       struct buf *out);
	void (*begin)(struct encoder *e, struct buf *out); /* header's end */
	void (*row_begin)(struct encoder *e, struct buf *out);
	void (*piece)(struct encoder *e, const struct csv_piece *p,
		      struct buf *out);
	void (*row_end)(struct encoder *e, struct buf *out);
	void (*end)(struct encoder *e, struct buf *out);
	/*
	 * One step more of what is too long to be written at once. They say so
	 * by setting draining, and unset it after the last step.
	 */
	void (*drain)(struct encoder *e, struct buf *out);
};

extern const struct encoder_ops encode_json;
extern const struct encoder_ops encode_jsonl;
extern const struct encoder_ops encode_tsv;
extern const struct encoder_ops encode_txt;

struct encoder {
	const struct encoder_ops *ops;
	const struct format_head *head;
	struct csv_reader reader;
	uint64_t row; /* the one that comes next, or that we are in */
	int rc;       /* sticky */
	bool in_rows; /* the header line is done */
	bool line_ended;
	bool draining;
	/*
	 * The last byte that was taken stays with the caller while there is
	 * something to be drained, so that he comes again.
	 */
	bool owes_byte;

	struct buf held; /* a cell that has to be looked at as a whole */

	/* JSON */
	struct object_keys keys;
	enum db_shape shape; /* of this cell */
	bool as_text;        /* the held one */
	bool cell_ended;
	size_t drained;

	/* TXT */
	struct layout *layout;
	struct display display;
	size_t width;     /* of this cell until here */
	bool too_long;    /* to be held */
	bool wants_blank; /* before its first byte */
	size_t dashes;    /* columns whose part of the line is written */
};

struct layout_column {
	size_t width;
	bool right; /* aligned */
};

struct layout {
	atomic_uint refs;
	struct layout_column cols[];
};

/* The encoder fails: the first reason counts. */
static inline void encoder_fail(struct encoder *e, int rc)
{
	if (e->rc == 0)
		e->rc = rc;
}

/* Room in out for len bytes and a vector; null: not, and nothing is wrong. */
static inline char *encoder_room(struct buf *out, size_t len)
{
	len += LANES;
	if (len < out->cap - out->len && len <= out->max - out->len)
		return out->data + out->len;
	if (len > out->max - out->len || !buf_reserve(out, len))
		return NULL;
	return out->data + out->len;
}

/* What is left of out is too little for a vector more. */
void encoder_put_tight(struct encoder *e, struct buf *out, const char *data,
		       size_t len);

static inline void encoder_put(struct encoder *e, struct buf *out,
			       const char *data, size_t len)
{
	char *to = encoder_room(out, len);

	if (to == NULL) {
		encoder_put_tight(e, out, data, len);
		return;
	}
	memcpy(to, data, len);
	out->len += len;
}

/* The same for what is short and has a vector's worth of memory behind it. */
static inline void encoder_put_short(struct encoder *e, struct buf *out,
				     const char *data, size_t len)
{
	char *to = encoder_room(out, len);

	if (to == NULL) {
		encoder_put_tight(e, out, data, len);
		return;
	}
	for (size_t i = 0; i < len; i += LANES)
		lanes_store(to + i, lanes_load(data + i));
	out->len += len;
}

static inline void encoder_puts(struct encoder *e, struct buf *out,
				const char *text)
{
	encoder_put(e, out, text, strlen(text));
}

/*
 * Bytes that an escape function needs for len bytes of text. It writes to out
 * and returns the byte after it; up to limit the memory behind data can be
 * read.
 */
#define ENCODER_ROOM(len) (6 * (len) + 32)
typedef char *encoder_escape_fn(struct encoder *e, char *out, const char *data,
				size_t len, const char *limit);

/* The same as encoder_escape() where out is nearly full: to the byte. */
void encoder_escape_tight(struct encoder *e, struct buf *out,
			  encoder_escape_fn *escape, const char *data,
			  size_t len, const char *limit);

/* Puts what escape() makes of the text. */
static inline void encoder_escape(struct encoder *e, struct buf *out,
				  encoder_escape_fn *escape, const char *data,
				  size_t len, const char *limit)
{
	while (len > 0) {
		size_t n = len < ENCODER_SLICE ? len : ENCODER_SLICE;
		char *to = encoder_room(out, ENCODER_ROOM(n));

		if (to == NULL) {
			encoder_escape_tight(e, out, escape, data, len, limit);
			return;
		}
		out->len = (size_t)(escape(e, to, data, n, limit) - out->data);
		data += n;
		len -= n;
	}
}

#endif
