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
#include "fs/format_reader.h"
#include "fs/format_size.h"
#include "fs/mount.h"
#include "fs/procstat.h"
#include "fs/result.h"
#include "fs/result_reader.h"
#include "fs/script.h"
#include "fs/statement.h"

struct result_handle {
	struct handle handle;
	struct script *script;       /* counted */
	struct format_reader reader; /* of CSV its base alone */
	struct result_owner *owner;  /* null: none */
	bool nonblocking;
	/* Who opened it, has seen size 0 and has not read it yet; 0: nobody. */
	pid_t unread_by;
};

static struct format_reader *of_base(struct result_reader *r)
{
	return (struct format_reader *)((char *)r -
					offsetof(struct format_reader, base));
}

static void free_handle(struct result_handle *h)
{
	struct result_owner *owner = h->owner;

	format_reader_finish(&h->reader);
	h->script->conv->n_handles--;
	script_unref(h->script);
	handle_finish(&h->handle);
	free(h);
	if (owner != NULL)
		owner->closed(owner);
}

static int serve_csv(struct result_reader *r, struct request *rq)
{
	int rc;

	if (r->result == NULL) {
		request_data(rq, "", 0);
		return RESULT_ANSWERED;
	}
	rc = result_reader_serve(r, rq);
	if (rc != RESULT_END)
		return rc;
	of_base(r)->at_end = true;
	rc = result_reader_end(r);
	if (rc == 0)
		request_data(rq, "", 0);
	return rc;
}

static const struct result_reader_ops csv_ops = {.serve = serve_csv};

static int pin(struct result_handle *h, struct result *result,
	       struct statement *statement)
{
	int rc = result_check_format(result, h->reader.format);

	if (rc < 0)
		return rc;
	if (h->reader.format == FORMAT_CSV)
		return result_reader_pin(&h->reader.base, result, statement);
	return format_reader_pin(&h->reader, result, statement);
}

static pid_t process_of(const struct request *rq)
{
	struct procstat stat = {0};

	(void)procstat_read(&stat, rq->tid);
	return stat.tgid;
}

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
	uint64_t size;
	int rc = 0;

	if (h == NULL)
		return -ENOMEM;
	if (rq->result_owner != NULL && result != NULL &&
	    result_has_size(result, rq->format, &size))
		reply.nonseekable = false;
	handle_init(&h->handle, &result_ops, script->conv->conn->mount,
		    rq->uid);
	h->script = script_ref(script);
	format_reader_init(&h->reader, h->handle.mount, rq->format);
	if (rq->format == FORMAT_CSV)
		result_reader_init(&h->reader.base, &csv_ops, h->handle.mount);
	h->reader.base.whole = whole;
	h->nonblocking = (rq->flags & O_NONBLOCK) != 0;
	if (reply.nonseekable && result != NULL)
		h->unread_by = process_of(rq);
	script->conv->n_handles++;
	if (result != NULL)
		rc = pin(h, result, statement);
	if (rc == 0)
		h->owner = rq->result_owner;
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
	struct result_owner *owner = rq->result_owner;
	int rc = open_last(rq, rq->owner);

	if (rc == 0)
		return;
	request_fail(rq, -rc);
	if (owner != NULL)
		owner->closed(owner);
}

/* The same, now or once the script has got so far. */
static int wait_last(struct request *rq, struct script *script)
{
	int rc = open_last(rq, script);

	if (rc != -EAGAIN || script->rc == -EAGAIN ||
	    (rq->flags & O_NONBLOCK) != 0)
		return rc;
	rq->then = on_ready;
	rq->owner = script;
	return script_wait_result(script, rq);
}

int result_open_script(struct request *rq, struct script *script,
		       enum format format, struct result_owner *owner)
{
	rq->format = format;
	rq->result_owner = owner;
	return wait_last(rq, script);
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

bool result_has_size(struct result *result, enum format format, uint64_t *size)
{
	if (!is_whole(result, size))
		return false;
	return format == FORMAT_CSV || format_size_known(result, format, size);
}

/* The node's own result set, if this caller's script still has it. */
static int open_pinned(struct request *rq, const struct node *node,
		       struct script *script)
{
	uint64_t size;

	for (size_t i = 0; i < script->n_results; i++) {
		if (script->results[i].result != node->result)
			continue;
		return open_result(
			rq, script, node->result, script->results[i].statement,
			result_has_size(node->result, rq->format, &size) &&
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
	rq->format = node->format;
	if (node->result != NULL) {
		struct statement *statement;
		struct result *last;

		rc = script_last_result(script, &last, &statement);
		/* A numbered one stays good; result.csv is the last one. */
		if (node->last && (rc < 0 || last != node->result))
			return -ESTALE;
		return open_pinned(rq, node, script);
	}
	return wait_last(rq, script);
}

static int result_read(struct request *rq, struct handle *handle, uint64_t off)
{
	struct result_handle *h = (struct result_handle *)handle;

	h->unread_by = 0;
	rq->off = off;
	if (h->reader.format == FORMAT_CSV)
		return result_reader_read(&h->reader.base, rq, h->nonblocking);
	return format_reader_read(&h->reader, rq, h->nonblocking);
}

static bool csv_ready(struct result_reader *r)
{
	struct spool_state state = {.finished = true};

	if (r->result != NULL)
		spool_state(r->result->spool, &state);
	return state.finished || state.end > r->place.pos ||
	       !result_reader_want(r, r->result, r->place.pos);
}

static unsigned result_poll(struct handle *handle, struct poll_handle *ph)
{
	struct result_handle *h = (struct result_handle *)handle;
	bool ready;

	h->unread_by = 0;
	result_reader_poll(&h->reader.base, ph);
	ready = h->reader.format == FORMAT_CSV
			? csv_ready(&h->reader.base)
			: format_reader_ready(&h->reader);
	return ready ? POLLIN | POLLRDNORM : 0;
}

/*
 * Some programs read as many bytes as the size says: of a result that has none
 * yet nothing at all, and call it a copy. Their close() is the only place to
 * tell them. Who opened it for a child is not meant: by the time the parent
 * closes it, the child has closed that descriptor too, at exec.
 */
static int result_flush(struct request *rq, struct handle *handle)
{
	struct result_handle *h = (struct result_handle *)handle;

	if (h->unread_by != 0 && process_of(rq) == h->unread_by)
		return -EAGAIN;
	h->unread_by = 0;
	request_fail(rq, 0);
	return 0;
}

static void result_release(struct handle *handle)
{
	struct result_handle *h = (struct result_handle *)handle;
	struct result *pinned = h->reader.base.result;
	struct script *script = script_ref(h->script);
	struct result *result = pinned != NULL ? result_ref(pinned) : NULL;
	bool early = !h->reader.at_end;

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
	.flush = result_flush,
	.release = result_release,
};

/* The inode that shows the result already; size 0: it is not known. */
static struct node *find_node(const struct result *result, enum format format,
			      uint64_t size, bool last)
{
	struct node *node = result->nodes;

	while (node != NULL && (node->format != format || node->size != size ||
				node->last != last))
		node = node->result_next;
	return node;
}

/*
 * The inode of result.csv while script has no result set yet. Thousands may
 * open it at once: with an inode for each the kernel would let in one after
 * the other.
 */
static struct node *find_blank(struct node_table *nodes,
			       const struct script *script, enum format format)
{
	struct node *node = node_get(nodes, script->blank_nodes[format]);

	return node != NULL && node->script_id == script->id &&
			       node->result == NULL
		       ? node
		       : NULL;
}

/*
 * Whether the caller would take a file of size 0 for empty that is not. What
 * is whole has its size then at one of the next times.
 */
static bool misleads(const struct view *v, const struct script *script,
		     struct result *result, enum format format)
{
	uint64_t size;

	if (script == NULL || script->rc < 0 ||
	    (result == NULL && !script->running && script->pending == NULL))
		return false;
	if (result != NULL && result_check_format(result, format) < 0)
		return false; /* OPEN says so */
	if (!caller_trusts_size(v->caller))
		return false;
	if (result != NULL && is_whole(result, &size))
		format_size_learn(v->mount, result, format);
	return true;
}

static struct node *make_node(const struct view *v, struct script *script,
			      struct result *result, enum format format)
{
	struct node *node =
		node_create(v->mount->nodes, &result_ops, S_IFREG | 0444);

	if (node == NULL)
		return NULL;
	node->conn = connection_ref(v->conn);
	node->format = format;
	if (script != NULL)
		node->script_id = script->id;
	if (result != NULL)
		node_set_result(node, result);
	else if (script != NULL)
		script->blank_nodes[format] = node->id;
	return node;
}

/* When its last row came; until then, when it was asked for. */
static int64_t last_change(const struct view *v, const struct script *script,
			   const struct result *result)
{
	struct spool_state state;

	if (result == NULL)
		return script != NULL && script->current != NULL
			       ? script->current->created_wall
			       : v->dir->mtime_ms;
	spool_state(result->spool, &state);
	return state.finished ? state.finished_wall
			      : result->statement->created_wall;
}

/* A node of script; of one result set, if it is not to be the last one. */
static int get_node(struct node **out, const struct view *v,
		    struct script *script, struct result *result, bool last,
		    enum format format)
{
	uint64_t size = 0;
	bool sized = result != NULL && result_has_size(result, format, &size);

	if (!sized)
		size = 0;
	if (!sized && misleads(v, script, result, format))
		return -EAGAIN;
	/* cp and install compare the inode of stat() with the one they open. */
	*out = NULL;
	if (result != NULL)
		*out = find_node(result, format, size, last);
	else if (script != NULL)
		*out = find_blank(v->mount->nodes, script, format);
	if (*out == NULL) {
		*out = make_node(v, script, result, format);
		if (*out == NULL)
			return -ENOMEM;
		(*out)->last = last;
		(*out)->size = size;
	}
	(*out)->mtime_ms = last_change(v, script, result);
	return 0;
}

int result_make_last(struct node **out, const struct view *v,
		     const struct entry *e)
{
	struct script *script = NULL;
	struct statement *statement;
	struct result *result = NULL;

	if (v->conv != NULL)
		script = conversation_pick(v->conv, v->caller, false);
	if (script != NULL &&
	    script_last_result(script, &result, &statement) < 0)
		result = NULL;
	return get_node(out, v, script, result, true, e->format);
}

int result_make_number(struct node **out, const struct view *v, uint64_t n,
		       enum format format)
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
	return get_node(out, v, script, result, false, format);
}
