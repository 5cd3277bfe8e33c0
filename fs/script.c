/* SPDX-License-Identifier: MIT */
#include "fs/script.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "fs/access.h"
#include "fs/config.h"
#include "fs/connection.h"
#include "fs/conversation.h"
#include "fs/follow.h"
#include "fs/mount.h"
#include "fs/node.h"
#include "fs/result.h"
#include "fs/result_reader.h"
#include "fs/script_results.h"
#include "fs/script_text.h"
#include "fs/script_watch.h"
#include "fs/session.h"
#include "fs/statement.h"

enum {
	CANCEL_MS = 5000, /* for the server to confirm a cancellation */
	ABORT_MS = 500,   /* for the worker to come back after that */
};

static uint64_t last_id; /* thread of the loop */

static struct mount *mount_of(const struct script *script)
{
	return script->conv->conn->mount;
}

static void on_settle_timer(struct loop_timer *timer)
{
	script_advance(
		(struct script *)((char *)timer -
				  offsetof(struct script, settle_timer)));
}

static void drop_pending(struct script *script)
{
	while (script->pending != NULL) {
		struct statement *s = script->pending;

		script->pending = s->next;
		s->next = NULL;
		statement_unref(s);
	}
}

/* The first pending statement becomes the current one. */
static struct statement *take_pending(struct script *script)
{
	struct statement *s = script->pending;

	script->pending = s->next;
	s->next = NULL;
	statement_unref(script->current);
	script->current = s;
	script->n_collected = 0;
	return s;
}

/* The first pending statement fails without having been sent. */
static void refuse(struct script *script, int rc, const struct err *err)
{
	struct statement *s = take_pending(script);

	statement_finish(s, rc, err);
	script->rc = statement_code(s);
	drop_pending(script);
	conversation_add(script->conv, script);
}

static void on_queue_timer(struct loop_timer *timer)
{
	struct script *script =
		(struct script *)((char *)timer -
				  offsetof(struct script, queue_timer));
	struct connection *c = script->conv->conn;
	struct err err;

	if (script->running || script->pending == NULL)
		return;
	(void)err_set(&err, EAGAIN,
		      "no database session became free within queue_timeout; "
		      "%u of %u are in use",
		      c->n_sessions, c->spec->max_connections);
	script_note_holders(script->pending, c);
	refuse(script, -EAGAIN, &err);
	script_advance(script);
}

struct script *script_create(struct conversation *conv,
			     const struct caller *writer)
{
	struct script *script = calloc(1, sizeof(*script));

	if (script == NULL)
		return NULL;
	script->refs = 1;
	script->id = ++last_id;
	script->conv = conversation_ref(conv);
	script->writer = *writer;
	script->line = 1;
	script->column = 1;
	script->first_result = 1;
	script->settle_timer.run = on_settle_timer;
	script->queue_timer.run = on_queue_timer;
	buf_init(&script->text, SCRIPT_MAX_TEXT);
	script->splitter =
		sql_splitter_create(conv->conn->spec->engine->dialect);
	if (script->splitter == NULL) {
		script_unref(script);
		return NULL;
	}
	sql_splitter_set_modes(script->splitter, conv->sql_modes);
	access_remember(&script->names, &conv->conn->spec->access, writer);
	return script;
}

struct script *script_ref(struct script *script)
{
	script->refs++;
	return script;
}

void script_unref(struct script *script)
{
	if (script == NULL || --script->refs > 0)
		return;
	loop_timer_stop(mount_of(script)->loop, &script->settle_timer);
	loop_timer_stop(mount_of(script)->loop, &script->queue_timer);
	request_list_fail(&script->waiters, ENOTCONN);
	request_list_fail(&script->openers, ENOTCONN);
	drop_pending(script);
	statement_unref(script->current);
	script_retire(script);
	sql_splitter_destroy(script->splitter);
	caller_names_finish(&script->names);
	buf_finish(&script->text);
	conversation_unref(script->conv);
	free(script);
}

static void on_change(void *owner)
{
	struct script *script = script_ref(owner);
	struct conversation *conv = conversation_ref(script->conv);

	script_collect(script);
	for (size_t i = 0; i < script->n_results; i++)
		result_wake(script->results[i].result);
	script_advance(script);
	/* What waits for this one may have to be told that it is blocked. */
	if (script->running && conv->turn != NULL)
		script_advance(conv->turn);
	conversation_unref(conv);
	script_unref(script);
}

/* Cancellation in steps: ask the server, cut the line, leave it alone. */
static void on_statement_timer(struct loop_timer *timer)
{
	struct statement *s =
		(struct statement *)((char *)timer -
				     offsetof(struct statement, timer));
	struct script *script = s->owner;
	struct conversation *conv = script->conv;

	if (statement_over(s))
		return;
	switch (s->resort++) {
	case 0:
		script_cancel(script, STOP_TIMEOUT);
		break;
	case 1:
		statement_cut(s);
		if (conv->session != NULL)
			session_abort(conv->session, s);
		(void)loop_timer_start(s->loop, &s->timer, ABORT_MS);
		break;
	default:
		if (conv->session != NULL)
			session_explain(conv->session, s);
		connection_release(conv->conn, conv);
		statement_give_up(s);
	}
}

static int may_run(struct script *script, const struct statement *s,
		   struct err *err)
{
	const struct connection *c = script->conv->conn;

	if (s->refusal.code != 0) {
		*err = s->refusal;
		return -err->code;
	}
	if (c->removed)
		return err_set(err, ENOENT, "this connection was taken away");
	if (!access_still_allowed(&c->spec->access, &script->writer,
				  &script->names))
		return err_set(err, EACCES,
			       "you may not use this connection any more");
	return 0;
}

static void send_current(struct script *script)
{
	struct conversation *conv = script->conv;
	struct statement *s = script->current;
	struct session_state state;

	loop_timer_stop(mount_of(script)->loop, &script->queue_timer);
	session_state(conv->session, &state);
	s->in_transaction = state.in_transaction;
	s->timeout_ms = conv->conn->spec->statement_timeout_ms;
	s->timer.run = on_statement_timer;
	s->on_change = on_change;
	s->owner = script;
	script->running = true;
	(void)script_ref(script); /* until finish_current() */
	conversation_add(conv, script);
	if (s->timeout_ms > 0)
		(void)loop_timer_start(s->loop, &s->timer, s->timeout_ms);
	session_run(conv->session, s);
}

/* Sends the next statement. False when it has to wait. */
static bool start_next(struct script *script)
{
	struct err err = {0};
	int rc;

	if (follow_holds(script))
		return false;
	rc = may_run(script, script->pending, &err);
	if (rc == 0) {
		rc = conversation_enter(script->conv, script, &err);
		if (rc == 0) {
			/* It can be seen and cancelled while it waits. */
			conversation_add(script->conv, script);
			if (script->queue_timer.slot == 0)
				(void)loop_timer_start(
					mount_of(script)->loop,
					&script->queue_timer,
					mount_of(script)
						->config->settings
						.queue_timeout_ms);
			return false;
		}
		if (rc == -EBUSY)
			script->refused = script->current == NULL;
	}
	if (rc < 0) {
		refuse(script, rc, &err);
		return true;
	}
	(void)take_pending(script);
	send_current(script);
	return true;
}

/* The current statement may have ended. */
static void finish_current(struct script *script)
{
	struct statement *s = script->current;

	if (!script->running || !statement_over(s))
		return;
	script_collect(script);
	loop_timer_stop(s->loop, &s->timer);
	s->on_change = NULL;
	script->running = false;
	script->rc = statement_code(s);
	if (script->rc < 0)
		drop_pending(script);
	script_unref(script); /* the caller holds one too */
}

/*
 * The result set before the next statement does not fit the spool and nobody
 * reads it: waiting for a reader that waits for the script is for ever.
 */
static void check_overflow(struct script *script)
{
	if (!script->running || (script->pending == NULL && !script->held) ||
	    script->conv->follow != NULL || !statement_blocked(script->current))
		return;
	/* A READ of the exchange may wait for just these rows. */
	if (script->on_progress != NULL)
		script->on_progress(script->listener);
	if (!statement_is_read(script->current))
		script_cancel(script, STOP_OVERFLOW);
}

/* How long until a streaming statement counts as settled, 0: it does. */
static unsigned settles_in(struct script *script)
{
	const struct settings *settings = &mount_of(script)->config->settings;
	struct statement *s = script->current;
	struct spool_state state;
	uint64_t since;

	{
		auto_lock(&s->lock);
		since = clock_mono_ms() - s->streaming_since;
	}
	spool_state(script->results[script->n_results - 1].result->spool,
		    &state);
	if (script->trusts_size) {
		/* From a running result it would copy nothing. */
		if (state.full)
			script_cancel(script, STOP_UNHELD);
		return UINT32_MAX;
	}
	if (state.full || state.end >= settings->spool_memory ||
	    since >= settings->settle_time_ms)
		return 0;
	return (unsigned)(settings->settle_time_ms - since);
}

bool script_settled(struct script *script, int *rc)
{
	unsigned wait;

	*rc = script->rc;
	if (script->rc < 0)
		return !script->running;
	if (script->pending != NULL || script->held)
		return false;
	if (!script->running)
		return true;
	/* It was stopped, as check_overflow() does it: its code is to come. */
	if (atomic_load(&script->current->stopped))
		return false;
	if (statement_state(script->current) != STATEMENT_STREAMING ||
	    script->n_collected == 0)
		return false;
	if (script->interactive && script->current->traits.reads_only) {
		if (statement_has_row(script->current) ||
		    statement_blocked(script->current))
			return true;
		wait = 2 * SPOOL_PACE_MS; /* see spool_want() */
	} else {
		wait = settles_in(script);
	}
	if (wait == 0)
		return true;
	if (wait != UINT32_MAX)
		(void)loop_timer_start(mount_of(script)->loop,
				       &script->settle_timer, wait);
	/* Be told again when there is more. */
	(void)spool_want(script->results[script->n_results - 1].result->spool,
			 UINT64_MAX);
	return false;
}

/*
 * What a caller is told that a signal ends: EINTR only when the server has
 * confirmed that the statement did not happen.
 */
static int dying_code(struct script *script, int rc)
{
	bool unknown;

	if (rc != -ECANCELED)
		return rc;
	auto_lock(&script->current->lock);
	unknown = script->current->unknown_outcome;
	return unknown ? -EIO : -EINTR;
}

static void answer_waiters(struct script *script)
{
	struct request *rq;
	int rc;

	if (script->waiters.first == NULL || !script_settled(script, &rc))
		return;
	loop_timer_stop(mount_of(script)->loop, &script->settle_timer);
	while ((rq = request_list_take(&script->waiters)) != NULL) {
		int code = rq->dying ? dying_code(script, rc) : rc;

		script->told |= code < 0 && rq->size > 0;
		if (code == 0 && rq->size > 0)
			request_wrote(rq);
		else
			request_fail(rq, -code);
	}
}

static void answer_openers(struct script *script)
{
	struct request_list later = {0};
	struct request *rq;

	while ((rq = request_list_take(&script->openers)) != NULL) {
		struct statement *statement;
		struct result *result;

		/* A failure of that errno is one, too. */
		if (script->rc == 0 &&
		    script_last_result(script, &result, &statement) == -EAGAIN)
			request_list_add(&later, rq);
		else
			rq->then(rq);
	}
	script->openers = later;
	if (later.first == NULL)
		script->openers.last = NULL;
}

/* True when there is one more statement to be sent. */
static bool resume_text(struct script *script)
{
	if (!script->held || script->rc < 0)
		return false;
	script->rc = script_text_resume(script);
	return script->pending != NULL;
}

void script_advance(struct script *script)
{
	(void)script_ref(script);
	finish_current(script);
	while (!script->running) {
		if (script->pending == NULL && !resume_text(script))
			break;
		if (!start_next(script))
			break;
	}
	check_overflow(script);
	answer_waiters(script);
	answer_openers(script);
	script_check_readers(script);
	script_tell_watchers(script);
	follow_check(script->conv);
	if (!script->running && script->pending == NULL) {
		loop_timer_stop(mount_of(script)->loop, &script->queue_timer);
		conversation_leave(script->conv, script);
	}
	if (script->on_progress != NULL)
		script->on_progress(script->listener);
	script_unref(script);
}

static void on_waiter_dying(struct request *rq)
{
	script_cancel(rq->owner, STOP_CANCEL);
}

/* Nothing is to be waited for: WRITE has its bytes, the others are done. */
static void answer_at_once(struct request *rq)
{
	if (rq->size > 0)
		request_wrote(rq);
	else
		request_fail(rq, 0);
}

int script_settle(struct script *script, struct request *rq)
{
	struct request *parked = rq;

	if (script->pending == NULL) {
		answer_at_once(rq);
		return 0;
	}
	if (!rq->parked)
		parked = request_park(mount_of(script)->requests, rq,
				      on_waiter_dying, script);
	if (parked == NULL) {
		script_cancel(script, STOP_CANCEL);
		return -ENOMEM;
	}
	parked->on_dying = on_waiter_dying;
	parked->owner = script;
	request_list_add(&script->waiters, parked);
	/* It may have been told while it waited for something else. */
	if (parked->dying)
		on_waiter_dying(parked);
	script_advance(script);
	return 0;
}

int script_add(struct script *script, const char *data, size_t len, bool end)
{
	int rc = script->rc;

	if (rc == 0)
		rc = script_text_add(script, data, len);
	if (rc == 0 && end)
		rc = script_text_end(script);
	return rc;
}

int script_write(struct script *script, struct request *rq, const char *data,
		 size_t len)
{
	int rc = script_add(script, data, len, false);

	return rc < 0 ? rc : script_settle(script, rq);
}

int script_flush(struct script *script, struct request *rq)
{
	int rc = script_add(script, NULL, 0, true);

	if (rc == 0 && rq != NULL)
		rc = script_settle(script, rq);
	else if (rc == 0)
		script_advance(script);
	return rc;
}

void script_truncate(struct script *script)
{
	script_text_drop(script);
}

void script_cancel(struct script *script, int reason)
{
	struct conversation *conv = script->conv;
	struct statement *s = script->current;
	struct err err;

	if (!script->running) {
		if (script->pending == NULL)
			return;
		(void)err_set(&err, ECANCELED, "cancelled before it was sent");
		refuse(script, -ECANCELED, &err);
		script_advance(script);
		return;
	}
	drop_pending(script);
	if (!statement_stop(s, (enum statement_stop)reason))
		return;
	if (statement_state(s) <= STATEMENT_CONNECTING ||
	    reason == STOP_ENDING) {
		/* Nothing to ask for: it was never sent, or who would wait? */
		if (conv->session != NULL && reason == STOP_ENDING)
			session_cancel(conv->session, s);
		if (conv->session != NULL)
			session_explain(conv->session, s);
		connection_release(conv->conn, conv);
		statement_finish(s, -ECANCELED, NULL);
		return;
	}
	session_cancel(conv->session, s);
	s->resort = 1;
	(void)loop_timer_start(s->loop, &s->timer, CANCEL_MS);
}

void script_close(struct script *script)
{
	/* Text whose end nobody told: see rule 3 of design section 3. */
	if (script->text.len > 0)
		(void)script_flush(script, NULL);
}

void script_reader_left(struct script *script, struct result *result,
			bool early)
{
	if (early)
		result->left_early = true;
	script_check_readers(script);
}
