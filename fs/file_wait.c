/* SPDX-License-Identifier: MIT */
/*
 * wait: ends when nothing of the caller's script runs or waits any more. There
 * is nothing to be asked for before that, so that already OPEN waits: programs
 * that take a file of size 0 for empty never come to a READ. Who opens it with
 * O_NONBLOCK can poll it. Nobody who waits here has a say in what runs.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "fs/connection.h"
#include "fs/conversation.h"
#include "fs/file.h"
#include "fs/mount.h"
#include "fs/script.h"
#include "fs/script_watch.h"

struct wait_handle {
	struct handle handle;
	struct script *script; /* counted; null: nothing was ever run */
	struct script_watcher watcher;
	bool opened;
	struct request_list waiting; /* the OPEN, then READs */
	struct poll_handle *ph;
};

static void free_handle(struct wait_handle *h)
{
	request_list_fail(&h->waiting, ENOTCONN);
	poll_handle_free(h->ph);
	if (h->script != NULL)
		script_unwatch(h->script, &h->watcher);
	script_unref(h->script);
	handle_finish(&h->handle);
	free(h);
}

static bool is_over(const struct wait_handle *h)
{
	return h->script == NULL || script_over(h->script);
}

/* What came of it: 0 or a negative errno. */
static int outcome(const struct wait_handle *h)
{
	return h->script != NULL && is_over(h) ? h->script->rc : 0;
}

/* Answers the OPEN; the handle goes when that is in vain. */
static void finish_open(struct wait_handle *h, struct request *rq)
{
	const struct open_reply reply = {
		.fh = (uint64_t)(uintptr_t)h,
		.direct_io = true,
	};
	int rc = outcome(h);

	h->opened = true;
	if (rc < 0)
		request_fail(rq, -rc);
	if (rc < 0 || !request_opened(rq, &reply))
		free_handle(h);
}

static void finish_read(struct wait_handle *h, struct request *rq)
{
	const char *line = h->script != NULL ? "done\n" : "idle\n";
	size_t len = strlen(line);
	int rc = outcome(h);

	if (rc < 0)
		request_fail(rq, -rc);
	else if (rq->off >= len)
		request_data(rq, "", 0);
	else
		request_data(rq, line + rq->off,
			     len - rq->off < rq->size ? len - rq->off
						      : rq->size);
}

static void on_over(struct script_watcher *watcher)
{
	struct wait_handle *h =
		(struct wait_handle *)((char *)watcher -
				       offsetof(struct wait_handle, watcher));
	struct request *rq;

	if (h->ph != NULL)
		poll_handle_notify(&h->ph);
	if (!h->opened) {
		finish_open(h, request_list_take(&h->waiting));
		return;
	}
	while ((rq = request_list_take(&h->waiting)) != NULL)
		finish_read(h, rq);
}

static void on_dying(struct request *rq)
{
	struct wait_handle *h = rq->owner;

	request_list_remove(&h->waiting, rq);
	request_fail(rq, EINTR);
	if (!h->opened)
		free_handle(h);
}

static int park(struct wait_handle *h, const struct request *rq)
{
	struct request *parked =
		request_park(h->handle.mount->requests, rq, on_dying, h);

	if (parked == NULL)
		return -ENOMEM;
	request_list_add(&h->waiting, parked);
	script_watch(h->script, &h->watcher);
	return 0;
}

static int wait_open(struct request *rq, struct mount *m, struct node *node,
		     const struct caller *caller, int flags)
{
	struct conversation *conv;
	struct wait_handle *h;
	struct script *script;
	int rc = conversation_at(&conv, node, caller, false);

	if (rc < 0)
		return rc;
	if ((flags & O_ACCMODE) != O_RDONLY)
		return -EACCES;
	h = calloc(1, sizeof(*h));
	if (h == NULL)
		return -ENOMEM;
	handle_init(&h->handle, &wait_ops, m, caller->uid);
	h->watcher.on_over = on_over;
	script = conv != NULL ? conversation_pick(conv, caller, false) : NULL;
	if (script != NULL)
		h->script = script_ref(script);
	if (is_over(h) || (flags & O_NONBLOCK) != 0) {
		finish_open(h, rq);
		return 0;
	}
	rc = park(h, rq);
	if (rc < 0)
		free_handle(h);
	return rc;
}

static int wait_read(struct request *rq, struct handle *handle, uint64_t off)
{
	struct wait_handle *h = (struct wait_handle *)handle;

	rq->off = off;
	if (is_over(h)) {
		finish_read(h, rq);
		return 0;
	}
	if ((rq->flags & O_NONBLOCK) == 0)
		return park(h, rq);
	/* Who polls is told, also without a new poll. */
	script_watch(h->script, &h->watcher);
	return -EAGAIN;
}

static unsigned wait_poll(struct handle *handle, struct poll_handle *ph)
{
	struct wait_handle *h = (struct wait_handle *)handle;

	if (ph != NULL) {
		poll_handle_free(h->ph);
		h->ph = ph;
	}
	if (is_over(h))
		return POLLIN | POLLRDNORM;
	script_watch(h->script, &h->watcher);
	return 0;
}

static void wait_release(struct handle *handle)
{
	free_handle((struct wait_handle *)handle);
}

const struct file_ops wait_ops = {
	.open = wait_open,
	.read = wait_read,
	.poll = wait_poll,
	.release = wait_release,
};
