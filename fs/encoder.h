/* SPDX-License-Identifier: MIT */
/*
 * Makes another format of the CSV that connfs writes (fs/csv.h: header line,
 * LF, NULL is empty, the empty string is ""). Takes the text in pieces of any
 * size, holds one cell at most, and gives the same bytes whatever the pieces
 * were. Pure: one thread at a time, no I/O.
 *
 *     encoder_create -> [ encoder_feed ... ] -> encoder_end -> encoder_destroy
 *
 * Rows are counted from 0; the header line is none.
 */
#ifndef CONNFS_FS_ENCODER_H
#define CONNFS_FS_ENCODER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fs/format.h"

struct buf;
struct encoder;
struct layout;

/*
 * head is borrowed for the encoder's life. layout: of FORMAT_TXT, which it
 * counts; null for the others. Not FORMAT_CSV. Null: no memory.
 */
struct encoder *encoder_create(enum format format,
			       const struct format_head *head,
			       struct layout *layout);
void encoder_destroy(struct encoder *e); /* null is allowed */

/*
 * Takes CSV from *data, which it moves along with *len, and appends to out,
 * until all is taken or out holds want bytes or more. It stops soon after: at
 * the end of the row, or of 16 KiB and the piece of a cell they end in. While
 * something is still to be written of what was taken, a byte is left: so when
 * nothing is left, all is written that can be. 0, or -ENOMEM, -EILSEQ: this is
 * not such CSV, -EFBIG: out's limit; they last until encoder_resume().
 */
int encoder_feed(struct encoder *e, const char **data, size_t *len,
		 struct buf *out, size_t want);

/* All has been fed: what stands behind the last row. As above. */
int encoder_end(struct encoder *e, struct buf *out);

/*
 * True between two rows, and between the header line and the first: the
 * encoder could go on from here with encoder_resume(). *row: the next one, set
 * in any case.
 */
bool encoder_at_row(const struct encoder *e, uint64_t *row);

/*
 * From here on it is fed the CSV from the beginning of that row, as if it had
 * had all before; the header and what stands before row 0 are not written
 * again.
 */
void encoder_resume(struct encoder *e, uint64_t row);

/*
 * How wide the columns of FORMAT_TXT are: by their names and the first
 * LAYOUT_ROWS rows, as far as those are within the first LAYOUT_BYTES of CSV;
 * no wider than LAYOUT_MAX_WIDTH, or one long text would fill every row with
 * blanks. A layout is counted, fixed once made, for any thread.
 */
enum {
	LAYOUT_ROWS = 1000,
	LAYOUT_BYTES = 4 * 1024 * 1024,
	LAYOUT_MAX_WIDTH = 500,
};
struct layout_maker;

struct layout_maker *layout_maker_create(const struct format_head *head);
void layout_maker_destroy(struct layout_maker *m); /* null is allowed */

/* Looks at more CSV from its beginning. 1: that was enough; 0, -EILSEQ. */
int layout_maker_feed(struct layout_maker *m, const char *data, size_t len);

/* Of what it has seen. Null: no memory. */
struct layout *layout_maker_finish(struct layout_maker *m);

struct layout *layout_ref(struct layout *layout); /* any thread */
void layout_unref(struct layout *layout);         /* null is allowed */

#endif
