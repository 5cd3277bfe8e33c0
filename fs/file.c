/* SPDX-License-Identifier: MIT */
#include "fs/file.h"

#include "fs/mount.h"

void handle_init(struct handle *h, const struct file_ops *ops, struct mount *m,
		 uid_t uid)
{
	h->ops = ops;
	h->mount = m;
	h->uid = uid;
	h->all_prev = NULL;
	h->all_next = m->handles;
	if (m->handles != NULL)
		m->handles->all_prev = h;
	m->handles = h;
}

void handle_finish(struct handle *h)
{
	if (h->all_prev != NULL)
		h->all_prev->all_next = h->all_next;
	else
		h->mount->handles = h->all_next;
	if (h->all_next != NULL)
		h->all_next->all_prev = h->all_prev;
}

void handle_release_all(struct mount *m)
{
	while (m->handles != NULL)
		m->handles->ops->release(m->handles);
}
