/* SPDX-License-Identifier: MIT */
#include "fs/statement.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "fs/params.h"
#include "fs/result.h"
#include "fs/trail.h"

enum { MAX_NOTICES = 64 * 1024 };

static atomic_uint_least64_t last_id;

static void on_event(struct loop_event *event)
{
	struct statement *s =
		(struct statement *)((char *)event -
				     offsetof(struct statement, event));

	if (s->on_change != NULL)
		s->on_change(s->owner);
	statement_unref(s);
}

static void drop_diagnosis(struct diagnosis *d)
{
	free(d->severity);
	free(d->code);
	free(d->message);
	free(d->detail);
	free(d->hint);
	free(d->context);
	*d = (struct diagnosis){.offset = -1};
}

struct statement *statement_create(struct loop *loop, struct spool_pool *pool,
				   const char *text, size_t len)
{
	struct statement *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return NULL;
	atomic_init(&s->refs, 1);
	s->id = atomic_fetch_add(&last_id, 1) + 1;
	s->loop = loop;
	s->pool = pool;
	s->line = 1;
	s->column = 1;
	s->affected = -1;
	drop_diagnosis(&s->diagnosis);
	s->created = clock_mono_ms();
	s->created_wall = clock_wall_ms();
	timing_init(&s->timing);
	s->event.run = on_event;
	buf_init(&s->notices, MAX_NOTICES);
	(void)pthread_mutex_init(&s->lock, NULL);
	s->sql = malloc(len + 1);
	if (s->sql == NULL) {
		statement_unref(s);
		return NULL;
	}
	memcpy(s->sql, text, len);
	s->sql[len] = '\0';
	return s;
}

struct statement *statement_ref(struct statement *s)
{
	atomic_fetch_add(&s->refs, 1);
	return s;
}

void statement_unref(struct statement *s)
{
	if (s == NULL || atomic_fetch_sub(&s->refs, 1) != 1)
		return;
	for (size_t i = 0; i < s->n_results; i++)
		result_unref(s->results[i]);
	free(s->results);
	drop_diagnosis(&s->diagnosis);
	params_unref(s->params);
	free(s->trail);
	free(s->tag);
	free(s->sql);
	buf_finish(&s->notices);
	(void)pthread_mutex_destroy(&s->lock);
	free(s);
}

void statement_give(struct statement *s, struct params *params)
{
	s->params = params;
	if (params != NULL)
		s->n_params = params_args(params)->n;
}

enum statement_state statement_state(struct statement *s)
{
	auto_lock(&s->lock);
	return s->state;
}

bool statement_over(struct statement *s)
{
	return statement_state(s) >= STATEMENT_DONE;
}

const char *statement_state_name(enum statement_state state)
{
	static const char *const names[] = {
		"queued", "connecting", "running",   "streaming",
		"done",   "failed",     "cancelled",
	};

	return names[state];
}

void statement_changed(struct statement *s)
{
	/* The reference goes with the event, which runs once per post. */
	(void)statement_ref(s);
	if (!loop_post(s->loop, &s->event))
		statement_unref(s);
}

void statement_set_sent(struct statement *s)
{
	auto_lock(&s->lock);
	s->sent = true;
	timing_begin(&s->timing);
	timing_forget(&s->timing, TIMING_FIRST_ROW, TIMING_ROWS);
}

void statement_set_trail(struct statement *s, const struct trail *trail)
{
	auto_lock(&s->lock);
	if (s->state >= STATEMENT_DONE)
		return;
	if (s->trail == NULL)
		s->trail = malloc(sizeof(*s->trail));
	if (s->trail != NULL)
		*s->trail = *trail;
}

void statement_forget_failure(struct statement *s)
{
	auto_lock(&s->lock);
	drop_diagnosis(&s->diagnosis);
	buf_reset(&s->notices);
}

void statement_set_state(struct statement *s, enum statement_state state)
{
	{
		auto_lock(&s->lock);
		if (s->state >= STATEMENT_DONE || s->state == state)
			return;
		s->state = state;
		if (state == STATEMENT_STREAMING)
			s->streaming_since = clock_mono_ms();
	}
	statement_changed(s);
}

/* The result set that is being produced, or the last one. Counted. */
static struct result *last_result(struct statement *s)
{
	auto_lock(&s->lock);
	return s->n_results > 0 ? result_ref(s->results[s->n_results - 1])
				: NULL;
}

/* Why it was cut short, in words, when connfs itself did it. */
static const char *stop_text(enum statement_stop stop)
{
	switch (stop) {
	case STOP_NONE:
		return NULL;
	case STOP_CANCEL:
		return "cancelled";
	case STOP_ABANDONED:
		return "cancelled: its reader closed the result before the end";
	case STOP_REPLACED:
		return "cancelled: the next statement took its place";
	case STOP_TIMEOUT:
		return "cancelled after statement_timeout";
	case STOP_OVERFLOW:
		return "the result is larger than the spool and nobody reads "
		       "it, while the next statement waits";
	case STOP_UNHELD:
		return "the result is larger than the spool, and the program "
		       "that asked for it can only copy files of a known size";
	case STOP_ENDING:
		return "cancelled: the session that sent it has ended";
	}
	return NULL;
}

bool statement_stop(struct statement *s, enum statement_stop reason)
{
	int none = STOP_NONE;
	struct result *last;

	if (statement_over(s) ||
	    !atomic_compare_exchange_strong(&s->stop, &none, (int)reason))
		return false;
	atomic_store(&s->stopped, true);
	last = last_result(s);
	if (last != NULL) {
		spool_close(last->spool); /* its writer may wait for a reader */
		result_unref(last);
	}
	return true;
}

/* A timeout reaches us as a cancellation, the server's own one too. */
static int true_code(struct statement *s, int rc)
{
	int stop = atomic_load(&s->stop);

	if (rc != -ECANCELED)
		return rc;
	if (stop == STOP_OVERFLOW)
		return -ENOSPC;
	if (stop == STOP_UNHELD)
		return -EFBIG;
	if (stop == STOP_TIMEOUT ||
	    (stop == STOP_NONE && s->timeout_ms > 0 &&
	     clock_mono_ms() - s->created >= s->timeout_ms))
		return -ETIMEDOUT;
	return rc;
}

/* The server's answer to the statement explains itself. */
static bool explains_itself(const struct statement *s, int rc)
{
	if (rc == 0)
		return true;
	/* Without a limit of ours it is one that the client has set. */
	return s->sent && !s->unknown_outcome && rc != -ENOTCONN &&
	       (rc != -ETIMEDOUT || s->timeout_ms == 0);
}

/* Called with the lock held. */
static void end_timing(struct statement *s)
{
	bool has_row = s->timing.us[TIMING_FIRST_ROW] >= 0;

	if (s->sent)
		timing_end(&s->timing,
			   has_row ? TIMING_ROWS : TIMING_FIRST_ROW);
}

void statement_finish(struct statement *s, int rc, const struct err *err)
{
	const char *stopped =
		stop_text((enum statement_stop)atomic_load(&s->stop));
	struct result *last = NULL;
	bool was_cancelled;
	size_t n = 0;

	{
		auto_lock(&s->lock);
		if (s->state >= STATEMENT_DONE)
			return;
		if (s->cut && rc == -ENOTCONN) {
			s->unknown_outcome = true;
			rc = -ECANCELED;
		}
		was_cancelled = rc == -ECANCELED;
		rc = true_code(s, rc);
		s->state = rc == 0            ? STATEMENT_DONE
			   : rc == -ECANCELED ? STATEMENT_CANCELLED
					      : STATEMENT_FAILED;
		s->ended = clock_mono_ms();
		end_timing(s);
		if (rc < 0 && err != NULL)
			s->err = *err;
		if (stopped != NULL && was_cancelled)
			(void)err_set(&s->err, -rc, "%s", stopped);
		if (rc < 0)
			s->err.code = -rc;
		if (explains_itself(s, rc)) {
			free(s->trail);
			s->trail = NULL;
		}
		n = s->n_results;
		if (n > 0)
			last = result_ref(s->results[n - 1]);
	}
	if (last != NULL) {
		struct spool_state state;

		/* Earlier ones were ended by the sink. */
		spool_state(last->spool, &state);
		if (!state.finished)
			spool_finish(last->spool, -rc);
		spool_close(last->spool);
		result_unref(last);
	}
	statement_changed(s);
}

void statement_cut(struct statement *s)
{
	auto_lock(&s->lock);
	s->cut = true;
}

void statement_give_up(struct statement *s)
{
	statement_cut(s);
	statement_finish(s, -ENOTCONN, NULL);
}

int statement_code(struct statement *s)
{
	auto_lock(&s->lock);
	return s->state > STATEMENT_DONE ? -s->err.code : 0;
}

bool statement_has_row(struct statement *s)
{
	struct result *last;
	struct spool_state state = {0};

	if (atomic_load(&s->rows) > 0)
		return true;
	last = last_result(s);
	if (last != NULL && last->n_cols == 0)
		spool_state(last->spool, &state);
	result_unref(last);
	return state.end > 0;
}

bool statement_blocked(struct statement *s)
{
	struct result *last = last_result(s);
	struct spool_state state = {0};

	if (last != NULL) {
		spool_state(last->spool, &state);
		result_unref(last);
	}
	return state.full && !state.finished;
}

bool statement_is_read(struct statement *s)
{
	auto_lock(&s->lock);
	for (size_t i = 0; i < s->n_results; i++) {
		if (s->results[i]->n_open > 0)
			return true;
	}
	return false;
}
