/* SPDX-License-Identifier: MIT */
#include "fs/connection.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/clock.h"
#include "fs/config.h"
#include "fs/conversation.h"
#include "fs/mount.h"
#include "fs/queries.h"
#include "fs/script.h"
#include "fs/session.h"
#include "fs/statement.h"

void connection_check(struct connection *c)
{
	struct conversation *next;

	for (struct conversation *v = c->conversations; v != NULL; v = next) {
		next = v->next;
		if (conversation_is_over(v))
			conversation_end(v);
	}
}

enum { REAP_MS = 50 }; /* how soon a holder's end is seen by who waits */

/* Jobs that have ended hold sessions until somebody looks. */
static void on_reap_timer(struct loop_timer *timer)
{
	struct connection *c =
		(struct connection *)((char *)timer -
				      offsetof(struct connection, reap_timer));

	(void)loop_timer_start(c->mount->loop, timer, REAP_MS);
	connection_check(c);
}

struct connection *connection_create(struct mount *mount, struct spec *spec)
{
	struct connection *c = calloc(1, sizeof(*c));

	if (c == NULL)
		return NULL;
	c->refs = 1;
	c->mount = mount;
	c->spec = spec_ref(spec);
	c->reap_timer.run = on_reap_timer;
	return c;
}

struct connection *connection_ref(struct connection *c)
{
	c->refs++;
	return c;
}

void connection_unref(struct connection *c)
{
	if (c == NULL || --c->refs > 0)
		return;
	queries_end(c);
	spec_unref(c->spec);
	free(c);
}

static void on_session_idle(void *owner)
{
	struct conversation *conv = owner;

	conversation_kick(conv);
	connection_serve(conv->conn);
}

static void on_session_closed(void *arg)
{
	struct connection *c = arg;

	c->n_sessions--;
	c->n_closing--;
	connection_serve(c);
	connection_unref(c);
}

static int open_session(struct connection *c, struct conversation *conv)
{
	struct session_config config = {
		.loop = c->mount->loop,
		.spec = c->spec,
		.app_name = conv->app_name,
		.max_row = c->mount->config->settings.max_row,
		.read_only = c->mount->config->settings.read_only,
		.on_idle = on_session_idle,
		.owner = conv,
		.on_closed = on_session_closed,
		.closed_arg = c,
	};

	conv->session = session_create(&config);
	if (conv->session == NULL)
		return -ENOMEM;
	c->n_sessions++;
	(void)connection_ref(c); /* until on_session_closed() */
	return 1;
}

/* SOURCE was read again since it began, and nothing would be lost with it. */
static bool is_outdated(const struct connection *c, struct session *session)
{
	struct session_state state;

	if (session_spec(session) == c->spec)
		return false;
	session_state(session, &state);
	return !state.busy && !state.keeps_state;
}

/* More wait for a session than are about to become free. */
static bool wanted(const struct connection *c)
{
	unsigned n_waiting = 0;

	for (const struct conversation *v = c->waiting; v != NULL;
	     v = v->next_waiting)
		n_waiting++;
	return n_waiting > c->n_closing;
}

void connection_stop_waiting(struct connection *c, struct conversation *conv)
{
	for (struct conversation **p = &c->waiting; *p != NULL;
	     p = &(*p)->next_waiting) {
		if (*p == conv) {
			*p = conv->next_waiting;
			break;
		}
	}
	conv->waits_for_session = false;
	if (c->waiting == NULL)
		loop_timer_stop(c->mount->loop, &c->reap_timer);
}

void connection_release(struct connection *c, struct conversation *conv)
{
	struct session *session = conv->session;

	if (session == NULL)
		return;
	conv->session = NULL;
	c->n_closing++;
	session_close(session);
}

/* Of those whose session could go, the one that has been idle longest. */
static struct conversation *find_spare(struct connection *c)
{
	struct conversation *found = NULL;
	uint64_t oldest = UINT64_MAX;

	for (struct conversation *v = c->conversations; v != NULL;
	     v = v->next) {
		struct session_state state;

		if (!conversation_spare(v))
			continue;
		session_state(v->session, &state);
		if (state.idle_since < oldest) {
			oldest = state.idle_since;
			found = v;
		}
	}
	return found;
}

/* from's session goes to the one that has waited longest. */
static void lend(struct connection *c, struct conversation *from)
{
	struct conversation *to = c->waiting;
	struct session *session = from->session;

	if (session_hand_over(session, to, to->app_name) < 0) {
		connection_release(c, from);
		return;
	}
	from->session = NULL;
	to->session = session;
	connection_stop_waiting(c, to);
}

/* Takes the session of who can spare it. False: there is none. */
static bool take_spare(struct connection *c)
{
	struct conversation *spare = find_spare(c);

	if (spare == NULL)
		return false;
	if (c->n_sessions > c->spec->max_connections ||
	    is_outdated(c, spare->session))
		connection_release(c, spare);
	else
		lend(c, spare);
	return true;
}

/* self asks for a session just now: it need not be told. */
static void serve(struct connection *c, const struct conversation *self)
{
	while (c->waiting != NULL) {
		struct conversation *to = c->waiting;

		if (c->n_sessions < c->spec->max_connections) {
			connection_stop_waiting(c, to);
			if (open_session(c, to) < 0)
				return;
		} else if (!wanted(c) || !take_spare(c)) {
			return;
		}
		if (to->session != NULL && to != self)
			conversation_kick(to);
	}
}

int connection_acquire(struct connection *c, struct conversation *conv)
{
	struct conversation **last = &c->waiting;

	if (conv->session != NULL && is_outdated(c, conv->session))
		connection_release(c, conv);
	if (conv->session != NULL)
		return 1;
	if (c->waiting == NULL && c->n_sessions < c->spec->max_connections)
		return open_session(c, conv);
	if (!conv->waits_for_session) {
		while (*last != NULL)
			last = &(*last)->next_waiting;
		*last = conv;
		conv->next_waiting = NULL;
		conv->waits_for_session = true;
	}
	if (c->reap_timer.slot == 0)
		(void)loop_timer_start(c->mount->loop, &c->reap_timer, REAP_MS);
	serve(c, conv);
	return conv->session != NULL ? 1 : 0;
}

void connection_serve(struct connection *c)
{
	serve(c, NULL);
}

void connection_holders(struct connection *c, struct buf *out)
{
	uint64_t now = clock_mono_ms();

	for (struct conversation *v = c->conversations; v != NULL;
	     v = v->next) {
		struct session_state state;

		if (v->session == NULL)
			continue;
		session_state(v->session, &state);
		buf_printf(out, "  uid %u, session %d, pid %d: ",
			   (unsigned)v->key.uid, (int)v->key.sid,
			   (int)v->key.self.pid);
		if (state.busy && v->active != NULL &&
		    v->active->current != NULL)
			buf_printf(out, "statement %llu, %llu s",
				   (unsigned long long)v->active->current->id,
				   (unsigned long long)(now -
							v->active->current
								->created) /
					   1000);
		else
			buf_printf(out, "idle%s for %llu s",
				   state.in_transaction ? " in a transaction"
				   : state.keeps_state  ? " with settings"
							: "",
				   (unsigned long long)(now -
							state.idle_since) /
					   1000);
		buf_putc(out, '\n');
	}
}
