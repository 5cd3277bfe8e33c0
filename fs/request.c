/* SPDX-License-Identifier: MIT */
#include "fs/request.h"

#include <errno.h>
#include <stdlib.h>

#define FUSE_USE_VERSION 314
#include <fuse_lowlevel.h>

#include "fs/loop.h"
#include "fs/ops_init.h"
#include "fs/procstat.h"

enum { LOOK_AGAIN_MS = 100 };

struct request_table {
	struct loop *loop;
	struct request *all;
	struct loop_timer timer;
	bool check; /* somebody was interrupted since the last look */
};

static void on_timer(struct loop_timer *timer)
{
	struct request_table *table =
		(struct request_table *)((char *)timer -
					 offsetof(struct request_table, timer));

	table->check = true;
}

struct request_table *request_table_create(struct loop *loop)
{
	struct request_table *table = calloc(1, sizeof(*table));

	if (table != NULL) {
		table->loop = loop;
		table->timer.run = on_timer;
	}
	return table;
}

void request_table_destroy(struct request_table *table)
{
	if (table == NULL)
		return;
	loop_timer_stop(table->loop, &table->timer);
	free(table);
}

/*
 * Runs inside libfuse, with its lock on the request held when the interrupt
 * came first: an answer from here would free what it still uses.
 */
static void on_interrupt(fuse_req_t req, void *data)
{
	struct request *rq = data;

	(void)req;
	rq->interrupted = true;
	rq->table->check = true;
}

/* The first of the list whose caller is to be told that it is ending. */
static struct request *next_dying(struct request_table *table, bool *more)
{
	*more = false;
	for (struct request *rq = table->all; rq != NULL; rq = rq->all_next) {
		struct procstat stat;

		if (!rq->interrupted || rq->dying)
			continue;
		if (procstat_read(&stat, rq->tid) < 0 || stat.dying) {
			rq->dying = true;
			return rq;
		}
		*more = true;
	}
	return NULL;
}

void request_table_check(struct request_table *table)
{
	struct request *rq;
	bool more;

	if (!table->check)
		return;
	table->check = false;
	/* on_dying may answer any request: begin anew after each. */
	while ((rq = next_dying(table, &more)) != NULL)
		rq->on_dying(rq);
	if (more)
		(void)loop_timer_start(table->loop, &table->timer,
				       LOOK_AGAIN_MS);
}

void request_table_fail_all(struct request_table *table, int code)
{
	for (struct request *rq = table->all; rq != NULL; rq = rq->all_next) {
		fuse_req_interrupt_func(rq->req, NULL, NULL);
		(void)fuse_reply_err(rq->req, code);
		rq->req = NULL; /* its owner frees it */
	}
}

struct request *request_park(struct request_table *table,
			     const struct request *rq, request_fn on_dying,
			     void *owner)
{
	struct request *copy = malloc(sizeof(*copy));

	if (copy == NULL)
		return NULL;
	*copy = *rq;
	copy->fi = NULL;
	copy->table = table;
	copy->parked = true;
	copy->on_dying = on_dying;
	copy->owner = owner;
	copy->next = NULL;
	copy->all_prev = NULL;
	copy->all_next = table->all;
	if (table->all != NULL)
		table->all->all_prev = copy;
	table->all = copy;
	fuse_req_interrupt_func(copy->req, on_interrupt, copy);
	return copy;
}

/* Before the answer: libfuse must not call back any more. */
static void unpark(struct request *rq)
{
	if (!rq->parked)
		return;
	if (rq->req != NULL)
		fuse_req_interrupt_func(rq->req, NULL, NULL);
	if (rq->all_prev != NULL)
		rq->all_prev->all_next = rq->all_next;
	else
		rq->table->all = rq->all_next;
	if (rq->all_next != NULL)
		rq->all_next->all_prev = rq->all_prev;
}

static void forget(struct request *rq)
{
	if (rq->parked)
		free(rq);
}

void request_fail(struct request *rq, int code)
{
	unpark(rq);
	if (rq->req != NULL)
		(void)fuse_reply_err(rq->req, code);
	forget(rq);
}

void request_wrote(struct request *rq)
{
	unpark(rq);
	if (rq->req != NULL)
		(void)fuse_reply_write(rq->req, rq->size);
	forget(rq);
}

void request_data(struct request *rq, const void *data, size_t len)
{
	unpark(rq);
	if (rq->req != NULL)
		(void)fuse_reply_buf(rq->req, data, len);
	forget(rq);
}

void request_pieces(struct request *rq, const struct iovec *iov, int n)
{
	unpark(rq);
	if (rq->req != NULL)
		(void)fuse_reply_iov(rq->req, iov, n);
	forget(rq);
}

bool request_opened(struct request *rq, const struct open_reply *reply)
{
	struct fuse_file_info fi = {
		.fh = reply->fh,
		.direct_io = reply->direct_io,
		.keep_cache = reply->keep_cache,
		.nonseekable = reply->nonseekable,
	};
	bool opened = false;

	unpark(rq);
	if (rq->req != NULL) {
		ops_open_stream(reply->stream);
		opened = fuse_reply_open(rq->req, &fi) == 0;
		ops_open_stream(false);
	}
	forget(rq);
	return opened;
}

/*
 * libfuse's own struct behind an opaque name: a pointer to it is all there is.
 */
struct poll_handle *poll_handle_create(struct fuse_pollhandle *ph)
{
	return (struct poll_handle *)ph;
}

void poll_handle_free(struct poll_handle *ph)
{
	if (ph != NULL)
		fuse_pollhandle_destroy((struct fuse_pollhandle *)ph);
}

void poll_handle_notify(struct poll_handle **ph)
{
	(void)fuse_lowlevel_notify_poll((struct fuse_pollhandle *)*ph);
	poll_handle_free(*ph);
	*ph = NULL;
}

void request_list_add(struct request_list *list, struct request *rq)
{
	if (list->first == NULL)
		list->last = &list->first;
	rq->next = NULL;
	*list->last = rq;
	list->last = &rq->next;
}

void request_list_remove(struct request_list *list, struct request *rq)
{
	for (struct request **p = &list->first; *p != NULL; p = &(*p)->next) {
		if (*p != rq)
			continue;
		*p = rq->next;
		if (*p == NULL)
			list->last = p;
		return;
	}
}

struct request *request_list_take(struct request_list *list)
{
	struct request *rq = list->first;

	if (rq != NULL)
		request_list_remove(list, rq);
	return rq;
}

void request_list_fail(struct request_list *list, int code)
{
	struct request *rq;

	while ((rq = request_list_take(list)) != NULL)
		request_fail(rq, code);
}
