/* SPDX-License-Identifier: MIT */
#include "fs/session.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "backends/db.h"
#include "common/chance.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "common/err.h"
#include "common/log.h"
#include "common/thread.h"
#include "fs/config.h"
#include "fs/login.h"
#include "fs/loop.h"
#include "fs/params.h"
#include "fs/session_internal.h"
#include "fs/statement.h"

enum {
	/* A statement that met another's: how often it is sent again, .. */
	CONFLICT_TRIES = 3,
	/* .. and what it waits before, which doubles, and varies by a part. */
	CONFLICT_WAIT_MS = 50,
	CONFLICT_SPREAD = 4,
};

static void session_unref(struct session *session)
{
	if (atomic_fetch_sub(&session->refs, 1) != 1)
		return;
	spec_unref(session->spec);
	free(session->app_name);
	(void)pthread_cond_destroy(&session->cond);
	(void)pthread_mutex_destroy(&session->lock);
	free(session);
}

static struct session *session_ref(struct session *session)
{
	atomic_fetch_add(&session->refs, 1);
	return session;
}

/* Its last act: what it kept for itself is freed before the process ends. */
static void take_end(struct session *session)
{
	(void)pthread_join(session->thread, NULL);
	session->joined = true;
	session->on_closed(session->closed_arg);
}

static void on_event(struct loop_event *event)
{
	struct session *session =
		(struct session *)((char *)event -
				   offsetof(struct session, event));

	bool ended;

	{
		auto_lock(&session->lock);
		ended = session->ended;
	}
	if (session->on_idle != NULL)
		session->on_idle(session->owner);
	/* The worker may end while its event before that is on its way. */
	if (ended && !session->joined)
		take_end(session);
	session_unref(session);
}

static void changed(struct session *session)
{
	(void)session_ref(session);
	if (!loop_post(session->loop, &session->event))
		session_unref(session);
}

struct timespec session_time_in(unsigned ms)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	ts.tv_sec += ms / 1000;
	ts.tv_nsec += (long)(ms % 1000) * 1000000;
	if (ts.tv_nsec >= 1000000000) {
		ts.tv_sec++;
		ts.tv_nsec -= 1000000000;
	}
	return ts;
}

static int run_once(struct session *session, struct statement *s,
		    struct err *err)
{
	int rc = session_ready(session, err);

	if (rc < 0)
		return rc;
	{
		auto_lock(&s->lock);
		s->server_pid = db_server_pid(session->db);
	}
	/* In this order: a cancel sees it running, or is seen here. */
	statement_set_state(s, STATEMENT_RUNNING);
	if (atomic_load(&s->stopped))
		return err_set(err, ECANCELED, "cancelled");
	session_note(session, "sent statement %" PRIu64, s->id);
	statement_set_sent(s);
	rc = db_exec(session->db, s->sql, params_args(s->params),
		     &statement_sink, s, err);
	if (rc == -ENOTCONN) {
		session_note(session, "connection lost: %s", err->msg);
		db_close(session_detach_db(session));
	}
	return rc;
}

/*
 * A connection that died unseen while it was idle: what only reads and has
 * shown nothing is sent again. A server that said why it hung up is not asked
 * twice.
 */
static bool died_unseen(struct statement *s, const struct session_state *before,
			int rc, const struct err *err)
{
	return rc == -ENOTCONN && err->sqlstate[0] == '\0' &&
	       s->traits.reads_only && !before->keeps_state &&
	       statement_state(s) == STATEMENT_RUNNING &&
	       !atomic_load(&s->stopped);
}

/* What it runs may have committed before it failed. */
static bool may_commit(const struct session *session, const struct statement *s)
{
	char words[SQL_COMMAND_SIZE];

	sql_command(session->spec->engine->dialect, s->sql, strlen(s->sql),
		    words);
	return strcmp(words, "CALL") == 0 || strcmp(words, "DO") == 0;
}

/*
 * It was its own transaction, which another's was in the way of: nothing of it
 * has happened, and nothing was shown of it.
 */
static bool is_conflict(struct session *session, struct statement *s,
			const struct session_state *before, int rc,
			const struct err *err)
{
	static const char *const states[] = {"40001", "OC000", "OC001"};

	if (rc == 0 || !session->spec->engine->retries_conflicts ||
	    before->in_transaction || session->db == NULL ||
	    db_in_transaction(session->db) ||
	    statement_state(s) != STATEMENT_RUNNING)
		return false;
	for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++) {
		if (strcmp(err->sqlstate, states[i]) == 0)
			return !may_commit(session, s);
	}
	return false;
}

/* Before try n, from 0. False when s was stopped meanwhile. */
static bool wait_for_others(struct session *session, const struct statement *s,
			    unsigned n)
{
	unsigned ms = (unsigned)CONFLICT_WAIT_MS << n;
	struct timespec until =
		session_time_in(ms + chance_up_to(ms / CONFLICT_SPREAD));

	auto_lock(&session->lock);
	while (!atomic_load(&s->stopped) && !session->close) {
		if (pthread_cond_timedwait(&session->cond, &session->lock,
					   &until) != 0)
			return true;
	}
	return false;
}

static int run_tries(struct session *session, struct statement *s,
		     struct err *err)
{
	bool reused = session->db != NULL;
	struct session_state before;
	int rc;

	session_state(session, &before);
	rc = run_once(session, s, err);
	if (reused && died_unseen(s, &before, rc, err))
		rc = run_once(session, s, err);
	for (unsigned n = 0; n < CONFLICT_TRIES; n++) {
		if (!is_conflict(session, s, &before, rc, err))
			break;
		statement_forget_failure(s);
		conn_log(session->spec->conn_id, LOG_LEVEL_DEBUG,
			 "%s: a statement is sent again", err->sqlstate);
		if (!wait_for_others(session, s, n))
			return err_set(err, ECANCELED, "cancelled");
		rc = run_once(session, s, err);
	}
	return rc;
}

static void run(struct session *session, struct statement *s)
{
	struct err err = {0};
	int rc;

	{
		auto_lock(&s->lock);
		(void)snprintf(s->app_name, sizeof(s->app_name), "%s",
			       session->app_name);
		timing_end(&s->timing, TIMING_QUEUE);
	}
	session_begin_trail(session);
	statement_set_state(s, STATEMENT_CONNECTING);
	rc = run_tries(session, s, &err);
	{
		auto_lock(&session->lock);
		session->job = NULL;
		(void)pthread_cond_broadcast(&session->cond);
		/* A cancel on its way must not hit the next statement. */
		while (session->n_cancels > 0)
			(void)pthread_cond_wait(&session->cond, &session->lock);
		session->state.busy = false;
		session->state.idle_since = clock_mono_ms();
		if (session->db != NULL) {
			session->state.in_transaction =
				db_in_transaction(session->db);
			session->state.sql_modes = db_sql_modes(session->db);
			if (s->traits.keeps_state)
				session->state.keeps_state = true;
		}
	}
	/* They can be large, and a result may be kept for long. */
	params_unref(take_ptr(s->params));
	if (rc < 0)
		session_explain(session, s);
	/* The loop must see the session idle when it sees the end. */
	statement_finish(s, rc, &err);
	changed(session);
	statement_unref(s);
}

static void *worker(void *arg)
{
	struct session *session = arg;

	for (;;) {
		struct statement *s;

		{
			auto_lock(&session->lock);
			while (session->job == NULL && !session->close)
				(void)pthread_cond_wait(&session->cond,
							&session->lock);
			s = session->job;
		}
		if (s == NULL)
			break;
		run(session, s);
	}
	db_close(session_detach_db(session));
	{
		auto_lock(&session->lock);
		session->ended = true;
	}
	changed(session);
	session_unref(session);
	return NULL;
}

struct session *session_create(const struct session_config *config)
{
	struct session *session = calloc(1, sizeof(*session));
	pthread_condattr_t condattr;

	if (session == NULL)
		return NULL;
	atomic_init(&session->refs, 2); /* the caller and the worker */
	(void)pthread_mutex_init(&session->lock, NULL);
	(void)pthread_condattr_init(&condattr);
	(void)pthread_condattr_setclock(&condattr, CLOCK_MONOTONIC);
	(void)pthread_cond_init(&session->cond, &condattr);
	(void)pthread_condattr_destroy(&condattr);
	session->loop = config->loop;
	session->spec = spec_ref(config->spec);
	session->app_name = strdup(config->app_name);
	session->max_row = config->max_row;
	session->read_only = config->read_only;
	session->on_idle = config->on_idle;
	session->owner = config->owner;
	session->on_closed = config->on_closed;
	session->closed_arg = config->closed_arg;
	session->event.run = on_event;
	session->state.idle_since = clock_mono_ms();
	session->state.sql_modes =
		sql_default_modes(session->spec->engine->dialect);
	if (session->app_name == NULL ||
	    thread_start(&session->thread, SESSION_STACK, worker, session) <
		    0) {
		atomic_store(&session->refs, 1);
		session_unref(session);
		return NULL;
	}
	return session;
}

int session_hand_over(struct session *session, void *owner,
		      const char *app_name)
{
	char *name = strdup(app_name);

	if (name == NULL)
		return -ENOMEM;
	session->owner = owner;
	auto_lock(&session->lock);
	free(session->app_name);
	session->app_name = name;
	session->lent = true;
	return 0;
}

void session_run(struct session *session, struct statement *s)
{
	auto_lock(&session->lock);
	session->job = statement_ref(s);
	session->state.busy = true;
	(void)pthread_cond_broadcast(&session->cond);
}

void session_abort(struct session *session, struct statement *s)
{
	auto_lock(&session->lock);
	if (session->job != s || session->db == NULL)
		return;
	trail_note(&session->trail, "cut the connection: the server did not "
				    "end the statement");
	db_abort(session->db);
}

void session_close(struct session *session)
{
	session->on_idle = NULL;
	{
		auto_lock(&session->lock);
		session->close = true;
		(void)pthread_cond_broadcast(&session->cond);
	}
	session_unref(session);
}

void session_state(struct session *session, struct session_state *out)
{
	auto_lock(&session->lock);
	*out = session->state;
	out->keeps_state |= out->in_transaction;
}

const struct spec *session_spec(const struct session *session)
{
	return session->spec;
}
