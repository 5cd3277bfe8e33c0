/* SPDX-License-Identifier: MIT */
/*
 * params.json: each open file takes one JSON text, which counts from the WRITE
 * that completes it.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

#include "common/err.h"
#include "fs/conversation.h"
#include "fs/conversation_params.h"
#include "fs/file.h"
#include "fs/flusher.h"
#include "fs/params.h"

struct params_handle {
	struct handle handle;
	struct conversation *conv; /* counted */
	struct caller opener;
	struct params *params; /* counted */
	bool added;            /* they wait for a statement, or did */
};

/* The text begins anew. */
static int restart(struct params_handle *h)
{
	struct params *params = params_create();

	if (params == NULL)
		return -ENOMEM;
	params_unref(h->params);
	h->params = params;
	h->added = false;
	return 0;
}

static int params_open(struct request *rq, struct mount *m, struct node *node,
		       const struct caller *caller, int flags)
{
	struct open_reply reply = {.direct_io = true, .nonseekable = true};
	struct conversation *conv;
	struct params_handle *h;
	int rc;

	if ((flags & O_ACCMODE) == O_RDONLY)
		return text_ops.open(rq, m, node, caller, flags);
	if ((flags & O_ACCMODE) == O_RDWR)
		return -EOPNOTSUPP;
	rc = conversation_at(&conv, node, caller, true);
	if (rc < 0)
		return rc;
	h = calloc(1, sizeof(*h));
	if (h == NULL || restart(h) < 0) {
		free(h);
		return -ENOMEM;
	}
	h->opener = *caller;
	handle_init(&h->handle, &params_ops, m, caller->uid);
	h->conv = conversation_ref(conv);
	conv->n_handles++;
	if ((flags & O_TRUNC) != 0)
		conversation_clear_params(conv, caller, NULL);
	reply.fh = (uint64_t)(uintptr_t)h;
	if (!request_opened(rq, &reply))
		params_ops.release(&h->handle);
	return 0;
}

static int params_write(struct request *rq, struct handle *handle,
			const char *data, size_t len, uint64_t off)
{
	struct params_handle *h = (struct params_handle *)handle;
	struct err err;
	int rc;

	(void)off; /* the next piece, wherever the writer thinks it is */
	if (rq->uid != h->handle.uid)
		return -EACCES;
	if (h->conv->ended)
		return -ENOTCONN;
	rc = params_feed(h->params, data, len, &err);
	if (rc == 1 && !h->added) {
		rc = conversation_add_params(h->conv, &h->opener, h->params,
					     &err);
		h->added = rc == 0;
	}
	if (rc < 0) {
		conversation_clear_params(h->conv, &h->opener, &err);
		return rc;
	}
	request_wrote(rq);
	return 0;
}

/* Only the process that opened the file says where its text ends. */
static int params_flush(struct request *rq, struct handle *handle)
{
	struct params_handle *h = (struct params_handle *)handle;
	struct err err;
	int rc = params_end(h->params, &err);

	if (rc < 0 && flusher_of(&h->opener.self, rq->tid) != FLUSHER_OTHER) {
		conversation_clear_params(h->conv, &h->opener, &err);
		return rc;
	}
	request_fail(rq, 0);
	return 0;
}

/* By path nobody knows whose are meant. */
static int params_truncate(struct node *node, struct handle *handle,
			   uint64_t size)
{
	struct params_handle *h = (struct params_handle *)handle;

	if (h == NULL)
		return -EOPNOTSUPP;
	if (size != 0)
		return -EINVAL;
	if (restart(h) < 0)
		return -ENOMEM;
	conversation_clear_params(h->conv, &h->opener, NULL);
	node->size = 0;
	return 0;
}

static void params_release(struct handle *handle)
{
	struct params_handle *h = (struct params_handle *)handle;

	h->conv->n_handles--;
	params_unref(h->params);
	conversation_unref(h->conv);
	handle_finish(handle);
	free(h);
}

const struct file_ops params_ops = {
	.open = params_open,
	.write = params_write,
	.flush = params_flush,
	.truncate = params_truncate,
	.release = params_release,
};
