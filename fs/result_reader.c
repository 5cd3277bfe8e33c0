/* SPDX-License-Identifier: MIT */
#include "fs/result_reader.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "fs/jobs.h"
#include "fs/mount.h"
#include "fs/result.h"
#include "fs/statement.h"

/* Outlives the reader when that is finished meanwhile. */
struct result_fetch {
	struct job job;
	struct result_reader *r; /* null: finished, or at another result */
	struct spool *spool;     /* counted */
	uint64_t off;
	size_t size;
	int rc;
};

static void on_again(struct loop_timer *timer)
{
	result_reader_wake((
		struct result_reader *)((char *)timer -
					offsetof(struct result_reader, again)));
}

void result_reader_init(struct result_reader *r,
			const struct result_reader_ops *ops, struct mount *m)
{
	*r = (struct result_reader){.ops = ops, .mount = m};
	r->again.run = on_again;
}

void result_reader_unpin(struct result_reader *r)
{
	struct result *result = r->result;

	if (result == NULL)
		return;
	for (struct result_reader **p = &result->readers; *p != NULL;
	     p = &(*p)->next) {
		if (*p == r) {
			*p = r->next;
			break;
		}
	}
	result->n_open--;
	if (r->attached)
		spool_detach(result->spool, &r->place);
	if (r->fetch != NULL)
		r->fetch->r = NULL;
	r->fetch = NULL;
	r->unreadable = false;
	r->result = NULL;
	statement_unref(r->statement);
	r->statement = NULL;
	result_unref(result);
}

void result_reader_finish(struct result_reader *r)
{
	result_reader_unpin(r);
	request_list_fail(&r->waiting, ENOTCONN);
	loop_timer_stop(r->mount->loop, &r->again);
	poll_handle_free(r->ph);
}

int result_reader_pin(struct result_reader *r, struct result *result,
		      struct statement *statement)
{
	struct spool_state state;
	int rc = 0;

	r->place = (struct spool_reader){0};
	spool_state(result->spool, &state);
	if (!state.finished || state.start > 0)
		rc = spool_attach(result->spool, &r->place);
	if (rc < 0)
		return rc;
	r->attached = !state.finished;
	r->statement = statement_ref(statement);
	r->result = result_ref(result);
	r->next = result->readers;
	result->readers = r;
	result->n_open++;
	return 0;
}

int result_reader_end(const struct result_reader *r)
{
	return result_end(r->result);
}

/*
 * All that rq asks for of a finished result, which lies in more pieces than
 * one slice has or is not all in the page cache: the kernel takes a short
 * answer for the end of the file, and cuts it there.
 */
static int serve_all(struct spool *spool, struct request *rq, size_t size)
{
	auto_free char *data = malloc(size);
	struct spool_slice slice;
	size_t done = 0;

	if (data == NULL)
		return -ENOMEM;
	while (done < size) {
		ssize_t n =
			spool_read(spool, rq->off + done, size - done, &slice);

		if (n == -EAGAIN)
			return RESULT_ON_DISK;
		if (n < 0)
			return (int)n;
		if (n == 0)
			return -EIO;
		for (int i = 0; i < slice.n; i++) {
			memcpy(data + done, slice.iov[i].iov_base,
			       slice.iov[i].iov_len);
			done += slice.iov[i].iov_len;
		}
		spool_slice_release(spool, &slice);
	}
	request_data(rq, data, size);
	return RESULT_ANSWERED;
}

/* What rq asks for, and is there, beyond the n bytes of a slice. */
static size_t missing(const struct request *rq, const struct spool_state *state,
		      size_t n)
{
	uint64_t left = state->end - rq->off;

	return (left < rq->size ? (size_t)left : rq->size) - n;
}

int result_reader_serve(struct result_reader *r, struct request *rq)
{
	struct spool *spool = r->result->spool;
	struct spool_state state;
	struct spool_slice slice;
	ssize_t n;

	spool_state(spool, &state); /* before the bytes: it may end between */
	n = spool_read(spool, rq->off, rq->size, &slice);
	if (n > 0) {
		uint64_t pos = rq->off + (uint64_t)n;
		size_t left = r->whole ? missing(rq, &state, (size_t)n) : 0;

		if (left > 0) {
			spool_slice_release(spool, &slice);
			return serve_all(spool, rq, (size_t)n + left);
		}
		request_pieces(rq, slice.iov, slice.n);
		spool_slice_release(spool, &slice);
		spool_advance(spool, &r->place, pos);
		return RESULT_ANSWERED;
	}
	if (n == -EAGAIN)
		return RESULT_ON_DISK;
	if (n < 0)
		return (int)n;
	return state.finished ? RESULT_END : RESULT_LATER;
}

static void fetch_bytes(struct job *job)
{
	struct result_fetch *f = (struct result_fetch *)job;

	f->rc = spool_fetch(f->spool, f->off, f->size);
}

static void on_fetched(struct loop_event *event)
{
	struct result_fetch *f = (struct result_fetch *)event;

	if (f->r != NULL) {
		f->r->fetch = NULL;
		f->r->unreadable = f->rc < 0;
		result_reader_wake(f->r);
	}
	spool_unref(f->spool);
	free(f);
}

/* The bytes have to come from the disk first. */
static int fetch(struct result_reader *r, const struct request *rq)
{
	struct result_fetch *f;
	int rc;

	if (r->unreadable)
		return -EIO;
	if (r->fetch != NULL)
		return 0;
	f = calloc(1, sizeof(*f));
	if (f == NULL)
		return -ENOMEM;
	f->r = r;
	f->spool = spool_ref(r->result->spool);
	f->job.event.run = on_fetched;
	f->job.work = fetch_bytes;
	f->off = rq->off;
	f->size = rq->size;
	rc = jobs_add(r->mount->disk, &f->job);
	if (rc < 0) {
		spool_unref(f->spool);
		free(f);
		return rc;
	}
	r->fetch = f;
	return 0;
}

bool result_reader_want(struct result_reader *r, struct result *result,
			uint64_t off)
{
	if (!spool_want(result->spool, off))
		return false;
	(void)loop_timer_start(r->mount->loop, &r->again, 2 * SPOOL_PACE_MS);
	return true;
}

void result_reader_wake(struct result_reader *r)
{
	struct request_list later = {0};
	struct request *rq;

	while ((rq = request_list_take(&r->waiting)) != NULL) {
		int rc = r->ops->serve(r, rq);

		if (rc == RESULT_ON_DISK && fetch(r, rq) < 0)
			rc = -EIO;
		if (rc == RESULT_LATER && r->result != NULL &&
		    !result_reader_want(r, r->result, rq->off)) {
			request_list_add(&r->waiting, rq);
			continue;
		}
		if (rc > 0)
			request_list_add(&later, rq);
		else if (rc < 0)
			request_fail(rq, -rc);
	}
	r->waiting = later;
	if (r->ph != NULL)
		poll_handle_notify(&r->ph);
}

void result_wake(struct result *result)
{
	struct result_reader *next;

	for (struct result_reader *r = result->readers; r != NULL; r = next) {
		next = r->next;
		loop_timer_stop(r->mount->loop, &r->again);
		result_reader_wake(r);
	}
}

static void on_dying(struct request *rq)
{
	struct result_reader *r = rq->owner;

	request_list_remove(&r->waiting, rq);
	request_fail(rq, EINTR);
	if (r->ops->left != NULL)
		r->ops->left(r);
}

int result_reader_read(struct result_reader *r, struct request *rq,
		       bool nonblocking)
{
	struct request *parked;
	int rc;

	/* Who polls instead of waiting is told, also without a new poll. */
	do {
		rc = r->ops->serve(r, rq);
	} while (rc == RESULT_LATER && nonblocking && r->result != NULL &&
		 !result_reader_want(r, r->result, rq->off));
	if (rc <= 0)
		return rc;
	if ((rc == RESULT_LATER || rc == RESULT_AWAITED) && nonblocking)
		return -EAGAIN;
	parked = request_park(r->mount->requests, rq, on_dying, r);
	if (parked == NULL)
		return -ENOMEM;
	request_list_add(&r->waiting, parked);
	result_reader_wake(r);
	return 0;
}

void result_reader_poll(struct result_reader *r, struct poll_handle *ph)
{
	if (ph == NULL)
		return;
	poll_handle_free(r->ph);
	r->ph = ph;
}
