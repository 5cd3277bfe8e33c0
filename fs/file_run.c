/* SPDX-License-Identifier: MIT */
#include "fs/file_run.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "common/err.h"
#include "common/utf8.h"
#include "fs/connection.h"
#include "fs/conversation.h"
#include "fs/conversation_params.h"
#include "fs/file.h"
#include "fs/file_result.h"
#include "fs/mount.h"
#include "fs/params.h"
#include "fs/queries.h"
#include "fs/report.h"
#include "fs/script.h"
#include "fs/statement.h"

/* An error quotes a line of the statement, which may be one of 16 MiB. */
enum { MAX_FAILURE = 64 * 1024 * 1024 };

/*
 * From the OPEN to the end of what it has opened. A LOOKUP makes a node for
 * each: what is opened once more by /dev/stdin or /proc/self/fd is the same.
 */
struct run {
	struct node *node; /* the kernel keeps it as long as us */
	unsigned n_open;
	struct conversation *conv; /* its own; counted */
	struct script *script;     /* counted */
	struct caller opener;
	bool reads_only;         /* all of its statements */
	bool told;               /* the failure has been kept */
	struct request *opening; /* parked; null: the result takes care */
};

/* Of one open file. */
struct run_open {
	struct result_owner owner;
	struct run *run;
};

struct run_failure {
	uint64_t statement_id;
	char *query;
	char *text;
	int64_t wall; /* ms */
};

/* ---- failures ---- */

bool run_failure_is_newer(const struct run_failure *f, uint64_t statement_id)
{
	return f != NULL && f->statement_id > statement_id;
}

void run_failure_text(const struct run_failure *f, struct buf *out)
{
	char when[CLOCK_TEXT_SIZE];
	char name[256];

	if (f == NULL)
		return;
	clock_text(f->wall, when);
	utf8_line(name, sizeof(name), f->query, strlen(f->query));
	buf_puts(out, f->text);
	buf_printf(out, "QUERY:  queries/%s.sql, run at %s\n", name, when);
}

int64_t run_failure_time(const struct run_failure *f)
{
	return f != NULL ? f->wall : 0;
}

void run_failure_destroy(struct run_failure *f)
{
	if (f == NULL)
		return;
	free(f->query);
	free(f->text);
	free(f);
}

static struct run_failure *create_failure(const struct run *x)
{
	struct run_failure *f = calloc(1, sizeof(*f));
	struct buf text;

	if (f == NULL)
		return NULL;
	buf_init(&text, MAX_FAILURE);
	report_failure(&text, x->script->current);
	f->statement_id = x->script->current->id;
	f->wall = x->script->current->created_wall;
	f->text = buf_take(&text);
	f->query = strdup(x->node->text);
	if (f->text != NULL && f->query != NULL)
		return f;
	run_failure_destroy(f);
	return NULL;
}

/* Where who opened it looks for what went wrong; without memory: nowhere. */
static void keep_failure(struct run *x, struct run_failure *f)
{
	struct connection *c = x->conv->conn;
	struct conversation *conv = conversation_get(c, &x->opener);

	if (conv == NULL) {
		run_failure_destroy(f);
		return;
	}
	run_failure_destroy(conv->run_failure);
	conv->run_failure = f;
	if (x->node->conv == NULL)
		x->node->conv = conversation_ref(conv);
}

/* The last one is over: `error` tells of this one. */
static void forget_failure(const struct run *x)
{
	struct conversation *conv =
		conversation_find(x->conv->conn, &x->opener);

	if (conv != NULL)
		run_failure_destroy(take_ptr(conv->run_failure));
}

static void look_for_failure(struct run *x)
{
	struct run_failure *f;

	if (x->told || x->script->running || x->script->rc >= 0 ||
	    x->script->current == NULL || x->conv->conn->removed)
		return;
	x->told = true;
	f = create_failure(x);
	if (f != NULL)
		keep_failure(x, f);
}

static int run_error(struct node *node, uid_t uid, struct buf *out)
{
	const struct run_failure *f =
		node->conv != NULL ? node->conv->run_failure : NULL;

	if (uid != node->reader_uid)
		return -EACCES;
	if (f == NULL || strcmp(f->query, node->text) != 0)
		return -ENODATA;
	run_failure_text(f, out);
	return 0;
}

/* ---- the life of one ---- */

static void end(struct run *x)
{
	if (x->node->run == x) {
		x->node->run = NULL;
		x->node->size = 0;
	}
	if (x->script != NULL)
		x->script->on_progress = NULL;
	conversation_end(x->conv);
	script_unref(x->script);
	x->conv->n_handles--;
	conversation_unref(x->conv);
	free(x);
}

static void on_closed(struct result_owner *owner)
{
	struct run_open *open =
		(struct run_open *)((char *)owner -
				    offsetof(struct run_open, owner));
	struct run *x = open->run;

	free(open);
	if (--x->n_open > 0)
		return;
	look_for_failure(x);
	end(x);
}

/* Opens the last result set, which is there. 0: rq is answered. */
static int open_result(struct run *x, struct request *rq)
{
	struct run_open *open = calloc(1, sizeof(*open));
	struct statement *statement;
	struct result *result;
	uint64_t size;
	int rc;

	if (open == NULL)
		return -ENOMEM;
	open->owner.closed = on_closed;
	open->run = x;
	/* What is whole has its size from now on, as whoever asks finds. */
	if (script_last_result(x->script, &result, &statement) == 0 &&
	    result != NULL && result_has_size(result, x->node->format, &size))
		x->node->size = size;
	x->n_open++;
	rc = result_open_script(rq, x->script, x->node->format, &open->owner);
	if (rc < 0) {
		x->n_open--;
		free(open);
	}
	return rc;
}

/* rq is answered: the file is open, or it will not be. */
static void answer(struct run *x, struct request *rq, int rc)
{
	if (rc == 0) {
		forget_failure(x);
		rc = open_result(x, rq);
		if (rc == 0)
			return;
	}
	request_fail(rq, -rc);
	end(x);
}

/*
 * What a caller is told that a signal ends, or that has a handler for it and
 * would open again after EINTR: nothing that may have written runs twice.
 */
static int dying_code(struct run *x, int rc)
{
	bool unknown;

	if (rc != -ECANCELED || x->script->current == NULL)
		return rc;
	auto_lock(&x->script->current->lock);
	unknown = x->script->current->unknown_outcome;
	return unknown ? -EIO : rc;
}

static void on_progress(void *listener)
{
	struct run *x = listener;
	struct request *rq = x->opening;
	int rc;

	look_for_failure(x);
	if (rq == NULL || !script_settled(x->script, &rc))
		return;
	x->opening = NULL;
	answer(x, rq, rq->dying ? dying_code(x, rc) : rc);
}

static void on_dying(struct request *rq)
{
	struct run *x = rq->owner;

	if (x->reads_only) {
		x->opening = NULL;
		answer(x, rq, -EINTR);
		return;
	}
	script_cancel(x->script, STOP_CANCEL);
}

static bool only_reads(const struct script *script)
{
	for (const struct statement *s = script->pending; s != NULL;
	     s = s->next) {
		if (!s->traits.reads_only)
			return false;
	}
	return !script->held;
}

/* Once the caller's environment is known. */
static void start(struct request *rq)
{
	struct run *x = rq->owner;
	struct script *script = x->script;

	conversation_name(x->conv, &x->opener);
	x->opening = rq->parked ? rq
				: request_park(x->conv->conn->mount->requests,
					       rq, on_dying, x);
	if (x->opening == NULL) {
		answer(x, rq, -ENOMEM);
		return;
	}
	x->opening->on_dying = on_dying;
	x->reads_only = only_reads(script);
	script->listener = x;
	script->on_progress = on_progress;
	/* It may have been told while its environment was read. */
	if (x->opening->dying)
		on_dying(x->opening);
	else
		script_advance(script);
}

/* What waits in params.json is for the first statement. */
static int take_params(struct run *x)
{
	struct conversation *conv =
		conversation_find(x->conv->conn, &x->opener);
	struct params *params;
	struct err err;
	int rc;

	params = conv != NULL ? conversation_take_params(conv, &x->opener)
			      : NULL;
	if (params == NULL)
		return 0;
	rc = conversation_add_params(x->conv, &x->opener, params, &err);
	params_unref(params);
	return rc;
}

static struct run *create(struct node *node, const struct caller *caller)
{
	struct run *x = calloc(1, sizeof(*x));

	if (x == NULL)
		return NULL;
	x->node = node;
	node->run = x;
	x->opener = *caller;
	x->conv =
		conversation_create(node->conn, caller, CONVERSATION_EXCHANGE);
	if (x->conv == NULL) {
		node->run = NULL;
		free(x);
		return NULL;
	}
	(void)conversation_ref(x->conv);
	x->conv->n_handles++;
	x->script = script_create(x->conv, caller);
	if (x->script == NULL) {
		end(x);
		return NULL;
	}
	return x;
}

/* Once more what is open: the same rows. */
static int open_again(struct request *rq, struct run *x,
		      const struct caller *caller)
{
	if (!conversation_is_of(x->conv, caller))
		return -EACCES;
	return x->opening == NULL && x->n_open > 0 ? open_result(x, rq)
						   : -EBUSY;
}

static int run_open(struct request *rq, struct mount *m, struct node *node,
		    const struct caller *caller, int flags)
{
	const char *text;
	struct run *x;
	size_t len;
	int rc;

	(void)m;
	if ((flags & O_ACCMODE) != O_RDONLY)
		return -EACCES;
	rq->flags = flags;
	if (node->run != NULL)
		return open_again(rq, node->run, caller);
	/* The kernel looks again, and finds that there is none. */
	if (queries_text(&text, &len, node->conn, caller, node->text) < 0)
		return -ESTALE;
	x = create(node, caller);
	if (x == NULL)
		return -ENOMEM;
	rc = take_params(x);
	if (rc == 0)
		rc = script_add(x->script, text, len, true);
	if (rc == 0) {
		rq->owner = x;
		rq->then = start;
		rc = conversation_learn_env(x->conv, caller, rq);
	}
	if (rc < 0) {
		end(x);
		return rc;
	}
	if (rc > 0)
		start(rq);
	return 0;
}

const struct file_ops run_ops = {
	.open = run_open,
	.error = run_error,
};
