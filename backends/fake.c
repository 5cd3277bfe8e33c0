/* SPDX-License-Identifier: MIT */
/*
 * The sessions of a back end without a server, for tests and benchmarks.
 * fake_script.c says what they do.
 */
#include "backends/fake_session.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "backends/sql.h"
#include "common/cleanup.h"
#include "common/err.h"

static atomic_uint_least64_t n_logins;

static struct fake_session *session_of(struct db *db)
{
	return (struct fake_session *)db;
}

static int fake_exec(struct db *db, const char *sql, const struct db_args *args,
		     const struct db_sink *sink, void *arg, struct err *err)
{
	struct fake_play p = {
		.s = session_of(db),
		.sink = sink,
		.arg = arg,
		.err = err,
		.text = sql,
	};
	int rc;

	if (args->n > 0)
		return err_set(err, EOPNOTSUPP,
			       "statements of this engine have no parameters");
	(void)pthread_mutex_lock(&p.s->lock);
	p.s->running = true;
	p.s->cancelled = false;
	p.s->deaf = false;
	rc = fake_interrupted(&p);
	(void)pthread_mutex_unlock(&p.s->lock);
	if (rc == 0)
		rc = fake_play(&p);
	(void)pthread_mutex_lock(&p.s->lock);
	p.s->running = false;
	(void)pthread_mutex_unlock(&p.s->lock);
	return rc;
}

static int set_app_name(struct fake_session *s, const char *name,
			struct err *err)
{
	char *copy = strdup(name != NULL ? name : "");

	if (copy == NULL)
		return err_set(err, ENOMEM, "out of memory");
	free(s->app_name);
	s->app_name = copy;
	return 0;
}

static int fake_open(struct db **out, const struct db_params *params,
		     struct err *err)
{
	struct fake_session *s = calloc(1, sizeof(*s));
	pthread_condattr_t attr;

	if (s == NULL)
		return err_set(err, ENOMEM, "out of memory");
	if (set_app_name(s, params->application_name, err) < 0) {
		free(s);
		return -ENOMEM;
	}
	s->max_row = params->max_row;
	s->login = atomic_fetch_add(&n_logins, 1) + 1;
	s->db.sql_modes = SQL_PLAIN_BACKSLASH;
	(void)pthread_mutex_init(&s->lock, NULL);
	(void)pthread_condattr_init(&attr);
	(void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	(void)pthread_cond_init(&s->wake, &attr);
	(void)pthread_condattr_destroy(&attr);
	*out = &s->db;
	return 0;
}

static int fake_check(struct db *db, struct err *err)
{
	struct fake_session *s = session_of(db);
	auto_lock(&s->lock);

	if (s->aborted)
		return err_set(err, ENOTCONN, "the connection was cut");
	return 0;
}

static int fake_reset(struct db *db, const struct db_params *params,
		      struct err *err)
{
	struct fake_session *s = session_of(db);
	int rc = fake_check(db, err);

	if (rc == 0)
		rc = set_app_name(s, params->application_name, err);
	if (rc < 0)
		return rc;
	s->n_resets++;
	s->db.in_transaction = false;
	return 0;
}

static int fake_cancel(struct db *db, const struct db_params *params,
		       struct err *err)
{
	struct fake_session *s = session_of(db);
	auto_lock(&s->lock);

	if (s->running && !s->deaf) {
		s->cancelled = true;
		(void)pthread_cond_broadcast(&s->wake);
	}
	return 0;
}

static void fake_abort(struct db *db)
{
	struct fake_session *s = session_of(db);
	auto_lock(&s->lock);

	s->aborted = true;
	(void)pthread_cond_broadcast(&s->wake);
}

static void fake_close(struct db *db)
{
	struct fake_session *s = session_of(db);

	(void)pthread_cond_destroy(&s->wake);
	(void)pthread_mutex_destroy(&s->lock);
	free(s->app_name);
	free(s);
}

const struct backend fake_backend = {
	.name = "fake",
	.open = fake_open,
	.exec = fake_exec,
	.check = fake_check,
	.reset = fake_reset,
	.cancel = fake_cancel,
	.abort = fake_abort,
	.close = fake_close,
};
