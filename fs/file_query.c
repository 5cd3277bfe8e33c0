/* SPDX-License-Identifier: MIT */
/*
 * query.sql, and files that editors rename onto it: text in, statements out.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "fs/conversation.h"
#include "fs/file.h"
#include "fs/file_exchange.h"
#include "fs/flusher.h"
#include "fs/follow.h"
#include "fs/mount.h"
#include "fs/script.h"

struct query_handle {
	struct handle handle;
	struct script *script; /* counted */
	struct caller opener;
	bool flushed;     /* the opener has told where its text ends */
	uint64_t written; /* bytes, since it was truncated */
};

static void close_handle(struct query_handle *h)
{
	struct conversation *conv = h->script->conv;

	for (struct script **p = &conv->open; *p != NULL;
	     p = &(*p)->next_open) {
		if (*p == h->script) {
			*p = h->script->next_open;
			break;
		}
	}
	conv->n_handles--;
	follow_wrote(conv);
	script_unref(h->script);
	handle_finish(&h->handle);
	free(h);
}

static void opened(struct request *rq)
{
	struct query_handle *h = rq->owner;
	const struct open_reply reply = {
		.fh = (uint64_t)(uintptr_t)h,
		.direct_io = true,
		.nonseekable = true,
	};

	conversation_name(h->script->conv, &h->opener);
	if (!request_opened(rq, &reply))
		close_handle(h);
}

static int query_open(struct request *rq, struct mount *m, struct node *node,
		      const struct caller *caller, int flags)
{
	struct conversation *conv;
	struct query_handle *h;
	int rc;

	if ((flags & O_ACCMODE) == O_RDONLY)
		return text_ops.open(rq, m, node, caller, flags);
	if ((flags & O_ACCMODE) == O_RDWR)
		return exchange_open(rq, m, node, caller);
	rc = conversation_at(&conv, node, caller, true);
	if (rc < 0)
		return rc;
	h = calloc(1, sizeof(*h));
	if (h == NULL)
		return -ENOMEM;
	h->opener = *caller;
	h->script = script_create(conv, caller);
	if (h->script == NULL) {
		free(h);
		return -ENOMEM;
	}
	handle_init(&h->handle, &query_ops, m, caller->uid);
	/* There the reader is looked at. */
	h->script->trusts_size =
		conv->follow == NULL && caller_trusts_size(caller);
	h->script->next_open = conv->open;
	conv->open = h->script;
	conv->n_handles++;
	rq->owner = h;
	rq->then = opened;
	rc = conversation_learn_env(conv, caller, rq);
	if (rc < 0)
		close_handle(h);
	else if (rc > 0)
		opened(rq);
	return rc < 0 ? rc : 0;
}

static int query_write(struct request *rq, struct handle *handle,
		       const char *data, size_t len, uint64_t off)
{
	struct query_handle *h = (struct query_handle *)handle;

	(void)off; /* an append of our own: see `>>`, and two writers */
	if (rq->uid != h->handle.uid)
		return -EACCES;
	h->written += len;
	return script_write(h->script, rq, data, len);
}

static int query_flush(struct request *rq, struct handle *handle)
{
	struct query_handle *h = (struct query_handle *)handle;

	if (h->script->text.len > 0) {
		switch (flusher_of(&h->opener.self, rq->tid)) {
		case FLUSHER_OPENER:
			h->flushed = true;
			return script_flush(h->script, rq);
		case FLUSHER_DYING: /* half a statement */
			h->flushed = true;
			script_truncate(h->script);
			break;
		case FLUSHER_OTHER:
			break;
		}
	}
	request_fail(rq, 0);
	return 0;
}

static int query_fsync(struct request *rq, struct handle *handle)
{
	return script_flush(((struct query_handle *)handle)->script, rq);
}

static int query_truncate(struct node *node, struct handle *handle,
			  uint64_t size)
{
	struct query_handle *h = (struct query_handle *)handle;

	if (handle != NULL && handle->ops != &query_ops)
		return handle->ops->truncate(node, handle, size);
	/* rsync --inplace says in the end how long it is. */
	if (size != 0 && (h == NULL || size != h->written))
		return -EINVAL;
	if (size == 0 && h != NULL) {
		script_truncate(h->script);
		h->written = 0;
	}
	return 0;
}

static void query_release(struct handle *handle)
{
	struct query_handle *h = (struct query_handle *)handle;

	if (!h->flushed)
		script_close(h->script);
	close_handle(h);
}

const struct file_ops query_ops = {
	.open = query_open,
	.write = query_write,
	.flush = query_flush,
	.fsync = query_fsync,
	.truncate = query_truncate,
	.release = query_release,
	.error = exchange_error,
};
