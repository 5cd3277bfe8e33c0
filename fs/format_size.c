/* SPDX-License-Identifier: MIT */
#include "fs/format_size.h"

#include <errno.h>
#include <stdlib.h>

#include "common/buf.h"
#include "fs/format_cursor.h"
#include "fs/format_index.h"
#include "fs/jobs.h"
#include "fs/mount.h"
#include "fs/result.h"

enum {
	AT_ONCE = 256 * 1024,          /* of CSV, on the loop */
	AT_ONCE_OUT = 4 * 1024 * 1024, /* that may come of it */
	PIECE = 256 * 1024,
	MAX_OUT = 1024 * 1024 * 1024, /* of one piece, with a large cell */
};

/* Makes all of it for nothing but its size, which the cursor publishes. */
struct counting {
	struct job job;
	struct mount *mount;
	struct result *result; /* counted */
	enum format format;
	struct format_cursor *cursor;
	struct buf out;
	int rc;
};

/* True when it got to the end. */
static bool count_at_once(struct result *result, enum format format)
{
	struct format_cursor *c = format_cursor_create(result, format);
	struct buf out;
	int rc = c != NULL ? FORMAT_MORE : -ENOMEM;

	buf_init(&out, AT_ONCE_OUT);
	while (rc == FORMAT_MORE && out.len < AT_ONCE_OUT)
		rc = format_cursor_fill(c, &out, AT_ONCE_OUT);
	buf_finish(&out);
	format_cursor_destroy(c);
	return rc == FORMAT_END;
}

bool format_size_known(struct result *result, enum format format,
		       uint64_t *size)
{
	struct format_index *index = result->index;
	struct spool_state state;

	if (format_index_size(index, format, size))
		return true;
	spool_state(result->spool, &state);
	if (state.end > AT_ONCE ||
	    !format_index_claim(index, format, FORMAT_AT_ONCE))
		return false;
	/* Unless it was short enough, this is not tried again. */
	return count_at_once(result, format) &&
	       format_index_size(index, format, size);
}

static void free_counting(struct counting *n)
{
	format_index_unclaim(n->result->index, n->format, FORMAT_IN_TURN);
	format_cursor_destroy(n->cursor);
	result_unref(n->result);
	buf_finish(&n->out);
	free(n);
}

/* The encoding thread. */
static void count(struct job *job)
{
	struct counting *n = (struct counting *)job;

	buf_reset(&n->out);
	n->rc = format_cursor_fill(n->cursor, &n->out, PIECE);
	if (n->rc == -EAGAIN)
		n->rc = format_cursor_fetch(n->cursor);
}

static void on_counted(struct loop_event *event)
{
	struct counting *n = (struct counting *)event;

	/* Others have their turn; and nobody else may hold it any more. */
	if (n->rc != FORMAT_MORE || n->mount->ending ||
	    atomic_load(&n->result->refs) == 1 ||
	    jobs_add(n->mount->encoding, &n->job) < 0)
		free_counting(n);
}

void format_size_learn(struct mount *m, struct result *result,
		       enum format format)
{
	struct counting *n;

	if (!format_index_claim(result->index, format, FORMAT_IN_TURN))
		return;
	n = calloc(1, sizeof(*n));
	if (n == NULL) {
		format_index_unclaim(result->index, format, FORMAT_IN_TURN);
		return;
	}
	n->job.work = count;
	n->job.event.run = on_counted;
	n->mount = m;
	n->result = result_ref(result);
	n->format = format;
	n->cursor = format_cursor_create(result, format);
	buf_init(&n->out, MAX_OUT);
	if (n->cursor == NULL || jobs_add(m->encoding, &n->job) < 0)
		free_counting(n);
}
