/* SPDX-License-Identifier: MIT */
#include "fs/script_results.h"

#include <errno.h>
#include <string.h>

#include "common/cleanup.h"
#include "fs/connection.h"
#include "fs/conversation.h"
#include "fs/file_result.h"
#include "fs/mount.h"
#include "fs/node.h"
#include "fs/result.h"
#include "fs/script.h"
#include "fs/spool.h"
#include "fs/statement.h"

enum { ABANDON_MS = 50 }; /* how often a result nobody reads is looked at */

void script_collect(struct script *script)
{
	struct statement *s = script->current;

	auto_lock(&s->lock);
	for (; script->n_collected < s->n_results; script->n_collected++) {
		if (script->n_results == SCRIPT_MAX_RESULTS) {
			node_drop_result(script->results[0].result);
			result_unref(script->results[0].result);
			statement_unref(script->results[0].statement);
			memmove(&script->results[0], &script->results[1],
				sizeof(script->results[0]) *
					(SCRIPT_MAX_RESULTS - 1));
			script->n_results--;
			script->first_result++;
		}
		script->results[script->n_results].result =
			result_ref(s->results[script->n_collected]);
		script->results[script->n_results].statement = statement_ref(s);
		script->n_results++;
	}
}

void script_retire(struct script *script)
{
	for (size_t i = 0; i < script->n_results; i++) {
		node_drop_result(script->results[i].result);
		result_unref(script->results[i].result);
		statement_unref(script->results[i].statement);
	}
	script->first_result += script->n_results;
	script->n_results = 0;
}

int script_last_result(struct script *script, struct result **out,
		       struct statement **statement)
{
	*out = NULL;
	*statement = script->current;
	if (script->rc < 0)
		return script->rc;
	if (script->pending != NULL || script->held)
		return -EAGAIN;
	if (script->running &&
	    statement_state(script->current) < STATEMENT_STREAMING)
		return -EAGAIN;
	if (script->running)
		script_collect(script);
	if (script->n_results > 0) {
		*out = script->results[script->n_results - 1].result;
		*statement = script->results[script->n_results - 1].statement;
	}
	return 0;
}

/* A result that its readers left before the end, and that goes on. */
static void check_abandoned(struct script *script, struct result *result)
{
	struct statement *s = script->current;
	struct spool_state state;

	if (!result->left_early || !s->traits.reads_only || s->in_transaction)
		return;
	spool_state(result->spool, &state);
	if (state.in_bulk || state.full)
		script_cancel(script, STOP_ABANDONED);
	else
		(void)loop_timer_start(s->loop, &script->settle_timer,
				       ABANDON_MS);
}

/* Its connection was removed: nobody can open it any more. */
static void check_unreachable(struct script *script, struct result *result)
{
	struct statement *s = script->current;

	if (!script->conv->conn->removed || script->conv->follow != NULL ||
	    script->on_progress != NULL || script->openers.first != NULL ||
	    !statement_blocked(s))
		return;
	if (s->traits.reads_only && !s->in_transaction)
		script_cancel(script, STOP_ABANDONED);
	else
		spool_forsake(result->spool);
}

void script_check_readers(struct script *script)
{
	struct result *result;

	if (!script->running || script->n_collected == 0 ||
	    script->n_results == 0 || script->pending != NULL ||
	    script->waiters.first != NULL)
		return;
	result = script->results[script->n_results - 1].result;
	if (result->n_open > 0)
		return;
	check_abandoned(script, result);
	check_unreachable(script, result);
}

static void on_opener_dying(struct request *rq)
{
	struct script *script = script_ref(rq->owner);
	struct result_owner *owner = rq->result_owner;

	request_list_remove(&script->openers, rq);
	request_fail(rq, EINTR);
	script_reader_died(script);
	if (owner != NULL)
		owner->closed(owner);
	script_unref(script);
}

int script_wait_result(struct script *script, struct request *rq)
{
	struct request *parked = rq;

	if (!rq->parked)
		parked = request_park(script->conv->conn->mount->requests, rq,
				      on_opener_dying, script);
	if (parked == NULL)
		return -ENOMEM;
	parked->on_dying = on_opener_dying;
	parked->owner = script;
	request_list_add(&script->openers, parked);
	/* It may have been told while it waited for something else. */
	if (parked->dying)
		on_opener_dying(parked);
	return 0;
}

void script_reader_died(struct script *script)
{
	struct statement *s = script->current;

	if (script->running && script->waiters.first == NULL &&
	    script->openers.first == NULL && !statement_is_read(s) &&
	    s->traits.reads_only && atomic_load(&s->rows) == 0)
		script_cancel(script, STOP_CANCEL);
}

struct result *script_result(struct script *script, uint64_t n,
			     struct statement **statement)
{
	if (n < script->first_result ||
	    n - script->first_result >= script->n_results)
		return NULL;
	*statement = script->results[n - script->first_result].statement;
	return script->results[n - script->first_result].result;
}
