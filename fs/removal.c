/* SPDX-License-Identifier: MIT */
#include "fs/removal.h"

#include <stddef.h>

#include "fs/connection.h"
#include "fs/conversation.h"
#include "fs/follow.h"
#include "fs/mount.h"
#include "fs/node.h"
#include "fs/queries.h"
#include "fs/script.h"

/* A script whose next statement waits to be sent, or null. */
static struct script *find_waiting(const struct conversation *conv)
{
	struct script *s = conv->scripts;

	/* One that waits for its reader is refused when that has read on. */
	while (s != NULL &&
	       (s->running || s->pending == NULL || follow_holds(s)))
		s = s->next;
	return s;
}

static void wind_down(struct conversation *conv)
{
	struct script *waiting;

	(void)conversation_ref(conv);
	/* `sql` goes by its name, which is no one else's. */
	if (conv->follow == NULL)
		node_remove_session(conv->conn->mount->nodes, conv);
	while ((waiting = find_waiting(conv)) != NULL)
		script_advance(waiting); /* refuses it */
	/* What runs may have rows that nobody can read any more. */
	if (conv->active != NULL)
		script_advance(conv->active);
	if (conv->active == NULL)
		connection_release(conv->conn, conv);
	conversation_unref(conv);
}

static bool is_done(const struct conversation *conv)
{
	if (conv->kind == CONVERSATION_EXCHANGE || conv->follow != NULL ||
	    conv->env_waiters.first != NULL)
		return false;
	for (const struct script *s = conv->scripts; s != NULL; s = s->next) {
		if (s->running || s->pending != NULL)
			return false;
	}
	return true;
}

bool removal_check(struct connection *c)
{
	struct conversation *next;

	for (struct conversation *v = c->conversations; v != NULL; v = next) {
		next = v->next;
		if (is_done(v))
			conversation_end(v);
	}
	return c->conversations == NULL && c->n_sessions == 0;
}

void removal_begin(struct connection *c)
{
	struct conversation *next;

	c->removed = true;
	queries_end(c);
	/* Being refused may end an exchange's or a saved query's own. */
	for (struct conversation *v = c->conversations; v != NULL; v = next) {
		next = v->next;
		wind_down(v);
	}
	node_remove_connection(c->mount->nodes, c);
	(void)removal_check(c);
}

bool removal_hides(const struct node *node)
{
	return node->conn != NULL && node->conn->removed &&
	       (node->session == NULL || node->session->ended ||
		node->session->follow == NULL);
}
