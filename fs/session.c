/* SPDX-License-Identifier: MIT */
#include "fs/session.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "auth/auth.h"
#include "backends/db.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "common/err.h"
#include "common/log.h"
#include "fs/config.h"
#include "fs/loop.h"
#include "fs/params.h"
#include "fs/statement.h"

enum {
	/* SQLite's parser needs most of it for a deeply nested expression. */
	WORKER_STACK = 1024 * 1024,
	/* Between two requests to cancel; each time four times as long. */
	CANCEL_RETRY_MS = 100,
	CANCEL_RETRY_MAX_MS = 2000,
};

struct session {
	atomic_uint refs;
	struct loop *loop;
	struct spec *spec;
	uint64_t max_row;
	bool read_only;
	void (*on_idle)(void *owner); /* thread of the loop */
	void *owner;
	void (*on_closed)(void *arg); /* thread of the loop */
	void *closed_arg;
	struct loop_event event;
	pthread_t thread; /* the worker */
	bool joined;      /* it has been, by the loop */

	/* The worker's own. */
	bool logged_in_before;

	pthread_mutex_t lock;
	pthread_cond_t cond;
	char *app_name;        /* lock; the worker's while it has a job */
	bool lent;             /* lock; it has to be reset first */
	struct statement *job; /* lock; counted while it runs */
	bool close;            /* lock */
	bool ended;            /* lock; the worker touches nothing more */
	struct db *db;         /* lock to change; the worker uses it */
	unsigned n_cancels;    /* lock; cancellers: the worker outlives them */
	struct session_state state; /* lock */
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

static void fill_params(const struct session *session, const char *app_name,
			struct db_params *p)
{
	const struct spec *spec = session->spec;

	*p = (struct db_params){
		.host = spec->host,
		.port = spec->port,
		.connect_host = spec->connect_host,
		.connect_port = spec->connect_port,
		.database = spec->database,
		.user = spec->user,
		.application_name = app_name,
		.sslmode = spec->sslmode,
		.ca_cert = spec->ca_cert,
		.tls_fingerprint = spec->tls_fingerprint,
		.init_sql = spec->init_sql,
		.read_only = session->read_only || spec->read_only,
		.connect_timeout_ms = spec->connect_timeout_ms,
		.statement_timeout_ms = spec->statement_timeout_ms,
		.max_row = session->max_row,
	};
}

/* Takes the connection away once no canceller is left that could use it. */
static struct db *detach_db(struct session *session)
{
	struct db *db;

	auto_lock(&session->lock);
	while (session->n_cancels > 0)
		(void)pthread_cond_wait(&session->cond, &session->lock);
	db = session->db;
	session->db = NULL;
	session->state.in_transaction = false;
	session->state.keeps_state = false;
	session->state.sql_modes =
		sql_default_modes(session->spec->engine->dialect);
	return db;
}

/* Puts a fresh credential into p, for as long as *credential is kept. */
static int add_credential(const struct session *session, struct db_params *p,
			  struct credential *credential, struct err *err)
{
	int rc = auth_get(session->spec->auth, credential, err);

	if (rc < 0)
		return rc;
	if (credential->user != NULL)
		p->user = credential->user;
	p->password = credential->password.data;
	return 0;
}

static int login(struct session *session, struct err *err)
{
	const char *backend = session->spec->engine->backend;
	struct credential credential = {0};
	struct db_params params;
	struct db *db = NULL;
	int rc;

	fill_params(session, session->app_name, &params);
	rc = add_credential(session, &params, &credential, err);
	if (rc < 0)
		return rc;
	rc = db_open(&db, backend, &params, err);
	credential_finish(&credential);
	if (rc == -EACCES)
		auth_reject(session->spec->auth, err->msg);
	if (rc < 0)
		return rc;
	if (!session->logged_in_before)
		conn_log(session->spec->conn_id, LOG_LEVEL_DEBUG, "logged in");
	session->logged_in_before = true;
	auto_lock(&session->lock);
	session->db = db;
	session->lent = false;
	session->state.sql_modes = db_sql_modes(db);
	return 0;
}

/*
 * The connection was another client's: nothing of that is left in it. One that
 * cannot be reset is closed.
 */
static int reset(struct session *session, struct err *err)
{
	struct credential credential = {0};
	struct db_params params;
	int rc = 0;

	fill_params(session, session->app_name, &params);
	if (session->spec->engine->cancels_by_login)
		rc = add_credential(session, &params, &credential, err);
	if (rc == 0)
		rc = db_reset(session->db, &params, err);
	credential_finish(&credential);
	if (rc < 0) {
		db_close(detach_db(session));
		return login(session, err);
	}
	auto_lock(&session->lock);
	session->lent = false;
	session->state.sql_modes = db_sql_modes(session->db);
	return 0;
}

/*
 * A connection that is known to work, or a new one. One that was lost with
 * something in it that the next statement would count on is a failure.
 */
static int ready(struct session *session, struct err *err)
{
	struct session_state was;
	int rc;

	if (session->db == NULL)
		return login(session, err);
	rc = db_check(session->db, err);
	if (rc == 0 && session->lent)
		return reset(session, err);
	if (rc != -ENOTCONN)
		return rc;
	session_state(session, &was);
	db_close(detach_db(session));
	if (was.in_transaction)
		return err_set(err, ENOTCONN,
			       "the server closed the connection; the open "
			       "transaction was rolled back");
	if (was.keeps_state)
		return err_set(err, ENOTCONN,
			       "the server closed the connection; its settings, "
			       "temporary tables and prepared statements are "
			       "gone");
	conn_log(session->spec->conn_id, LOG_LEVEL_DEBUG,
		 "the server closed an idle connection; logging in again");
	return login(session, err);
}

static int run_once(struct session *session, struct statement *s,
		    struct err *err)
{
	int rc = ready(session, err);

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
	rc = db_exec(session->db, s->sql, params_args(s->params),
		     &statement_sink, s, err);
	if (rc == -ENOTCONN)
		db_close(detach_db(session));
	return rc;
}

static void run(struct session *session, struct statement *s)
{
	struct session_state before;
	struct err err = {0};
	bool reused;
	int rc;

	session_state(session, &before);
	{
		auto_lock(&s->lock);
		(void)snprintf(s->app_name, sizeof(s->app_name), "%s",
			       session->app_name);
	}
	statement_set_state(s, STATEMENT_CONNECTING);
	reused = session->db != NULL;
	rc = run_once(session, s, &err);
	/*
	 * A connection that died unseen while it was idle: what only reads and
	 * has shown nothing is sent again. A server that said why it hung up
	 * is not asked twice.
	 */
	if (rc == -ENOTCONN && reused && err.sqlstate[0] == '\0' &&
	    s->traits.reads_only && !before.keeps_state &&
	    statement_state(s) == STATEMENT_RUNNING &&
	    !atomic_load(&s->stopped))
		rc = run_once(session, s, &err);
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
	db_close(detach_db(session));
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
	pthread_attr_t attr;
	int rc;

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
	(void)pthread_attr_init(&attr);
	(void)pthread_attr_setstacksize(&attr, WORKER_STACK);
	rc = session->app_name == NULL
		     ? ENOMEM
		     : pthread_create(&session->thread, &attr, worker, session);
	(void)pthread_attr_destroy(&attr);
	if (rc != 0) {
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

struct cancel {
	struct session *session;
	struct statement *s;
	char app_name[]; /* the session's may become another client's */
};

/* Its last act: the worker may end from here on. */
static void cancel_done(struct cancel *c)
{
	struct session *session = c->session;

	statement_unref(c->s);
	free(c);
	auto_lock(&session->lock);
	session->n_cancels--;
	(void)pthread_cond_broadcast(&session->cond);
}

static int cancel_once(struct cancel *c, struct err *err)
{
	struct session *session = c->session;
	struct credential credential = {0};
	struct db_params params;
	int rc = 0;

	fill_params(session, c->app_name, &params);
	if (session->spec->engine->cancels_by_login)
		rc = add_credential(session, &params, &credential, err);
	if (rc == 0)
		rc = db_cancel(session->db, &params, err);
	credential_finish(&credential);
	return rc;
}

/* Waits for the statement to end. False: it has, or has not begun. */
static bool still_runs(const struct cancel *c, unsigned ms)
{
	struct session *session = c->session;
	struct timespec until;
	auto_lock(&session->lock);

	(void)clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += ms / 1000;
	until.tv_nsec += (long)(ms % 1000) * 1000000;
	if (until.tv_nsec >= 1000000000) {
		until.tv_sec++;
		until.tv_nsec -= 1000000000;
	}
	while (session->job == c->s && session->db != NULL && ms > 0) {
		if (pthread_cond_timedwait(&session->cond, &session->lock,
					   &until) != 0)
			break;
	}
	return session->job == c->s && session->db != NULL;
}

/*
 * A request may reach the server before the statement does, and is lost then:
 * it is made again, until the statement ends or the loop cuts the line.
 */
static void *canceller(void *arg)
{
	struct cancel *c = arg;
	struct session *session = c->session;
	struct err err;
	int rc = 0;

	for (unsigned ms = 0;
	     rc == 0 && ms <= CANCEL_RETRY_MAX_MS && still_runs(c, ms);
	     ms = ms == 0 ? CANCEL_RETRY_MS : ms * 4)
		rc = cancel_once(c, &err);
	if (rc < 0)
		conn_log(session->spec->conn_id, LOG_LEVEL_WARN,
			 "cannot cancel at the server: %s", err.msg);
	cancel_done(c);
	return NULL;
}

void session_cancel(struct session *session, struct statement *s)
{
	size_t size = strlen(session->app_name) + 1;
	struct cancel *c = malloc(sizeof(*c) + size);
	pthread_attr_t attr;
	pthread_t thread;
	int rc;

	if (c == NULL)
		return;
	memcpy(c->app_name, session->app_name, size);
	c->session = session;
	c->s = statement_ref(s);
	{
		auto_lock(&session->lock);
		session->n_cancels++;
	}
	(void)pthread_attr_init(&attr);
	(void)pthread_attr_setstacksize(&attr, WORKER_STACK);
	(void)pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	rc = pthread_create(&thread, &attr, canceller, c);
	(void)pthread_attr_destroy(&attr);
	if (rc != 0)
		cancel_done(c);
}

void session_abort(struct session *session, struct statement *s)
{
	auto_lock(&session->lock);
	if (session->job == s && session->db != NULL)
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
