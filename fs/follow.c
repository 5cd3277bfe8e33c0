/* SPDX-License-Identifier: MIT */
#include "fs/follow.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "fs/connection.h"
#include "fs/conversation.h"
#include "fs/file.h"
#include "fs/file_result.h"
#include "fs/format_size.h"
#include "fs/mount.h"
#include "fs/node.h"
#include "fs/request.h"
#include "fs/result.h"
#include "fs/script.h"
#include "fs/spool.h"
#include "fs/statement.h"

enum { SIZE_MS = 20 }; /* how often a size that is being learned is asked for */

struct follow {
	struct conversation *conv; /* it owns us */
	uint64_t reading;          /* the highest number looked up */
	bool written;              /* query.sql has been closed */
	struct request_list waiting;
	struct loop_timer timer;
};

static void on_timer(struct loop_timer *timer)
{
	struct follow *f = (struct follow *)((char *)timer -
					     offsetof(struct follow, timer));

	follow_check(f->conv);
}

int follow_begin(struct conversation *conv)
{
	struct follow *f = calloc(1, sizeof(*f));

	if (f == NULL)
		return -ENOMEM;
	f->conv = conv;
	f->timer.run = on_timer;
	conv->follow = f;
	return 0;
}

void follow_end(struct conversation *conv)
{
	struct follow *f = conv->follow;

	if (f == NULL)
		return;
	conv->follow = NULL;
	loop_timer_stop(conv->conn->mount->loop, &f->timer);
	request_list_fail(&f->waiting, ESTALE);
	free(f);
}

static bool may_come(const struct conversation *conv)
{
	const struct script *s = conv->scripts;

	if (s == NULL)
		s = conv->open;
	if (s == NULL)
		return !conv->follow->written;
	if (s->rc < 0)
		return false;
	return conv->open != NULL || s->running || s->pending != NULL ||
	       s->held;
}

/* It is there; is it so far that a program goes by its size can read it? */
static bool is_readable(struct script *script, struct result *result,
			enum format format)
{
	struct mount *m = script->conv->conn->mount;
	struct spool_state state;
	uint64_t size;

	if (script->rc < 0 || result_check_format(result, format) < 0)
		return true; /* and its OPEN or READ fails */
	spool_state(result->spool, &state);
	if (state.full)
		script_cancel(script, STOP_UNHELD);
	if (!state.finished)
		return false;
	if (state.code != 0 || format == FORMAT_CSV ||
	    format_size_known(result, format, &size))
		return true;
	format_size_learn(m, result, format);
	(void)loop_timer_start(m->loop, &script->conv->follow->timer, SIZE_MS);
	return false;
}

/* There is nothing to wait for: a LOOKUP can tell what became of it. */
static bool is_known(struct conversation *conv, uint64_t n, enum format format,
		     bool trusts_size)
{
	struct script *script = conv->scripts;
	struct statement *statement;
	struct result *result = NULL;

	if (script != NULL)
		result = script_result(script, n, &statement);
	if (result != NULL)
		return !trusts_size || is_readable(script, result, format);
	return (script != NULL && n < script->first_result) || !may_come(conv);
}

/* Parked with its number in off, and whether it trusts sizes in size. */
static bool is_answered(struct request *rq)
{
	return is_known(rq->owner, rq->off, rq->format, rq->size != 0);
}

void follow_check(struct conversation *conv)
{
	struct follow *f = conv->follow;
	struct request_list waiting;
	struct request *rq;

	if (f == NULL || f->waiting.first == NULL)
		return;
	waiting = f->waiting;
	f->waiting = (struct request_list){0};
	while ((rq = request_list_take(&waiting)) != NULL) {
		if (is_answered(rq))
			request_fail(rq, ESTALE);
		else
			request_list_add(&f->waiting, rq);
	}
}

static void on_dying(struct request *rq)
{
	struct conversation *conv = rq->owner;

	request_list_remove(&conv->follow->waiting, rq);
	request_fail(rq, EINTR);
}

static int coming_open(struct request *rq, struct mount *m, struct node *node,
		       const struct caller *caller, int flags)
{
	struct conversation *conv;
	struct request *parked;
	bool trusts_size = caller_trusts_size(caller);
	int rc = conversation_at(&conv, node, caller, false);

	if (rc < 0)
		return rc;
	if ((flags & O_ACCMODE) != O_RDONLY)
		return -EACCES;
	if (conv->follow == NULL ||
	    is_known(conv, node->number, node->format, trusts_size))
		return -ESTALE;
	if ((flags & O_NONBLOCK) != 0)
		return -EAGAIN;
	parked = request_park(m->requests, rq, on_dying, conv);
	if (parked == NULL)
		return -ENOMEM;
	parked->off = node->number;
	parked->size = trusts_size;
	parked->format = node->format;
	request_list_add(&conv->follow->waiting, parked);
	return 0;
}

static const struct file_ops coming_ops = {.open = coming_open};

/* The script may have waited for this. */
static void read_on(struct conversation *conv, uint64_t n)
{
	if (n <= conv->follow->reading)
		return;
	conv->follow->reading = n;
	if (conv->scripts != NULL && conv->scripts->pending != NULL)
		script_advance(conv->scripts);
}

/* Started by who made the session: others may look, and take nothing away. */
static bool is_reader(const struct conversation *conv,
		      const struct caller *caller)
{
	return caller_common_ancestors(caller, &conv->key) == conv->key.depth;
}

static bool is_lost(const struct conversation *conv, uint64_t n)
{
	return conv->scripts != NULL && n < conv->scripts->first_result;
}

int follow_lookup(struct node **out, const struct view *v, uint64_t n,
		  enum format format)
{
	struct conversation *conv = v->conv;
	struct node *node;
	int rc;

	if (conv == NULL || conv->follow == NULL)
		return result_make_number(out, v, n, format);
	if (is_reader(conv, v->caller))
		read_on(conv, n);
	rc = result_make_number(out, v, n, format);
	if (rc != -EAGAIN && rc != -ENOENT)
		return rc;
	if (rc == -ENOENT && !is_lost(conv, n) && !may_come(conv))
		return rc;
	node = node_create(v->mount->nodes, &coming_ops, S_IFREG | 0444);
	if (node == NULL)
		return -ENOMEM;
	node->conn = connection_ref(v->conn);
	node->number = n;
	node->format = format;
	*out = node;
	return 0;
}

void follow_wrote(struct conversation *conv)
{
	if (conv->follow == NULL)
		return;
	conv->follow->written = true;
	follow_check(conv);
}

bool follow_holds(const struct script *script)
{
	const struct follow *f = script->conv->follow;

	return f != NULL && script->n_results == SCRIPT_MAX_RESULTS &&
	       script->first_result >= f->reading;
}
