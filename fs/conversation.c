/* SPDX-License-Identifier: MIT */
#include "fs/conversation.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/err.h"
#include "fs/config.h"
#include "fs/connection.h"
#include "fs/conversation_params.h"
#include "fs/file_run.h"
#include "fs/follow.h"
#include "fs/mount.h"
#include "fs/node.h"
#include "fs/scratch.h"
#include "fs/script.h"
#include "fs/session.h"
#include "fs/statement.h"

static bool same_key(const struct conversation *conv,
		     const struct caller *caller)
{
	const struct caller *key = &conv->key;

	if (key->uid != caller->uid || key->sid != caller->sid ||
	    key->mnt_ns != caller->mnt_ns || key->pid_ns != caller->pid_ns ||
	    key->user_ns != caller->user_ns)
		return false;
	/* A session whose leader has gone is still the same session. */
	return key->leader_birth == caller->leader_birth ||
	       caller->leader_birth == 0;
}

struct conversation *conversation_find(struct connection *conn,
				       const struct caller *caller)
{
	for (struct conversation *v = conn->conversations; v != NULL;
	     v = v->next) {
		if (v->kind == CONVERSATION_SHELL && same_key(v, caller))
			return v;
	}
	return NULL;
}

static struct conversation *of_idle_timer(struct loop_timer *timer)
{
	return (struct conversation *)((char *)timer -
				       offsetof(struct conversation,
						idle_timer));
}

static void on_idle_timer(struct loop_timer *timer)
{
	struct conversation *conv = of_idle_timer(timer);
	struct session_state state;

	if (conv->session == NULL || conv->active != NULL)
		return;
	session_state(conv->session, &state);
	if (state.in_transaction && !state.busy)
		conv->rolled_back = true;
	if (conv->rolled_back || conversation_spare(conv))
		connection_release(conv->conn, conv);
}

static unsigned unused_ms(const struct conversation *conv)
{
	uint64_t ms = clock_mono_ms() - conv->used;

	return ms < UINT32_MAX ? (unsigned)ms : UINT32_MAX;
}

static void on_session_timer(struct loop_timer *timer)
{
	struct conversation *conv =
		(struct conversation *)((char *)timer -
					offsetof(struct conversation,
						 session_timer));
	const struct settings *settings = &conv->conn->mount->config->settings;

	if (conv->n_handles == 0 && conv->active == NULL &&
	    unused_ms(conv) >= settings->session_timeout_ms)
		conversation_end(conv);
	else
		conversation_set_timeout(conv);
}

void conversation_set_timeout(struct conversation *conv)
{
	struct mount *m = conv->conn->mount;
	unsigned timeout = m->config->settings.session_timeout_ms;
	unsigned unused = unused_ms(conv);

	(void)loop_timer_start(m->loop, &conv->session_timer,
			       unused < timeout ? timeout - unused : timeout);
}

struct conversation *conversation_create(struct connection *conn,
					 const struct caller *caller,
					 enum conversation_kind kind)
{
	struct conversation *conv = calloc(1, sizeof(*conv));

	if (conv == NULL)
		return NULL;
	conv->refs = 1;
	conv->kind = kind;
	conv->ns = NS_HOLD_NONE;
	conv->conn = connection_ref(conn);
	conv->key = *caller;
	conv->sql_modes = sql_default_modes(conn->spec->engine->dialect);
	conv->idle_timer.run = on_idle_timer;
	conv->session_timer.run = on_session_timer;
	conv->used = clock_mono_ms();
	conv->next = conn->conversations;
	conn->conversations = conv;
	return conv;
}

struct conversation *conversation_get(struct connection *conn,
				      const struct caller *caller)
{
	struct conversation *conv = conversation_find(conn, caller);

	return conv != NULL
		       ? conv
		       : conversation_create(conn, caller, CONVERSATION_SHELL);
}

bool conversation_is_of(const struct conversation *conv,
			const struct caller *caller)
{
	return conv->key.uid == caller->uid &&
	       conv->key.user_ns == caller->user_ns &&
	       conv->key.pid_ns == caller->pid_ns;
}

int conversation_at(struct conversation **out, const struct node *node,
		    const struct caller *caller, bool make)
{
	struct connection *conn = node->conn;

	*out = node->session;
	if (node->session != NULL) {
		if (node->session->ended ||
		    !conversation_is_of(node->session, caller))
			return -ESTALE;
		if (make)
			node->session->used = clock_mono_ms();
		return 0;
	}
	if (conn == NULL)
		conn = node_connection(node);
	if (conn == NULL)
		return 0;
	*out = make ? conversation_get(conn, caller)
		    : conversation_find(conn, caller);
	return make && *out == NULL ? -ENOMEM : 0;
}

struct conversation *conversation_ref(struct conversation *conv)
{
	conv->refs++;
	return conv;
}

void conversation_unref(struct conversation *conv)
{
	if (conv == NULL || --conv->refs > 0)
		return;
	ns_hold_finish(&conv->ns);
	connection_unref(conv->conn);
	free(conv);
}

struct script *conversation_pick(struct conversation *conv,
				 const struct caller *reader, bool refused)
{
	struct script *best = NULL;
	size_t nearest = 0;

	for (struct script *s = conv->scripts; s != NULL; s = s->next) {
		size_t common;

		if (s->refused && !refused)
			continue;
		common = caller_common_ancestors(&s->writer, reader);
		if (best == NULL || common > nearest) {
			best = s;
			nearest = common;
		}
	}
	return best;
}

/* Takes it off the list, if it is there; the list's reference goes along. */
static bool unlink_script(struct conversation *conv, struct script *script)
{
	for (struct script **p = &conv->scripts; *p != NULL; p = &(*p)->next) {
		if (*p == script) {
			*p = script->next;
			script->next = NULL;
			return true;
		}
	}
	return false;
}

static void retire(struct conversation *conv, struct script *script)
{
	(void)unlink_script(conv, script);
	script_retire(script);
	script_unref(script);
}

void conversation_add(struct conversation *conv, struct script *script)
{
	struct script *next;

	if (conv->scripts == script || conv->ended)
		return;
	if (!unlink_script(conv, script))
		(void)script_ref(script);
	for (struct script *s = conv->scripts; s != NULL; s = next) {
		next = s->next;
		if (!s->running && s->pending == NULL &&
		    caller_superseded_by(&s->writer, &script->writer))
			retire(conv, s);
	}
	script->next = conv->scripts;
	conv->scripts = script;
}

/* The writers are the same process, or one descends from the other. */
static bool same_job(const struct script *a, const struct script *b)
{
	size_t common = caller_common_ancestors(&a->writer, &b->writer);

	return common > 0 &&
	       (common == a->writer.depth || common == b->writer.depth);
}

/* Rule 5 of design section 3. 0: wait for it; -EBUSY. */
static int meet(struct script *earlier, struct err *err)
{
	struct statement *s = earlier->current;

	if (earlier->waiters.first != NULL)
		return err_set(err, EBUSY,
			       "statement %llu of this conversation is still "
			       "running",
			       (unsigned long long)(s != NULL ? s->id : 0));
	if (!earlier->running)
		return 0;
	if (!statement_is_read(s) && s->traits.reads_only &&
	    !s->in_transaction) {
		script_cancel(earlier, STOP_REPLACED);
		return 0;
	}
	if (!statement_blocked(s))
		return 0;
	return err_set(err, EBUSY,
		       "the result of statement %llu is larger than the spool "
		       "and waits for its reader; read it to the end, or cancel "
		       "it",
		       (unsigned long long)s->id);
}

static void wait_turn(struct conversation *conv, struct script *script)
{
	struct script **last = &conv->turn;

	if (script->in_turn)
		return;
	while (*last != NULL)
		last = &(*last)->next_turn;
	*last = script;
	script->next_turn = NULL;
	script->in_turn = true;
}

static void stop_turn(struct conversation *conv, struct script *script)
{
	for (struct script **p = &conv->turn; *p != NULL;
	     p = &(*p)->next_turn) {
		if (*p == script) {
			*p = script->next_turn;
			break;
		}
	}
	script->in_turn = false;
}

int conversation_enter(struct conversation *conv, struct script *script,
		       struct err *err)
{
	int rc = 0;

	if (conv->ended)
		return err_set(err, ENOTCONN, "this conversation has ended");
	if (conv->active != NULL && conv->active != script) {
		if (same_job(conv->active, script))
			rc = meet(conv->active, err);
		if (rc == 0)
			wait_turn(conv, script);
		else
			stop_turn(conv, script);
		return rc;
	}
	stop_turn(conv, script);
	if (conv->rolled_back) {
		conv->rolled_back = false;
		return err_set(err, EAGAIN,
			       "the transaction was idle for longer than "
			       "idle_in_transaction_timeout, and was rolled "
			       "back");
	}
	/* Between two scripts, and not within one, it is the others' turn. */
	if (conv->active == NULL)
		connection_serve(conv->conn);
	conv->active = script;
	rc = connection_acquire(conv->conn, conv);
	if (rc < 0)
		return err_set(err, -rc, "no memory for a database session");
	return rc;
}

void conversation_leave(struct conversation *conv, struct script *script)
{
	stop_turn(conv, script);
	if (conv->active != script)
		return;
	conv->active = NULL;
	if (conv->waits_for_session)
		connection_stop_waiting(conv->conn, conv);
	conversation_kick(conv);
}

void conversation_kick(struct conversation *conv)
{
	struct mount *m = conv->conn->mount;
	const struct spec *spec = conv->conn->spec;
	struct script *script = conv->active;
	struct session_state state = {0};

	if (conv->session != NULL) {
		session_state(conv->session, &state);
		conv->sql_modes = state.sql_modes;
	}
	if (script == NULL)
		script = conv->turn;
	if (script != NULL) {
		script_advance(script);
		return;
	}
	conv->used = clock_mono_ms();
	if (conv->session == NULL)
		return;
	/* There will be no next statement to keep it for. */
	if (conv->conn->removed) {
		connection_release(conv->conn, conv);
		return;
	}
	(void)loop_timer_start(m->loop, &conv->idle_timer,
			       state.in_transaction
				       ? spec->idle_in_transaction_timeout_ms
				       : spec->idle_timeout_ms);
}

bool conversation_spare(struct conversation *conv)
{
	struct session_state state;

	if (conv->session == NULL || conv->active != NULL ||
	    conv->conn->spec->sticky)
		return false;
	session_state(conv->session, &state);
	return !state.busy && !state.keeps_state;
}

static void answer_env_waiters(struct conversation *conv)
{
	struct request *rq;

	while ((rq = request_list_take(&conv->env_waiters)) != NULL)
		rq->then(rq);
}

void conversation_end(struct conversation *conv)
{
	struct connection *c = conv->conn;

	if (conv->ended)
		return;
	conv->ended = true;
	(void)conversation_ref(conv);
	for (struct script *s = conv->scripts; s != NULL; s = s->next)
		script_cancel(s, STOP_ENDING);
	while (conv->turn != NULL) {
		struct script *s = conv->turn;

		stop_turn(conv, s);
		script_cancel(s, STOP_ENDING);
	}
	/* Their files are closed with all others, before the answer comes. */
	answer_env_waiters(conv);
	follow_end(conv);
	loop_timer_stop(c->mount->loop, &conv->idle_timer);
	loop_timer_stop(c->mount->loop, &conv->session_timer);
	connection_stop_waiting(c, conv);
	connection_release(c, conv);
	while (conv->scripts != NULL)
		retire(conv, conv->scripts);
	scratch_dir_end(take_ptr(conv->scratch));
	run_failure_destroy(take_ptr(conv->run_failure));
	conversation_drop_params(conv);
	node_remove_session(c->mount->nodes, conv);
	for (struct conversation **p = &c->conversations; *p != NULL;
	     p = &(*p)->next) {
		if (*p == conv) {
			*p = conv->next;
			conversation_unref(conv);
			break;
		}
	}
	conversation_unref(conv);
}

bool conversation_is_over(struct conversation *conv)
{
	if (conv->of_process)
		return !process_alive(&conv->key.self);
	if (conv->kind == CONVERSATION_NAMED)
		return ns_hold_is_over(&conv->ns);
	return conv->kind == CONVERSATION_SHELL && conv->n_handles == 0 &&
	       conv->env_waiters.first == NULL &&
	       !caller_session_alive(&conv->key);
}

void conversation_app_name(const struct conversation *conv, char *out,
			   const struct caller_names *names)
{
	const struct settings *settings = &conv->conn->mount->config->settings;
	const struct spec *spec = conv->conn->spec;
	const struct app_name_rule rule = {
		.template = spec->application_name != NULL
				    ? spec->application_name
				    : settings->conn_app_name,
		.realm = settings->realm,
		.conn_id = spec->conn_id,
	};
	size_t max = spec->engine->app_name_max;

	if (max >= CONVERSATION_NAME_SIZE)
		max = CONVERSATION_NAME_SIZE - 1;
	caller_app_name(out, max, &rule, names, &conv->env);
}

void conversation_name(struct conversation *conv, const struct caller *writer)
{
	struct caller_names names;

	if (conv->app_name[0] != '\0')
		return;
	caller_describe(writer, &names);
	conversation_app_name(conv, conv->app_name, &names);
	caller_names_finish(&names);
}

struct env_answer {
	struct loop_event event;
	struct conversation *conv; /* counted */
	struct caller_env env;
};

/* Thread of the loop. */
static void on_env(struct loop_event *event)
{
	struct env_answer *answer = (struct env_answer *)event;

	answer->conv->env = answer->env;
	answer->conv->env_known = true;
	answer_env_waiters(answer->conv);
	conversation_unref(answer->conv);
	free(answer);
}

/* Thread of the reader. */
static void on_env_read(void *arg, const struct caller_env *env)
{
	struct env_answer *answer = arg;

	answer->env = *env;
	(void)loop_post(answer->conv->conn->mount->loop, &answer->event);
}

/* The answer comes within 50 ms: a caller that ends waits that long. */
static void on_env_dying(struct request *rq)
{
	(void)rq;
}

/* Asks once: the answer wakes all who wait. */
static int ask_env(struct conversation *conv, const struct caller *caller)
{
	struct env_answer *answer = calloc(1, sizeof(*answer));

	if (answer == NULL)
		return -ENOMEM;
	conv->env_asked = true;
	answer->event.run = on_env;
	answer->conv = conversation_ref(conv);
	env_reader_request(conv->conn->mount->env, caller->tid, on_env_read,
			   answer);
	return 0;
}

int conversation_learn_env(struct conversation *conv,
			   const struct caller *caller,
			   const struct request *rq)
{
	struct request *parked;

	if (conv->env_known)
		return 1;
	if (!conv->env_asked && ask_env(conv, caller) < 0)
		return -ENOMEM;
	parked = request_park(conv->conn->mount->requests, rq, on_env_dying,
			      rq->owner);
	if (parked == NULL)
		return -ENOMEM;
	request_list_add(&conv->env_waiters, parked);
	return 0;
}
