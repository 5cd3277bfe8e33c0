/* SPDX-License-Identifier: MIT */
#include "fs/file_result.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "fs/connection.h"
#include "fs/conversation.h"
#include "fs/file.h"
#include "fs/mount.h"
#include "fs/result.h"
#include "fs/result_reader.h"
#include "fs/script.h"
#include "fs/statement.h"

struct result_handle {
	struct handle handle;
	struct script *script; /* counted */
	struct result_reader reader;
	bool nonblocking;
	bool at_end; /* has been told of the end */
};

static struct result_handle *of_reader(struct result_reader *r)
{
	return (struct result_handle *)((char *)r -
					offsetof(struct result_handle, reader));
}

static void free_handle(struct result_handle *h)
{
	result_reader_finish(&h->reader);
	h->script->conv->n_handles--;
	script_unref(h->script);
	handle_finish(&h->handle);
	free(h);
}

static int serve(struct result_reader *r, struct request *rq)
{
	int rc;

	if (r->result == NULL) {
		request_data(rq, "", 0);
		return RESULT_ANSWERED;
	}
	rc = result_reader_serve(r, rq);
	if (rc != RESULT_END)
		return rc;
	of_reader(r)->at_end = true;
	rc = result_reader_end(r);
	if (rc == 0)
		request_data(rq, "", 0);
	return rc;
}

static const struct result_reader_ops reader_ops = {.serve = serve};

/* whole: the inode has the size of the finished result. */
static int open_result(struct request *rq, struct script *script,
		       struct result *result, struct statement *statement,
		       bool whole)
{
	struct result_handle *h = calloc(1, sizeof(*h));
	struct open_reply reply = {
		.fh = (uint64_t)(uintptr_t)h,
		.direct_io = !whole,
		.keep_cache = whole,
		.nonseekable = !whole,
	};
	int rc = 0;

	if (h == NULL)
		return -ENOMEM;
	handle_init(&h->handle, &result_ops, script->conv->conn->mount,
		    rq->uid);
	h->script = script_ref(script);
	result_reader_init(&h->reader, &reader_ops, h->handle.mount);
	h->reader.whole = whole;
	h->nonblocking = (rq->flags & O_NONBLOCK) != 0;
	script->conv->n_handles++;
	if (result != NULL)
		rc = result_reader_pin(&h->reader, result, statement);
	if (rc < 0 || !request_opened(rq, &reply))
		free_handle(h);
	return rc;
}

/* The last result set, once the script has got so far. */
static int open_last(struct request *rq, struct script *script)
{
	struct statement *statement;
	struct result *result;
	int rc = script_last_result(script, &result, &statement);

	return rc < 0 ? rc : open_result(rq, script, result, statement, false);
}

static void on_ready(struct request *rq)
{
	int rc = open_last(rq, rq->owner);

	if (rc < 0)
		request_fail(rq, -rc);
}

/* Text the caller itself has written and not ended runs now. */
static void run_open_text(struct conversation *conv,
			  const struct caller *caller)
{
	struct script *next;

	for (struct script *s = conv->open; s != NULL; s = next) {
		next = s->next_open;
		if (s->text.len > 0 && s->writer.self.pid == caller->self.pid)
			(void)script_flush(s, NULL);
	}
}

static bool is_whole(struct result *result, uint64_t *size)
{
	struct spool_state state;

	spool_state(result->spool, &state);
	*size = state.end;
	return state.finished && state.code == 0 && state.start == 0;
}

/* The node's own result set, if this caller's script still has it. */
static int open_pinned(struct request *rq, const struct node *node,
		       struct script *script)
{
	uint64_t size;

	for (size_t i = 0; i < script->n_results; i++) {
		if (script->results[i].result != node->result)
			continue;
		return open_result(rq, script, node->result,
				   script->results[i].statement,
				   is_whole(node->result, &size) &&
					   size == node->size);
	}
	return -ESTALE;
}

static int result_open(struct request *rq, struct mount *m, struct node *node,
		       const struct caller *caller, int flags)
{
	struct conversation *conv;
	struct script *script = NULL;
	int rc = conversation_at(&conv, node, caller, false);

	if (rc < 0)
		return rc;
	if ((flags & O_ACCMODE) != O_RDONLY)
		return -EACCES;
	if (conv != NULL) {
		run_open_text(conv, caller);
		script = conversation_pick(conv, caller, false);
	}
	if (script == NULL && node->script_id == 0)
		return -ENODATA;
	if (script == NULL || script->id != node->script_id || node->dropped)
		return -ESTALE;
	rq->flags = flags;
	if (node->result != NULL) {
		struct statement *statement;
		struct result *last;

		rc = script_last_result(script, &last, &statement);
		/* A numbered one stays good; result.csv is the last one. */
		if (node->last && (rc < 0 || last != node->result))
			return -ESTALE;
		return open_pinned(rq, node, script);
	}
	rc = open_last(rq, script);
	if (rc != -EAGAIN || script->rc == -EAGAIN || (flags & O_NONBLOCK) != 0)
		return rc;
	rq->owner = script;
	rq->then = on_ready;
	return script_wait_result(script, rq);
}

static int result_read(struct request *rq, struct handle *handle, uint64_t off)
{
	struct result_handle *h = (struct result_handle *)handle;

	rq->off = off;
	return result_reader_read(&h->reader, rq, h->nonblocking);
}

static unsigned result_poll(struct handle *handle, struct poll_handle *ph)
{
	struct result_handle *h = (struct result_handle *)handle;
	struct result *result = h->reader.result;
	struct spool_state state = {.finished = true};

	result_reader_poll(&h->reader, ph);
	if (result != NULL)
		spool_state(result->spool, &state);
	if (!state.finished && state.end <= h->reader.place.pos &&
	    result_reader_want(&h->reader, result, h->reader.place.pos))
		return 0;
	return POLLIN | POLLRDNORM;
}

static void result_release(struct handle *handle)
{
	struct result_handle *h = (struct result_handle *)handle;
	struct script *script = script_ref(h->script);
	struct result *result =
		h->reader.result != NULL ? result_ref(h->reader.result) : NULL;
	bool early = !h->at_end;

	free_handle(h);
	if (result != NULL)
		script_reader_left(script, result, early);
	result_unref(result);
	script_unref(script);
}

const struct file_ops result_ops = {
	.open = result_open,
	.read = result_read,
	.poll = result_poll,
	.release = result_release,
};

/* The inode that shows the result already; size 0: while it runs. */
static struct node *find_node(const struct result *result, uint64_t size,
			      bool last)
{
	struct node *node = result->nodes;

	while (node != NULL && (node->size != size || node->last != last))
		node = node->result_next;
	return node;
}

/*
 * The inode of result.csv while script has no result set yet. Thousands may
 * open it at once: with an inode for each the kernel would let in one after
 * the other.
 */
static struct node *find_blank(struct node_table *nodes,
			       const struct script *script)
{
	struct node *node = node_get(nodes, script->blank_node);

	return node != NULL && node->script_id == script->id &&
			       node->result == NULL
		       ? node
		       : NULL;
}

/* A node of script; of one result set, if it is not to be the last one. */
static int make_node(struct node **out, const struct view *v,
		     struct script *script, struct result *result, bool last)
{
	struct node *node;
	uint64_t size = 0;
	bool whole = result != NULL && is_whole(result, &size);

	if (!whole)
		size = 0;
	if (!whole && script != NULL && script->rc == 0 &&
	    (result != NULL || script->running || script->pending != NULL) &&
	    caller_trusts_size(v->caller))
		return -EAGAIN; /* it would take it for empty */
	/* cp and install compare the inode of stat() with the one they open. */
	*out = NULL;
	if (result != NULL)
		*out = find_node(result, size, last);
	else if (script != NULL)
		*out = find_blank(v->mount->nodes, script);
	if (*out != NULL)
		return 0;
	node = node_create(v->mount->nodes, &result_ops, S_IFREG | 0444);
	if (node == NULL)
		return -ENOMEM;
	node->conn = connection_ref(v->conn);
	node->last = last;
	if (script != NULL)
		node->script_id = script->id;
	if (result != NULL) {
		node_set_result(node, result);
		node->mtime_ms = result->statement->created_wall;
	} else if (script != NULL) {
		script->blank_node = node->id;
		if (script->current != NULL)
			node->mtime_ms = script->current->created_wall;
	}
	node->size = size;
	*out = node;
	return 0;
}

int result_make_last(struct node **out, const struct view *v,
		     const struct entry *e)
{
	struct script *script = NULL;
	struct statement *statement;
	struct result *result = NULL;

	(void)e;
	if (v->conv != NULL)
		script = conversation_pick(v->conv, v->caller, false);
	if (script != NULL &&
	    script_last_result(script, &result, &statement) < 0)
		result = NULL;
	return make_node(out, v, script, result, true);
}

int result_make_number(struct node **out, const struct view *v, uint64_t n)
{
	struct script *script = NULL;
	struct statement *statement;
	struct result *result = NULL;

	if (v->conv != NULL)
		script = conversation_pick(v->conv, v->caller, false);
	if (script != NULL)
		result = script_result(script, n, &statement);
	if (result == NULL)
		return -ENOENT;
	return make_node(out, v, script, result, false);
}
