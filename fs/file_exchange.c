/* SPDX-License-Identifier: MIT */
#include "fs/file_exchange.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>

#include "common/err.h"
#include "fs/config.h"
#include "fs/connection.h"
#include "fs/conversation.h"
#include "fs/file.h"
#include "fs/flusher.h"
#include "fs/mount.h"
#include "fs/report.h"
#include "fs/result.h"
#include "fs/result_reader.h"
#include "fs/script.h"
#include "fs/statement.h"

/*
 * Text goes to a script of its own from one WRITE that completes a statement
 * to the next, so that a failure ends what came with it and no more.
 */
struct exchange {
	struct handle handle;
	struct node *node;         /* the kernel keeps it while it is open */
	struct conversation *conv; /* counted */
	struct caller opener;
	struct script *text; /* takes the next text; counted */
	bool spent;          /* it has been run: the next text begins anew */

	struct script *source; /* whose rows are read; counted; may be null */
	uint64_t n_set;        /* the result set that is read or is next */
	struct result_reader reader;
	bool told;              /* a READ has been told that it failed */
	struct script *refused; /* since, by EBUSY; counted; may be null */

	/* A request that waits for what runs without being replaceable. */
	struct request_list held;
	struct loop_timer held_timer;
};

static struct exchange *of_reader(struct result_reader *r)
{
	return (struct exchange *)((char *)r -
				   offsetof(struct exchange, reader));
}

static struct exchange *of_held_timer(struct loop_timer *timer)
{
	return (struct exchange *)((char *)timer -
				   offsetof(struct exchange, held_timer));
}

static bool is_busy(const struct script *script)
{
	return script != NULL &&
	       (script->running || script->pending != NULL || script->held);
}

/* ---- the rows ---- */

enum next_set {
	SET_NONE,  /* nothing will come of what was sent */
	SET_THERE, /* pinned, or *out is to be */
	SET_LATER,
	SET_GONE,   /* let go, as more than SCRIPT_MAX_RESULTS came after */
	SET_FAILED, /* nobody has been told of the failure */
};

/* Rows of a statement whose failure was the answer of its WRITE are none. */
static bool is_void(const struct exchange *x, struct statement *s)
{
	const struct script *script = x->source;

	return s == script->current && !script->running && script->rc < 0 &&
	       (script->told || !statement_has_row(s));
}

/* What is to be read next. */
static enum next_set look(const struct exchange *x, struct result **out,
			  struct statement **statement)
{
	struct script *script = x->source;
	bool failed;

	if (x->reader.result != NULL)
		return SET_THERE;
	if (script == NULL)
		return SET_NONE;
	if (x->n_set < script->first_result)
		return SET_GONE;
	*out = script_result(script, x->n_set, statement);
	if (*out != NULL && !is_void(x, *statement) &&
	    (*statement != script->current || !script->running ||
	     statement_has_row(*statement)))
		return SET_THERE;
	if (is_busy(script))
		return SET_LATER;
	failed = script->rc < 0 && !script->told && !x->told;
	return failed ? SET_FAILED : SET_NONE;
}

/* Has the exchange told when there is something to look at. False: now. */
static bool want(struct exchange *x)
{
	struct script *script = x->source;
	struct result *result = x->reader.result;

	if (result != NULL)
		return result_reader_want(&x->reader, result,
					  x->reader.place.pos);
	/* Before its first row; the rest is told by on_progress(). */
	if (script->running && script->n_collected > 0) {
		result = script->results[script->n_results - 1].result;
		(void)result_reader_want(&x->reader, result, UINT64_MAX);
	}
	return true;
}

static void leave_set(struct exchange *x)
{
	spool_drop(x->reader.result->spool);
	result_reader_unpin(&x->reader);
	x->n_set++;
}

static int serve_set(struct exchange *x, struct request *rq)
{
	int rc;

	rq->off = x->reader.place.pos;
	rc = result_reader_serve(&x->reader, rq);
	if (rc != RESULT_END)
		return rc;
	rc = result_reader_end(&x->reader);
	leave_set(x);
	if (rc < 0)
		x->told = true;
	else
		request_data(rq, "", 0);
	return rc;
}

static int serve(struct result_reader *r, struct request *rq)
{
	struct exchange *x = of_reader(r);
	struct statement *statement = NULL;
	struct result *result = NULL;
	int rc = 0;

	switch (look(x, &result, &statement)) {
	case SET_NONE:
		request_data(rq, "", 0);
		return RESULT_ANSWERED;
	case SET_LATER:
		(void)want(x);
		return RESULT_LATER;
	case SET_GONE:
		x->n_set = x->source->first_result;
		return -ESTALE;
	case SET_FAILED:
		x->told = true;
		return x->source->rc;
	case SET_THERE:
		if (r->result == NULL)
			rc = result_reader_pin(r, result, statement);
		return rc < 0 ? rc : serve_set(x, rq);
	}
	return -EIO;
}

/* Ctrl-C: what only this READ waited for is of no use any more. */
static void reader_left(struct result_reader *r)
{
	struct exchange *x = of_reader(r);

	if (r->waiting.first == NULL && x->source != NULL &&
	    x->reader.result == NULL)
		script_reader_died(x->source);
}

static const struct result_reader_ops reader_ops = {
	.serve = serve,
	.left = reader_left,
};

/* ---- the text ---- */

static void stop_reading(struct exchange *x)
{
	if (x->source == NULL)
		return;
	x->source->on_progress = NULL;
	result_reader_unpin(&x->reader);
	script_unref(x->source);
	x->source = NULL;
}

static void on_progress(void *listener);

/* A script for text, which goes on where the last one left off. */
static int begin_text(struct exchange *x)
{
	struct script *next;

	if (!x->spent)
		return 0;
	next = script_continue(x->text);
	if (next == NULL)
		return -ENOMEM;
	script_unref(x->text);
	x->text = next;
	x->spent = false;
	return 0;
}

/* Sends the text in place of what was sent before. rq may be null. */
static int start(struct exchange *x, struct request *rq)
{
	struct script *script = x->text, *before = x->source;

	if (before != NULL)
		(void)script_ref(before);
	stop_reading(x);
	script_unref(x->refused);
	x->refused = NULL;
	x->spent = true;
	x->told = false;
	x->n_set = script->first_result;
	x->source = script_ref(script);
	script->listener = x;
	script->on_progress = on_progress;
	if (before != NULL && before->running)
		script_cancel(before, STOP_REPLACED);
	script_unref(before);
	if (rq != NULL)
		return script_settle(script, rq);
	script_advance(script);
	return 0;
}

/* The text is not sent, and `error` says why. */
static int refuse(struct exchange *x, struct request *rq)
{
	const struct statement *s = x->source->current;

	(void)err_set(&x->text->pending->refusal, EBUSY,
		      "statement %llu is not over: read its rows to their end "
		      "first; as it may write, or is part of a transaction, it "
		      "is not cancelled for the next one",
		      (unsigned long long)(s != NULL ? s->id : 0));
	script_unref(x->refused);
	x->refused = script_ref(x->text);
	x->spent = true;
	return script_settle(x->text, rq);
}

/* late: it has waited for settle_time. */
static void check_held(struct exchange *x, bool late)
{
	struct script *source = x->source;
	struct request *rq;
	int rc;

	if (x->held.first == NULL)
		return;
	if (is_busy(source) && !late &&
	    !(source->running && statement_blocked(source->current)))
		return;
	loop_timer_stop(x->handle.mount->loop, &x->held_timer);
	rq = request_list_take(&x->held);
	rc = is_busy(source) ? refuse(x, rq) : start(x, rq);
	if (rc < 0)
		request_fail(rq, -rc);
}

static void on_held_timer(struct loop_timer *timer)
{
	check_held(of_held_timer(timer), true);
}

static void on_held_dying(struct request *rq)
{
	struct exchange *x = rq->owner;

	request_list_remove(&x->held, rq);
	loop_timer_stop(x->handle.mount->loop, &x->held_timer);
	request_fail(rq, EINTR);
	/* It was never sent: nothing comes of it. */
	script_cancel(x->text, STOP_CANCEL);
	x->spent = true;
}

static int hold(struct exchange *x, const struct request *rq)
{
	struct mount *m = x->handle.mount;
	struct request *parked =
		request_park(m->requests, rq, on_held_dying, x);

	if (parked == NULL) {
		script_cancel(x->text, STOP_CANCEL);
		x->spent = true;
		return -ENOMEM;
	}
	request_list_add(&x->held, parked);
	(void)loop_timer_start(m->loop, &x->held_timer,
			       m->config->settings.settle_time_ms);
	check_held(x, false);
	return 0;
}

/* Runs what is complete; rq is answered when that has settled. */
static int run(struct exchange *x, struct request *rq)
{
	const struct script *source = x->source;

	if (x->text->pending == NULL)
		return script_settle(x->text, rq);
	if (!is_busy(source))
		return start(x, rq);
	if (source->running && source->pending == NULL && !source->held &&
	    source->waiters.first == NULL &&
	    source->current->traits.reads_only &&
	    !source->current->in_transaction)
		return start(x, rq);
	return hold(x, rq);
}

/* Another request is at it: text waits until that has been answered. */
static bool is_taken(const struct exchange *x)
{
	return x->held.first != NULL ||
	       (x->source != NULL && x->source->waiters.first != NULL);
}

static int end_text(struct exchange *x)
{
	int rc = begin_text(x);

	return rc < 0 ? rc : script_add(x->text, NULL, 0, true);
}

/* What a READ finds without its semicolon, and nothing else to be read. */
static int run_rest(struct exchange *x)
{
	struct statement *statement;
	struct result *result;
	int rc;

	if (x->text->text.len == 0 || is_taken(x) ||
	    look(x, &result, &statement) != SET_NONE)
		return 0;
	rc = end_text(x);
	if (rc == 0 && x->text->pending != NULL)
		rc = start(x, NULL);
	return rc;
}

static void on_progress(void *listener)
{
	struct exchange *x = listener;

	/* What a READ waited for has ended: now it is for the rest. */
	if (x->reader.waiting.first != NULL)
		(void)run_rest(x);
	result_reader_wake(&x->reader);
	check_held(x, false);
}

/* ---- the file ---- */

static void close_exchange(struct exchange *x)
{
	x->node->exchange = NULL;
	stop_reading(x);
	result_reader_finish(&x->reader);
	request_list_fail(&x->held, ENOTCONN);
	loop_timer_stop(x->handle.mount->loop, &x->held_timer);
	conversation_end(x->conv);
	x->conv->n_handles--;
	script_unref(x->refused);
	script_unref(x->text);
	conversation_unref(x->conv);
	handle_finish(&x->handle);
	free(x);
}

static int exchange_read(struct request *rq, struct handle *handle,
			 uint64_t off)
{
	struct exchange *x = (struct exchange *)handle;
	int rc = 0;

	(void)off; /* of a stream there is none */
	if (rq->uid != handle->uid)
		return -EACCES;
	rc = run_rest(x);
	if (rc < 0)
		return rc;
	/* Who polls instead of waiting is told, also without a new poll. */
	do {
		rc = result_reader_read(&x->reader, rq,
					(rq->flags & O_NONBLOCK) != 0);
	} while (rc == -EAGAIN && !want(x));
	return rc;
}

static int exchange_write(struct request *rq, struct handle *handle,
			  const char *data, size_t len, uint64_t off)
{
	struct exchange *x = (struct exchange *)handle;
	int rc;

	(void)off;
	if (rq->uid != handle->uid)
		return -EACCES;
	if (x->held.first != NULL)
		return -EBUSY;
	rc = begin_text(x);
	if (rc == 0)
		rc = script_add(x->text, data, len, false);
	return rc < 0 ? rc : run(x, rq);
}

static int exchange_fsync(struct request *rq, struct handle *handle)
{
	struct exchange *x = (struct exchange *)handle;
	int rc;

	if (x->text->text.len == 0 || is_taken(x)) {
		request_fail(rq, 0);
		return 0;
	}
	rc = end_text(x);
	return rc < 0 ? rc : run(x, rq);
}

static int exchange_flush(struct request *rq, struct handle *handle)
{
	struct exchange *x = (struct exchange *)handle;

	if (x->text->text.len > 0) {
		switch (flusher_of(&x->opener.self, rq->tid)) {
		case FLUSHER_OPENER:
			return exchange_fsync(rq, handle);
		case FLUSHER_DYING:
			script_truncate(x->text);
			break;
		case FLUSHER_OTHER:
			break;
		}
	}
	request_fail(rq, 0);
	return 0;
}

static int exchange_truncate(struct node *node, struct handle *handle,
			     uint64_t size)
{
	struct exchange *x = (struct exchange *)handle;

	(void)node;
	if (size != 0)
		return -EINVAL;
	if (!is_taken(x))
		script_truncate(x->text);
	return 0;
}

static unsigned exchange_poll(struct handle *handle, struct poll_handle *ph)
{
	struct exchange *x = (struct exchange *)handle;
	unsigned events = POLLOUT | POLLWRNORM;
	struct statement *statement;
	struct result *result;
	struct spool_state state;

	result_reader_poll(&x->reader, ph);
	switch (look(x, &result, &statement)) {
	case SET_LATER:
		(void)want(x);
		return events;
	case SET_THERE:
		if (x->reader.result == NULL)
			break;
		spool_state(x->reader.result->spool, &state);
		if (!state.finished && state.end <= x->reader.place.pos &&
		    want(x))
			return events;
		break;
	default:
		break;
	}
	return events | POLLIN | POLLRDNORM;
}

static void exchange_release(struct handle *handle)
{
	close_exchange((struct exchange *)handle);
}

static const struct file_ops exchange_ops = {
	.read = exchange_read,
	.write = exchange_write,
	.flush = exchange_flush,
	.fsync = exchange_fsync,
	.truncate = exchange_truncate,
	.poll = exchange_poll,
	.release = exchange_release,
};

int exchange_error(struct node *node, uid_t uid, struct buf *out)
{
	const struct exchange *x = node->exchange;
	const struct script *script;

	if (x == NULL)
		return -ENODATA;
	if (uid != x->handle.uid)
		return -EACCES;
	script = x->refused != NULL ? x->refused : x->source;
	if (script != NULL && script->current != NULL)
		report_failure(out, script->current);
	return 0;
}

static void opened(struct request *rq)
{
	struct exchange *x = rq->owner;
	const struct open_reply reply = {
		.fh = (uint64_t)(uintptr_t)x,
		.direct_io = true,
		.stream = true,
	};

	conversation_name(x->conv, &x->opener);
	if (!request_opened(rq, &reply))
		close_exchange(x);
}

static struct exchange *create(struct mount *m, struct node *node,
			       const struct caller *caller)
{
	struct exchange *x = calloc(1, sizeof(*x));

	if (x == NULL)
		return NULL;
	x->conv =
		conversation_create(node->conn, caller, CONVERSATION_EXCHANGE);
	if (x->conv == NULL) {
		free(x);
		return NULL;
	}
	(void)conversation_ref(x->conv);
	x->text = script_create(x->conv, caller);
	if (x->text == NULL) {
		conversation_end(x->conv);
		conversation_unref(x->conv);
		free(x);
		return NULL;
	}
	x->text->interactive = true;
	handle_init(&x->handle, &exchange_ops, m, caller->uid);
	result_reader_init(&x->reader, &reader_ops, m);
	x->held_timer.run = on_held_timer;
	x->opener = *caller;
	x->conv->n_handles++;
	x->node = node;
	node->exchange = x;
	return x;
}

int exchange_open(struct request *rq, struct mount *m, struct node *node,
		  const struct caller *caller)
{
	struct exchange *x;
	int rc;

	/* Opened once more by /proc/self/fd: two would share what a node has
	 * but one of, the lock of a WRITE and the attribute. */
	if (node->exchange != NULL)
		return -EBUSY;
	x = create(m, node, caller);
	if (x == NULL)
		return -ENOMEM;
	rq->owner = x;
	rq->then = opened;
	rc = conversation_learn_env(x->conv, caller, rq);
	if (rc < 0)
		close_exchange(x);
	else if (rc > 0)
		opened(rq);
	return rc < 0 ? rc : 0;
}
