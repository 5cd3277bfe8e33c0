/* SPDX-License-Identifier: MIT */
/*
 * Files that are written a word to: cancel, .connfs/cancel and reload,
 * creds/refresh.
 */
#include "fs/file_word.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "auth/auth.h"
#include "common/cleanup.h"
#include "fs/config.h"
#include "fs/connection.h"
#include "fs/conversation.h"
#include "fs/loop.h"
#include "fs/mount.h"
#include "fs/reload.h"
#include "fs/report.h"
#include "fs/script.h"
#include "fs/statement.h"

int word_open(struct request *rq, struct mount *m, struct node *node,
	      const struct caller *caller, int flags)
{
	struct word_handle *h;
	struct open_reply reply = {.direct_io = true, .nonseekable = true};
	struct conversation *conv;

	if ((flags & O_ACCMODE) != O_WRONLY)
		return -EACCES;
	if (conversation_at(&conv, node, caller, false) < 0)
		return -ESTALE;
	h = calloc(1, sizeof(*h));
	if (h == NULL)
		return -ENOMEM;
	handle_init(&h->handle, node->ops, m, caller->uid);
	h->caller = *caller;
	if (node->conn != NULL)
		h->conn = connection_ref(node->conn);
	if (node->session != NULL)
		h->session = conversation_ref(node->session);
	reply.fh = (uint64_t)(uintptr_t)h;
	if (!request_opened(rq, &reply))
		node->ops->release(&h->handle);
	return 0;
}

void word_release(struct handle *handle)
{
	struct word_handle *h = (struct word_handle *)handle;

	connection_unref(h->conn);
	conversation_unref(h->session);
	handle_finish(handle);
	free(h);
}

int word_truncate(struct node *node, struct handle *h, uint64_t size)
{
	(void)node;
	(void)h;
	return size == 0 ? 0 : -EINVAL;
}

static int cancel_write(struct request *rq, struct handle *handle,
			const char *data, size_t len, uint64_t off)
{
	struct word_handle *h = (struct word_handle *)handle;
	struct conversation *conv = h->session;
	struct script *script = NULL;

	(void)data;
	(void)len;
	(void)off;
	if (rq->uid != h->handle.uid)
		return -EACCES;
	if (conv == NULL)
		conv = conversation_find(h->conn, &h->caller);
	if (conv != NULL)
		script = conversation_pick(conv, &h->caller, false);
	if (script != NULL)
		script_cancel(script, STOP_CANCEL);
	request_wrote(rq);
	return 0;
}

const struct file_ops cancel_ops = {
	.open = word_open,
	.write = cancel_write,
	.truncate = word_truncate,
	.release = word_release,
};

static struct script *script_of(struct conversation *conv, uint64_t id)
{
	for (struct script *s = conv->scripts; s != NULL; s = s->next) {
		if ((s->running && s->current->id == id) ||
		    (s->pending != NULL && s->pending->id == id))
			return s;
	}
	return NULL;
}

static struct script *find_script(struct word_handle *h, uint64_t id)
{
	struct script *found = NULL;

	for (struct connection *c = h->handle.mount->connections;
	     c != NULL && found == NULL; c = c->next) {
		for (struct conversation *conv = c->conversations;
		     conv != NULL && found == NULL; conv = conv->next) {
			if (report_may_see(conv, &h->caller))
				found = script_of(conv, id);
		}
	}
	return found;
}

static int cancel_id_write(struct request *rq, struct handle *handle,
			   const char *data, size_t len, uint64_t off)
{
	struct word_handle *h = (struct word_handle *)handle;
	char word[24] = {0};
	struct script *script;
	char *end;
	uint64_t id;

	(void)off;
	if (rq->uid != h->handle.uid)
		return -EACCES;
	if (len >= sizeof(word))
		return -EINVAL;
	memcpy(word, data, len);
	id = strtoull(word, &end, 10);
	if (end == word || end[strspn(end, " \t\r\n")] != '\0')
		return -EINVAL;
	script = find_script(h, id);
	if (script == NULL)
		return -ESRCH;
	script_cancel(script, STOP_CANCEL);
	request_wrote(rq);
	return 0;
}

const struct file_ops cancel_id_ops = {
	.open = word_open,
	.write = cancel_id_write,
	.truncate = word_truncate,
	.release = word_release,
};

/* Obtaining a credential may take its time: on a thread of its own. */
struct refresh {
	struct loop_event event;
	struct mount *mount;
	struct spec *spec; /* counted */
	struct request_list waiter;
	int rc;
};

static void on_refreshed(struct loop_event *event)
{
	struct refresh *r = (struct refresh *)event;
	struct request *rq = request_list_take(&r->waiter);

	r->mount->n_threads--;
	if (rq != NULL && r->rc == 0)
		request_wrote(rq);
	else if (rq != NULL)
		request_fail(rq, -r->rc);
	spec_unref(r->spec);
	free(r);
}

static void *refresh_thread(void *arg)
{
	struct refresh *r = arg;
	struct err err;

	r->rc = auth_refresh(r->spec->auth, &err);
	(void)loop_post(r->mount->loop, &r->event);
	return NULL;
}

static void on_refresh_dying(struct request *rq)
{
	struct refresh *r = rq->owner;

	request_list_remove(&r->waiter, rq);
	request_fail(rq, EINTR);
}

static int refresh_write(struct request *rq, struct handle *handle,
			 const char *data, size_t len, uint64_t off)
{
	struct word_handle *h = (struct word_handle *)handle;
	struct mount *m = h->handle.mount;
	struct refresh *r;
	struct request *parked;
	int rc;

	(void)data;
	(void)len;
	(void)off;
	if (rq->uid != h->handle.uid)
		return -EACCES;
	r = calloc(1, sizeof(*r));
	parked = r != NULL ? request_park(m->requests, rq, on_refresh_dying, r)
			   : NULL;
	if (parked == NULL) {
		free(r);
		return -ENOMEM;
	}
	r->event.run = on_refreshed;
	r->mount = m;
	r->spec = spec_ref(h->conn->spec);
	request_list_add(&r->waiter, parked);
	rc = mount_start_thread(m, refresh_thread, r);
	if (rc < 0) {
		spec_unref(r->spec);
		free(r);
		request_fail(parked, -rc);
	}
	return 0;
}

const struct file_ops refresh_ops = {
	.open = word_open,
	.write = refresh_write,
	.truncate = word_truncate,
	.release = word_release,
};

/* The kernel can be made to open what somebody else has looked up. */
static int reload_open(struct request *rq, struct mount *m, struct node *node,
		       const struct caller *caller, int flags)
{
	if (!caller_is_owner(caller))
		return -EACCES;
	return word_open(rq, m, node, caller, flags);
}

static int reload_write(struct request *rq, struct handle *handle,
			const char *data, size_t len, uint64_t off)
{
	(void)data;
	(void)len;
	(void)off;
	if (rq->uid != handle->uid)
		return -EACCES;
	return reload_wait(handle->mount, rq);
}

const struct file_ops reload_ops = {
	.open = reload_open,
	.write = reload_write,
	.truncate = word_truncate,
	.release = word_release,
};
