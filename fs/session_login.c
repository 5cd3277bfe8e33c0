/* SPDX-License-Identifier: MIT */
/*
 * Before a statement is sent: a connection that is known to work. And what is
 * kept of how it came about, for `error` and status.json.
 */
#include "fs/session_internal.h"

#include <errno.h>
#include <stdarg.h>

#include "backends/db.h"
#include "common/chance.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "common/err.h"
#include "common/log.h"
#include "fs/config.h"
#include "fs/statement.h"

enum {
	/* One part in so many of a connection's life is left to chance. */
	LIFE_SPREAD = 10,
};

struct login session_login(const struct session *session, const char *app_name)
{
	return (struct login){
		.spec = session->spec,
		.app_name = app_name,
		.max_row = session->max_row,
		.read_only = session->read_only,
	};
}

struct db *session_detach_db(struct session *session)
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

void session_note(struct session *session, const char *fmt, ...)
{
	va_list ap;
	auto_lock(&session->lock);

	va_start(ap, fmt);
	trail_vnote(&session->trail, fmt, ap);
	va_end(ap);
}

void session_begin_trail(struct session *session)
{
	auto_lock(&session->lock);
	trail_keep(&session->trail, session->login_from, session->login_to);
}

void session_explain(struct session *session, struct statement *s)
{
	auto_lock(&session->lock);
	statement_set_trail(s, &session->trail);
}

/* The statement a login is for. */
static void take_time(struct session *session, enum login_step step)
{
	struct statement *s = session->job;
	auto_lock(&s->lock);

	switch (step) {
	case LOGIN_BEGUN:
		/* It may have been sent by a connection that was lost. */
		s->sent = false;
		timing_forget(&s->timing, TIMING_CREDENTIALS, TIMING_ROWS);
		timing_begin(&s->timing);
		break;
	case LOGIN_CREDENTIAL:
		timing_end(&s->timing, TIMING_CREDENTIALS);
		break;
	case LOGIN_DIALLED:
		timing_forget(&s->timing, TIMING_TLS, TIMING_TLS);
		timing_end(&s->timing, TIMING_DIAL);
		break;
	case LOGIN_SECURED:
		timing_end(&s->timing, TIMING_TLS);
		break;
	case LOGIN_PLAIN:
	case LOGIN_ADMITTED:
	case LOGIN_FAILED:
		break;
	}
}

static void on_step(void *arg, enum login_step step, const char *text)
{
	struct session *session = arg;

	take_time(session, step);
	auto_lock(&session->lock);
	if (step == LOGIN_BEGUN)
		session->login_from = trail_next(&session->trail);
	trail_note(&session->trail, "%s", text);
}

/* It has come to a connection: what led there is told of each statement. */
static void end_login(struct session *session)
{
	struct statement *s = session->job;

	{
		auto_lock(&s->lock);
		timing_end(&s->timing, TIMING_LOGIN);
	}
	auto_lock(&session->lock);
	session->login_to = trail_next(&session->trail);
}

/*
 * When a connection that begins now is to end: all that were opened together do
 * not end together.
 */
static uint64_t end_of_life(const struct session *session)
{
	unsigned life = session->spec->engine->session_life_ms;

	if (life == 0)
		return UINT64_MAX;
	return clock_mono_ms() + life - chance_up_to(life / LIFE_SPREAD);
}

static int log_in(struct session *session, struct err *err)
{
	struct login login = session_login(session, session->app_name);
	struct db *db;
	int rc;

	login.on_step = on_step;
	login.step_arg = session;
	rc = login_open(&db, &login, err);
	if (rc < 0)
		return rc;
	end_login(session);
	if (!session->logged_in_before)
		conn_log(session->spec->conn_id, LOG_LEVEL_DEBUG, "logged in");
	session->logged_in_before = true;
	session->db_end = end_of_life(session);
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
	struct login login = session_login(session, session->app_name);
	int rc;

	login.on_step = on_step;
	login.step_arg = session;
	rc = login_reset(session->db, &login, err);
	if (rc < 0) {
		session_note(session, "it cannot be reset: %s", err->msg);
		db_close(session_detach_db(session));
		return log_in(session, err);
	}
	if (session->spec->engine->cancels_by_login)
		end_login(session);
	auto_lock(&session->lock);
	session->lent = false;
	session->state.sql_modes = db_sql_modes(session->db);
	return 0;
}

/* The server would soon end the connection, and nothing is lost with it. */
static bool is_aged(struct session *session)
{
	struct session_state state;

	if (clock_mono_ms() < session->db_end)
		return false;
	session_state(session, &state);
	return !state.keeps_state;
}

int session_ready(struct session *session, struct err *err)
{
	struct session_state was;
	int rc;

	if (session->db != NULL && is_aged(session))
		db_close(session_detach_db(session));
	if (session->db == NULL)
		return log_in(session, err);
	rc = db_check(session->db, err);
	if (rc == 0 && session->lent)
		return reset(session, err);
	if (rc != -ENOTCONN)
		return rc;
	session_note(session, "connection lost: %s", err->msg);
	session_state(session, &was);
	db_close(session_detach_db(session));
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
	return log_in(session, err);
}
