/* SPDX-License-Identifier: MIT */
/*
 * creds/token: the secret itself, for the mount's owner. It is copied when the
 * file is opened and wiped when it is closed; nothing of it stays in a node,
 * and the kernel keeps none of it either: each READ comes here.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "auth/auth.h"
#include "common/secret.h"
#include "fs/config.h"
#include "fs/connection.h"
#include "fs/file.h"

struct token_handle {
	struct handle handle;
	struct secret line; /* the secret and a newline */
};

/* 0, -ENODATA when nothing is held, or -ENOMEM. */
static int copy_line(struct secret *out, struct auth *auth)
{
	auto_secret struct secret token = {0};
	int rc = auth_peek(auth, &token);

	if (rc < 0)
		return rc;
	if (secret_alloc(out, token.len + 1) < 0)
		return -ENOMEM;
	memcpy(out->data, token.data, token.len);
	out->data[token.len] = '\n';
	secret_wipe_stack();
	return 0;
}

/* Tools exist that take a file of size 0 for empty. */
uint64_t token_size(const struct view *v)
{
	auto_secret struct secret line = {0};

	return copy_line(&line, v->conn->spec->auth) == 0 ? line.len : 0;
}

/* A descriptor that only names the file may have been handed on. */
static int token_open(struct request *rq, struct mount *m, struct node *node,
		      const struct caller *caller, int flags)
{
	const struct spec *spec = node->conn->spec;
	struct open_reply reply = {.direct_io = true};
	struct token_handle *h;
	int rc;

	if (!caller_is_owner(caller) || !spec->expose_token)
		return -ESTALE;
	if ((flags & O_ACCMODE) != O_RDONLY)
		return -EACCES;
	h = calloc(1, sizeof(*h));
	if (h == NULL)
		return -ENOMEM;
	rc = copy_line(&h->line, spec->auth);
	if (rc < 0) {
		free(h);
		return rc;
	}
	handle_init(&h->handle, &token_ops, m, caller->uid);
	reply.fh = (uint64_t)(uintptr_t)h;
	if (!request_opened(rq, &reply))
		token_ops.release(&h->handle);
	return 0;
}

static int token_read(struct request *rq, struct handle *handle, uint64_t off)
{
	const struct secret *line = &((struct token_handle *)handle)->line;
	uint64_t left = off < line->len ? line->len - off : 0;

	if (rq->uid != handle->uid)
		return -EACCES;
	request_data(rq, left > 0 ? line->data + off : "",
		     left < rq->size ? (size_t)left : rq->size);
	return 0;
}

static void token_release(struct handle *handle)
{
	struct token_handle *h = (struct token_handle *)handle;

	secret_finish(&h->line);
	handle_finish(handle);
	free(h);
}

const struct file_ops token_ops = {
	.open = token_open,
	.read = token_read,
	.release = token_release,
};
