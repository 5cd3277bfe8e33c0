/* SPDX-License-Identifier: MIT */
#include "fs/format_reader.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>

#include "common/cleanup.h"
#include "fs/jobs.h"
#include "fs/mount.h"
#include "fs/result.h"

enum {
	PIECE = 256 * 1024,      /* encoded by one job */
	SMALL_PIECE = 64 * 1024, /* when readers together hold too much */
	AHEAD = 512 * 1024,      /* of the reader */
	BEHIND = 256 * 1024, /* kept for the page cache, which may go back */
	SLACK = 128 * 1024,  /* what has been read goes in such pieces */
	MAX_HELD = 32 * 1024 * 1024, /* by all readers that are ahead */
	MAX_OUT = 1024 * 1024 * 1024,
	MAX_FETCHES = 8, /* of one job */
};

/* Outlives the reader when that is finished while the job runs. */
struct format_work {
	struct job job;
	struct format_reader *f; /* null: finished */
	bool running;
	struct result *result; /* counted */
	struct format_cursor *cursor;
	uint64_t from; /* the offset that is wanted */
	size_t want;
	/* What has come of it. */
	struct buf out;
	uint64_t off; /* of its first byte */
	struct format_needs needs;
	int rc;
};

static size_t held; /* bytes in all that are ready; thread of the loop */

static struct format_reader *of_reader(struct result_reader *r)
{
	return (struct format_reader *)((char *)r -
					offsetof(struct format_reader, base));
}

static uint64_t end_of(const struct format_reader *f)
{
	return f->off + f->ready.len;
}

/* ---- the job ---- */

/* The encoding thread. */
static void encode(struct job *job)
{
	struct format_work *w = (struct format_work *)job;

	w->off = format_cursor_seek(w->cursor, w->from);
	for (int i = 0; i < MAX_FETCHES; i++) {
		w->rc = format_cursor_fill(w->cursor, &w->out, w->want);
		if (w->rc != -EAGAIN)
			break;
		w->rc = format_cursor_fetch(w->cursor);
		if (w->rc < 0)
			break;
	}
	format_cursor_needs(w->cursor, &w->needs);
}

static void free_work(struct format_work *w)
{
	if (w == NULL)
		return;
	format_cursor_destroy(w->cursor);
	buf_finish(&w->out);
	result_unref(w->result);
	free(w);
}

static void append_output(struct format_reader *f, struct format_work *w)
{
	held -= f->ready.len;
	buf_put(&f->ready, w->out.data, w->out.len);
	held += f->ready.len;
	if (f->ready.failed)
		w->rc = -ENOMEM;
	buf_reset(&w->out);
}

/* What the job has made comes after what is ready, or in its place. */
static void take_output(struct format_reader *f, struct format_work *w)
{
	uint64_t end = end_of(f);
	struct buf spare = f->ready;

	if (w->off == end && w->from == end && f->ready.len > 0) {
		append_output(f, w);
		return;
	}
	held -= f->ready.len;
	buf_reset(&spare);
	f->ready = w->out;
	f->off = w->off;
	w->out = spare;
	/* All of it lies before what was asked for: on the way there. */
	if (end_of(f) <= w->from) {
		f->off = end_of(f);
		buf_reset(&f->ready);
	}
	held += f->ready.len;
}

static void go_ahead(struct format_reader *f);

static void on_encoded(struct loop_event *event)
{
	struct format_work *w = (struct format_work *)event;
	struct format_reader *f = w->f;

	w->running = false;
	if (f == NULL) {
		free_work(w);
		return;
	}
	take_output(f, w);
	f->needs = w->needs;
	f->dry = w->rc == FORMAT_DRY;
	f->ended = w->rc == FORMAT_END || w->rc < 0;
	f->code = w->rc < 0 ? w->rc : 0;
	spool_advance(w->result->spool, &f->base.place, f->needs.from);
	result_reader_wake(&f->base);
	go_ahead(f);
}

/* There is something to be made of. False: the reader is told when. */
static bool is_more(struct format_reader *f)
{
	struct spool_state state;

	if (!result_reader_want(&f->base, f->base.result, f->needs.beyond))
		return true;
	if (!f->needs.or_full_spool)
		return false;
	spool_state(f->base.result->spool, &state);
	return state.full;
}

/* Has what stands at `from` made. RESULT_AWAITED, or a negative errno. */
static int start(struct format_reader *f, uint64_t from)
{
	struct format_work *w = f->work;
	int rc;

	if (w->running || (f->dry && from >= end_of(f) && !is_more(f)))
		return RESULT_AWAITED;
	w->from = from;
	w->want = held < MAX_HELD ? PIECE : SMALL_PIECE;
	buf_reset(&w->out);
	rc = jobs_add(f->base.mount->encoding, &w->job);
	if (rc < 0)
		return rc;
	w->running = true;
	return RESULT_AWAITED;
}

/* Encodes on while the reader is busy with what it has. */
static void go_ahead(struct format_reader *f)
{
	if (f->work == NULL || f->dry || f->ended || !f->in_order ||
	    f->base.waiting.first != NULL || held >= MAX_HELD ||
	    end_of(f) - f->next >= AHEAD)
		return;
	(void)start(f, end_of(f));
}

/* ---- the READs ---- */

/* Lets go of what has been read, in pieces: what remains is moved. */
static void trim(struct format_reader *f)
{
	uint64_t keep = f->base.whole ? BEHIND : 0;
	size_t old =
		f->next > f->off + keep ? (size_t)(f->next - f->off - keep) : 0;

	if (old == f->ready.len && f->work != NULL && f->dry) {
		/* It waits for rows: perhaps for long. */
		held -= f->ready.len;
		buf_finish(&f->ready);
	} else if (old >= SLACK || old == f->ready.len) {
		held -= old;
		buf_drop(&f->ready, old);
	} else {
		return;
	}
	f->off += old;
}

static int answer(struct format_reader *f, struct request *rq)
{
	size_t skip = (size_t)(rq->off - f->off);
	size_t n = f->ready.len - skip;

	if (n > rq->size)
		n = rq->size;
	f->in_order = rq->off == f->next;
	f->next = rq->off + n;
	request_data(rq, f->ready.data + skip, n);
	trim(f);
	return RESULT_ANSWERED;
}

/* In the page cache a short answer is the end of the file. */
static bool is_enough(const struct format_reader *f, const struct request *rq)
{
	return !f->base.whole || end_of(f) - rq->off >= rq->size ||
	       (f->ended && f->code == 0);
}

static int serve(struct result_reader *r, struct request *rq)
{
	struct format_reader *f = of_reader(r);
	uint64_t end = end_of(f);
	bool here = rq->off >= f->off && rq->off < end;

	if (here && is_enough(f, rq))
		return answer(f, rq);
	if (f->work == NULL || (f->ended && rq->off >= f->off)) {
		f->at_end = true;
		if (f->code == 0)
			request_data(rq, "", 0);
		return f->code;
	}
	return start(f, here ? end : rq->off);
}

static const struct result_reader_ops reader_ops = {.serve = serve};

int format_reader_read(struct format_reader *f, struct request *rq,
		       bool nonblocking)
{
	int rc =
		result_reader_read(&f->base, rq, nonblocking && !f->base.whole);

	go_ahead(f);
	return rc;
}

bool format_reader_ready(struct format_reader *f)
{
	bool here = f->next >= f->off && f->next < end_of(f);

	if (f->work == NULL || f->base.whole || here || f->ended)
		return true;
	return start(f, f->next) < 0;
}

void format_reader_init(struct format_reader *f, struct mount *m,
			enum format format)
{
	*f = (struct format_reader){.format = format, .in_order = true};
	result_reader_init(&f->base, &reader_ops, m);
	buf_init(&f->ready, MAX_OUT);
}

int format_reader_pin(struct format_reader *f, struct result *result,
		      struct statement *statement)
{
	struct format_work *w = calloc(1, sizeof(*w));
	int rc = -ENOMEM;

	if (w == NULL)
		return -ENOMEM;
	buf_init(&w->out, MAX_OUT);
	w->job.work = encode;
	w->job.event.run = on_encoded;
	w->f = f;
	w->result = result_ref(result);
	w->cursor = format_cursor_create(result, f->format);
	if (w->cursor != NULL)
		rc = result_reader_pin(&f->base, result, statement);
	if (rc < 0)
		free_work(w);
	else
		f->work = w;
	return rc;
}

void format_reader_finish(struct format_reader *f)
{
	struct format_work *w = take_ptr(f->work);

	result_reader_finish(&f->base);
	held -= f->ready.len;
	buf_finish(&f->ready);
	if (w == NULL)
		return;
	w->f = NULL;
	if (!w->running)
		free_work(w);
}
