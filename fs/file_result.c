/* SPDX-License-Identifier: MIT */
#include "fs/file_result.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "fs/connection.h"
#include "fs/conversation.h"
#include "fs/disk_reader.h"
#include "fs/file.h"
#include "fs/loop.h"
#include "fs/mount.h"
#include "fs/result.h"
#include "fs/script.h"
#include "fs/statement.h"

struct result_handle {
	struct handle handle;
	struct result_handle *next;  /* of the same result */
	struct script *script;       /* counted */
	struct statement *statement; /* counted; may be null */
	struct result *result; /* counted; null: the script has no result set */
	struct spool_reader reader;
	bool attached;
	bool whole; /* in the page cache, where a short answer cuts the file */
	bool unreadable; /* the disk has failed: no fetch helps */
	bool nonblocking;
	bool at_end; /* has been told of the end */
	struct request_list readers;
	struct poll_handle *ph;
	struct loop_timer again; /* see spool_want() */
	struct fetch *fetch;     /* from the disk, while it lasts */
};

/* Outlives the handle when that is closed meanwhile. */
struct fetch {
	struct disk_fetch disk;
	struct result_handle *h; /* null: closed */
	struct spool *spool;     /* counted */
};

static void wake(struct result_handle *h);

static void on_again(struct loop_timer *timer)
{
	wake((struct result_handle *)((char *)timer -
				      offsetof(struct result_handle, again)));
}

static void unpin(struct result_handle *h)
{
	struct result *result = h->result;

	for (struct result_handle **p = &result->handles; *p != NULL;
	     p = &(*p)->next) {
		if (*p == h) {
			*p = h->next;
			break;
		}
	}
	result->n_open--;
	if (h->attached)
		spool_detach(result->spool, &h->reader);
	result_unref(result);
}

static void free_handle(struct result_handle *h)
{
	if (h->result != NULL)
		unpin(h);
	if (h->fetch != NULL)
		h->fetch->h = NULL;
	request_list_fail(&h->readers, ENOTCONN);
	loop_timer_stop(h->handle.mount->loop, &h->again);
	poll_handle_free(h->ph);
	h->script->conv->n_handles--;
	statement_unref(h->statement);
	script_unref(h->script);
	handle_finish(&h->handle);
	free(h);
}

/* Keeps the result set for the handle, whatever comes after it. */
static int pin(struct result_handle *h, struct result *result,
	       struct statement *statement)
{
	struct spool_state state;
	int rc = 0;

	spool_state(result->spool, &state);
	if (!state.finished || state.start > 0)
		rc = spool_attach(result->spool, &h->reader);
	if (rc < 0)
		return rc;
	h->attached = !state.finished;
	h->statement = statement_ref(statement);
	h->result = result_ref(result);
	h->next = result->handles;
	result->handles = h;
	result->n_open++;
	return 0;
}

/* whole: the inode has the size of the finished result. */
static int open_result(struct request *rq, struct script *script,
		       struct result *result, struct statement *statement,
		       bool whole)
{
	struct result_handle *h = calloc(1, sizeof(*h));
	struct open_reply reply = {
		.fh = (uint64_t)(uintptr_t)h,
		.direct_io = !whole,
		.keep_cache = whole,
		.nonseekable = !whole,
	};
	int rc = 0;

	if (h == NULL)
		return -ENOMEM;
	handle_init(&h->handle, &result_ops, script->conv->conn->mount,
		    rq->uid);
	h->script = script_ref(script);
	h->again.run = on_again;
	h->whole = whole;
	h->nonblocking = (rq->flags & O_NONBLOCK) != 0;
	script->conv->n_handles++;
	if (result != NULL)
		rc = pin(h, result, statement);
	if (rc < 0 || !request_opened(rq, &reply))
		free_handle(h);
	return rc;
}

/* The last result set, once the script has got so far. */
static int open_last(struct request *rq, struct script *script)
{
	struct statement *statement;
	struct result *result;
	int rc = script_last_result(script, &result, &statement);

	return rc < 0 ? rc : open_result(rq, script, result, statement, false);
}

static void on_ready(struct request *rq)
{
	int rc = open_last(rq, rq->owner);

	if (rc < 0)
		request_fail(rq, -rc);
}

/* Text the caller itself has written and not ended runs now. */
static void run_open_text(struct conversation *conv,
			  const struct caller *caller)
{
	struct script *next;

	for (struct script *s = conv->open; s != NULL; s = next) {
		next = s->next_open;
		if (s->text.len > 0 && s->writer.self.pid == caller->self.pid)
			(void)script_flush(s, NULL);
	}
}

static bool is_whole(struct result *result, uint64_t *size)
{
	struct spool_state state;

	spool_state(result->spool, &state);
	*size = state.end;
	return state.finished && state.code == 0 && state.start == 0;
}

/* The node's own result set, if this caller's script still has it. */
static int open_pinned(struct request *rq, const struct node *node,
		       struct script *script)
{
	uint64_t size;

	for (size_t i = 0; i < script->n_results; i++) {
		if (script->results[i].result != node->result)
			continue;
		return open_result(rq, script, node->result,
				   script->results[i].statement,
				   is_whole(node->result, &size) &&
					   size == node->size);
	}
	return -ESTALE;
}

static int result_open(struct request *rq, struct mount *m, struct node *node,
		       const struct caller *caller, int flags)
{
	struct conversation *conv = conversation_find(node->conn, caller);
	struct script *script = NULL;
	int rc;

	if ((flags & O_ACCMODE) != O_RDONLY)
		return -EACCES;
	if (conv != NULL) {
		run_open_text(conv, caller);
		script = conversation_pick(conv, caller, false);
	}
	if (script == NULL && node->script_id == 0)
		return -ENODATA;
	if (script == NULL || script->id != node->script_id || node->dropped)
		return -ESTALE;
	rq->flags = flags;
	if (node->result != NULL) {
		struct statement *statement;
		struct result *last;

		rc = script_last_result(script, &last, &statement);
		/* A numbered one stays good; result.csv is the last one. */
		if (node->last && (rc < 0 || last != node->result))
			return -ESTALE;
		return open_pinned(rq, node, script);
	}
	rc = open_last(rq, script);
	if (rc != -EAGAIN || script->rc == -EAGAIN || (flags & O_NONBLOCK) != 0)
		return rc;
	rq->owner = script;
	rq->then = on_ready;
	return script_wait_result(script, rq);
}

/* What the end of the spool means to a reader. */
static int end_code(const struct spool_state *state)
{
	switch (state->code) {
	case 0:
	case ECANCELED:
	case ETIMEDOUT:
		return -state->code;
	default:
		return -EIO; /* the reason stands in `error` */
	}
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
	return 0;
}

/* What rq asks for, and is there, beyond the n bytes of a slice. */
static size_t missing(const struct request *rq, const struct spool_state *state,
		      size_t n)
{
	uint64_t left = state->end - rq->off;

	return (left < rq->size ? (size_t)left : rq->size) - n;
}

/* Answers rq. -EINPROGRESS: there is nothing to answer it with yet. */
static int serve(struct result_handle *h, struct request *rq)
{
	struct spool *spool;
	struct spool_state state;
	struct spool_slice slice;
	ssize_t n;

	if (h->result == NULL) {
		request_data(rq, "", 0);
		return 0;
	}
	spool = h->result->spool;
	spool_state(spool, &state); /* before the bytes: it may end between */
	n = spool_read(spool, rq->off, rq->size, &slice);
	if (n > 0) {
		uint64_t pos = rq->off + (uint64_t)n;
		size_t left = h->whole ? missing(rq, &state, (size_t)n) : 0;

		if (left > 0) {
			spool_slice_release(spool, &slice);
			return serve_all(spool, rq, (size_t)n + left);
		}
		request_pieces(rq, slice.iov, slice.n);
		spool_slice_release(spool, &slice);
		spool_advance(spool, &h->reader, pos);
		return 0;
	}
	if (n == -EAGAIN)
		return -EAGAIN;
	if (n < 0)
		return (int)n;
	if (!state.finished)
		return -EINPROGRESS;
	h->at_end = true;
	if (state.code != 0)
		return end_code(&state);
	request_data(rq, "", 0);
	return 0;
}

static void on_fetched(struct loop_event *event)
{
	struct fetch *f = (struct fetch *)event;

	if (f->h != NULL) {
		f->h->fetch = NULL;
		f->h->unreadable = f->disk.rc < 0;
		wake(f->h);
	}
	spool_unref(f->spool);
	free(f);
}

/* The bytes have to come from the disk first. */
static int fetch(struct result_handle *h, const struct request *rq)
{
	struct fetch *f;
	int rc;

	if (h->unreadable)
		return -EIO;
	if (h->fetch != NULL)
		return 0;
	f = calloc(1, sizeof(*f));
	if (f == NULL)
		return -ENOMEM;
	f->h = h;
	f->spool = spool_ref(h->result->spool);
	f->disk.event.run = on_fetched;
	f->disk.spool = f->spool;
	f->disk.off = rq->off;
	f->disk.size = rq->size;
	rc = disk_reader_fetch(h->handle.mount->disk, &f->disk);
	if (rc < 0) {
		spool_unref(f->spool);
		free(f);
		return rc;
	}
	h->fetch = f;
	return 0;
}

/* Asks to be woken for rq. False when there is something for it already. */
static bool wait_for_rows(struct result_handle *h, uint64_t off)
{
	if (!spool_want(h->result->spool, off))
		return false;
	(void)loop_timer_start(h->handle.mount->loop, &h->again,
			       2 * SPOOL_PACE_MS);
	return true;
}

static void wake(struct result_handle *h)
{
	struct request_list later = {0};
	struct request *rq;

	while ((rq = request_list_take(&h->readers)) != NULL) {
		int rc = serve(h, rq);

		if (rc == -EAGAIN)
			rc = fetch(h, rq) == 0 ? -EAGAIN : -EIO;
		if (rc == -EINPROGRESS && !wait_for_rows(h, rq->off)) {
			request_list_add(&h->readers, rq);
			continue;
		}
		if (rc == -EINPROGRESS || rc == -EAGAIN)
			request_list_add(&later, rq);
		else if (rc < 0)
			request_fail(rq, -rc);
	}
	h->readers = later;
	if (h->ph != NULL)
		poll_handle_notify(&h->ph);
}

void result_wake(struct result *result)
{
	struct result_handle *next;

	for (struct result_handle *h = result->handles; h != NULL; h = next) {
		next = h->next;
		loop_timer_stop(h->handle.mount->loop, &h->again);
		wake(h);
	}
}

static void on_reader_dying(struct request *rq)
{
	struct result_handle *h = rq->owner;

	request_list_remove(&h->readers, rq);
	request_fail(rq, EINTR);
}

static int result_read(struct request *rq, struct handle *handle, uint64_t off)
{
	struct result_handle *h = (struct result_handle *)handle;
	struct request *parked;
	int rc;

	rq->off = off;
	rc = serve(h, rq);
	if (rc != -EINPROGRESS && rc != -EAGAIN)
		return rc;
	if (rc == -EINPROGRESS && h->nonblocking)
		return -EAGAIN;
	parked =
		request_park(h->handle.mount->requests, rq, on_reader_dying, h);
	if (parked == NULL)
		return -ENOMEM;
	request_list_add(&h->readers, parked);
	wake(h);
	return 0;
}

static unsigned result_poll(struct handle *handle, struct poll_handle *ph)
{
	struct result_handle *h = (struct result_handle *)handle;
	struct spool_state state = {.finished = true};

	if (h->result != NULL)
		spool_state(h->result->spool, &state);
	if (ph != NULL) {
		poll_handle_free(h->ph);
		h->ph = ph;
	}
	if (state.finished || state.end > h->reader.pos)
		return POLLIN | POLLRDNORM;
	if (!wait_for_rows(h, h->reader.pos))
		return POLLIN | POLLRDNORM;
	return 0;
}

static void result_release(struct handle *handle)
{
	struct result_handle *h = (struct result_handle *)handle;
	struct script *script = script_ref(h->script);
	struct result *result =
		h->result != NULL ? result_ref(h->result) : NULL;
	bool early = !h->at_end;

	free_handle(h);
	if (result != NULL)
		script_reader_left(script, result, early);
	result_unref(result);
	script_unref(script);
}

const struct file_ops result_ops = {
	.open = result_open,
	.read = result_read,
	.poll = result_poll,
	.release = result_release,
};

/* The inode that shows the result already; size 0: while it runs. */
static struct node *find_node(const struct result *result, uint64_t size,
			      bool last)
{
	struct node *node = result->nodes;

	while (node != NULL && (node->size != size || node->last != last))
		node = node->result_next;
	return node;
}

/* A node of script; of one result set, if it is not to be the last one. */
static int make_node(struct node **out, const struct view *v,
		     struct script *script, struct result *result, bool last)
{
	struct node *node;
	uint64_t size = 0;
	bool whole = result != NULL && is_whole(result, &size);

	if (!whole)
		size = 0;
	if (!whole && script != NULL && script->rc == 0 &&
	    (result != NULL || script->running || script->pending != NULL) &&
	    caller_trusts_size(v->caller))
		return -EAGAIN; /* it would take it for empty */
	/* cp and install compare the inode of stat() with the one they open. */
	*out = result != NULL ? find_node(result, size, last) : NULL;
	if (*out != NULL)
		return 0;
	node = node_create(v->mount->nodes, &result_ops, S_IFREG | 0444);
	if (node == NULL)
		return -ENOMEM;
	node->conn = connection_ref(v->conn);
	node->last = last;
	if (script != NULL)
		node->script_id = script->id;
	if (result != NULL) {
		node_set_result(node, result);
		node->mtime_ms = result->statement->created_wall;
	} else if (script != NULL && script->current != NULL) {
		node->mtime_ms = script->current->created_wall;
	}
	node->size = size;
	*out = node;
	return 0;
}

int result_make_last(struct node **out, const struct view *v,
		     const struct entry *e)
{
	struct script *script = NULL;
	struct statement *statement;
	struct result *result = NULL;

	(void)e;
	if (v->conv != NULL)
		script = conversation_pick(v->conv, v->caller, false);
	if (script != NULL &&
	    script_last_result(script, &result, &statement) < 0)
		result = NULL;
	return make_node(out, v, script, result, true);
}

int result_make_number(struct node **out, const struct view *v, uint64_t n)
{
	struct script *script = NULL;
	struct statement *statement;
	struct result *result = NULL;

	if (v->conv != NULL)
		script = conversation_pick(v->conv, v->caller, false);
	if (script != NULL)
		result = script_result(script, n, &statement);
	if (result == NULL)
		return -ENOENT;
	return make_node(out, v, script, result, false);
}
