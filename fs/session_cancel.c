/* SPDX-License-Identifier: MIT */
/*
 * A statement is ended at the server by a thread of its own: that asks, and
 * asks again, while the worker waits for the statement's end.
 */
#include "fs/session_internal.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/cleanup.h"
#include "common/err.h"
#include "common/log.h"
#include "common/thread.h"
#include "fs/config.h"
#include "fs/login.h"
#include "fs/statement.h"

enum {
	/* Between two requests to cancel; each time four times as long. */
	CANCEL_RETRY_MS = 100,
	CANCEL_RETRY_MAX_MS = 2000,
};

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

/* Waits for the statement to end. False: it has, or has not begun. */
static bool still_runs(const struct cancel *c, unsigned ms)
{
	struct session *session = c->session;
	const struct timespec until = session_time_in(ms);
	auto_lock(&session->lock);

	while (session->job == c->s && session->db != NULL && ms > 0) {
		if (pthread_cond_timedwait(&session->cond, &session->lock,
					   &until) != 0)
			break;
	}
	return session->job == c->s && session->db != NULL;
}

static int ask(const struct cancel *c, const struct login *login,
	       struct err *err)
{
	int rc = login_cancel(c->session->db, login, err);

	if (rc == 0)
		session_note(c->session, "asked the server to end it");
	else
		session_note(c->session, "cannot ask the server to end it: %s",
			     err->msg);
	return rc;
}

/*
 * A request may reach the server before the statement does, and is lost then:
 * it is made again, until the statement ends or the loop cuts the line.
 */
static void *canceller(void *arg)
{
	struct cancel *c = arg;
	struct session *session = c->session;
	const struct login login = session_login(session, c->app_name);
	struct err err;
	int rc = 0;

	for (unsigned ms = 0;
	     rc == 0 && ms <= CANCEL_RETRY_MAX_MS && still_runs(c, ms);
	     ms = ms == 0 ? CANCEL_RETRY_MS : ms * 4)
		rc = ask(c, &login, &err);
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

	if (c == NULL)
		return;
	memcpy(c->app_name, session->app_name, size);
	c->session = session;
	c->s = statement_ref(s);
	{
		auto_lock(&session->lock);
		session->n_cancels++;
		/* The worker may wait to send it again. */
		(void)pthread_cond_broadcast(&session->cond);
	}
	if (thread_start(NULL, SESSION_STACK, canceller, c) < 0)
		cancel_done(c);
}
