/* SPDX-License-Identifier: MIT */
#include "fs/tree_times.h"

#include "auth/auth.h"
#include "common/cleanup.h"
#include "fs/config.h"
#include "fs/connection.h"
#include "fs/conversation.h"
#include "fs/conversation_params.h"
#include "fs/file.h"
#include "fs/file_run.h"
#include "fs/mount.h"
#include "fs/queries.h"
#include "fs/report.h"
#include "fs/scratch.h"
#include "fs/script.h"
#include "fs/statement.h"

static int64_t later(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

static int64_t last_change(struct statement *s)
{
	auto_lock(&s->lock);

	if (s->state < STATEMENT_DONE)
		return s->created_wall;
	return s->created_wall + (int64_t)(s->ended - s->created);
}

/* With nothing to tell of it is as old as its directory. */
int64_t time_of_status(const struct view *v)
{
	struct statement *s = report_statement(v);

	return s != NULL ? last_change(s) : v->dir->mtime_ms;
}

int64_t time_of_error(const struct view *v)
{
	int64_t last = v->dir->mtime_ms;
	const struct script *script;

	if (v->conv == NULL)
		return last;
	script = conversation_pick(v->conv, v->caller, true);
	if (script != NULL && script->current != NULL)
		last = last_change(script->current);
	last = later(last, run_failure_time(v->conv->run_failure));
	if (conversation_params_error(v->conv, v->caller) != NULL)
		last = later(last,
			     conversation_params_time(v->conv, v->caller));
	return last;
}

int64_t time_of_query(const struct view *v)
{
	const struct statement *s = report_statement(v);

	return s != NULL ? s->created_wall : v->dir->mtime_ms;
}

static int64_t last_of_conversation(const struct conversation *conv)
{
	int64_t last = 0;

	for (struct script *s = conv->scripts; s != NULL; s = s->next) {
		if (s->current != NULL)
			last = later(last, last_change(s->current));
		if (s->pending != NULL)
			last = later(last, s->pending->created_wall);
	}
	return last;
}

int64_t time_of_statements(const struct view *v)
{
	int64_t last = v->mount->started_wall;

	for (struct connection *c = v->mount->connections; c != NULL;
	     c = c->next) {
		for (struct conversation *conv = c->conversations; conv != NULL;
		     conv = conv->next) {
			if (report_may_see(conv, v->caller))
				last = later(last, last_of_conversation(conv));
		}
	}
	return last;
}

int64_t time_of_specs(const struct view *v)
{
	return v->mount->read_wall;
}

int64_t time_of_complaints(const struct view *v)
{
	return later(v->mount->read_wall, v->mount->refused_wall);
}

int64_t time_of_mount(const struct view *v)
{
	return later(time_of_statements(v), time_of_complaints(v));
}

int64_t time_of_creds(const struct view *v)
{
	struct auth_status status;

	auth_status(v->conn->spec->auth, &status);
	return later(status.changed_ms, v->dir->mtime_ms);
}

bool time_is_callers(const struct node *dir)
{
	return dir->dir == NODE_RESULTS || dir->dir == NODE_QUERIES;
}

static int64_t time_of_results(struct conversation *conv,
			       const struct caller *caller)
{
	const struct script *script = conversation_pick(conv, caller, false);

	return script != NULL && script->current != NULL
		       ? last_change(script->current)
		       : 0;
}

static int64_t time_of_queries(const struct connection *c,
			       const struct caller *caller)
{
	const struct scratch_dir *own = queries_own(c, caller);

	return own != NULL ? own->changed_ms : 0;
}

int64_t time_of_shared(const struct node *dir, const struct caller *caller)
{
	const struct connection *c = node_connection(dir);
	struct conversation *conv;
	int64_t own = 0;

	if (dir->dir == NODE_QUERIES && c != NULL)
		own = time_of_queries(c, caller);
	else if (dir->dir == NODE_RESULTS &&
		 conversation_at(&conv, dir, caller, false) == 0 &&
		 conv != NULL)
		own = time_of_results(conv, caller);
	return later(own, dir->mtime_ms);
}
