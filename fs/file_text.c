/* SPDX-License-Identifier: MIT */
/* Files whose content was made at LOOKUP, for that caller. */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>

#include "fs/conversation.h"
#include "fs/file.h"
#include "fs/mount.h"

struct text_handle {
	struct handle handle;
	struct node *node; /* the kernel keeps it while the file is open */
};

/*
 * The kernel can be made to open a file that somebody else has looked up, by a
 * descriptor handed on that only names it.
 */
static bool was_made_for(const struct node *node, const struct caller *caller)
{
	struct conversation *conv;

	if (conversation_at(&conv, node, caller, false) < 0)
		return false;
	return node->reader_uid == caller->uid &&
	       node->reader_pid_ns == caller->pid_ns &&
	       node->reader_user_ns == caller->user_ns &&
	       (node->conv == NULL || node->conv == conv);
}

static int text_open(struct request *rq, struct mount *m, struct node *node,
		     const struct caller *caller, int flags)
{
	struct text_handle *h;
	struct open_reply reply = {.keep_cache = true};

	if ((flags & O_ACCMODE) != O_RDONLY)
		return -EACCES;
	if (!was_made_for(node, caller))
		return -ESTALE;
	h = calloc(1, sizeof(*h));
	if (h == NULL)
		return -ENOMEM;
	handle_init(&h->handle, &text_ops, m, caller->uid);
	h->node = node;
	reply.fh = (uint64_t)(uintptr_t)h;
	if (!request_opened(rq, &reply))
		text_ops.release(&h->handle);
	return 0;
}

static int text_read(struct request *rq, struct handle *handle, uint64_t off)
{
	const struct node *node = ((struct text_handle *)handle)->node;
	uint64_t left = off < node->size ? node->size - off : 0;

	request_data(rq, left > 0 ? node->text + off : "",
		     left < rq->size ? (size_t)left : rq->size);
	return 0;
}

static void text_release(struct handle *handle)
{
	handle_finish(handle);
	free(handle);
}

const struct file_ops text_ops = {
	.open = text_open,
	.read = text_read,
	.release = text_release,
};

/* What was looked up does not know yet what stands in the environment. */
static void look_again(struct request *rq)
{
	request_fail(rq, ESTALE);
}

static int client_open(struct request *rq, struct mount *m, struct node *node,
		       const struct caller *caller, int flags)
{
	struct conversation *conv;
	int rc = conversation_at(&conv, node, caller, true);

	if (rc < 0)
		return rc;
	rq->then = look_again;
	rc = conversation_learn_env(conv, caller, rq);
	return rc > 0 ? text_open(rq, m, node, caller, flags) : rc;
}

const struct file_ops client_ops = {
	.open = client_open,
};
