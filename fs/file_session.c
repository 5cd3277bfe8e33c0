/* SPDX-License-Identifier: MIT */
/*
 * sessions/.new, .sql and .end: sessions for callers that have no mkdir and
 * rmdir. A session made here ends with the process that opened the file.
 */
#include <errno.h>
#include <limits.h>
#include <string.h>

#include "fs/connection.h"
#include "fs/conversation.h"
#include "fs/file_word.h"
#include "fs/follow.h"
#include "fs/mount.h"
#include "fs/node.h"
#include "fs/request.h"
#include "fs/sessions.h"

/* The name alone, or with the line's end. */
static int take_name(char name[NAME_MAX + 1], const char *data, size_t len)
{
	if (len > 0 && data[len - 1] == '\n')
		len--;
	if (len > NAME_MAX)
		return -ENAMETOOLONG;
	memcpy(name, data, len);
	name[len] = '\0';
	return strlen(name) == len ? 0 : -EINVAL;
}

/* sessions/ as who opened the file sees it. */
static int view_of(struct view *v, const struct word_handle *h,
		   const struct request *rq)
{
	struct mount *m = h->handle.mount;

	*v = (struct view){
		.mount = m,
		.caller = &h->caller,
		.conn = h->conn,
	};
	if (rq->uid != h->handle.uid)
		return -EACCES;
	if (h->conn->dir != NULL)
		v->dir = node_child(m->nodes, h->conn->dir, "sessions");
	return v->dir != NULL ? 0 : -ENOENT;
}

static int make(struct request *rq, struct handle *handle, const char *data,
		size_t len, bool follow)
{
	char name[NAME_MAX + 1];
	struct conversation *conv;
	struct node *dir;
	struct view v;
	int rc = view_of(&v, (struct word_handle *)handle, rq);

	if (rc == 0)
		rc = take_name(name, data, len);
	if (rc == 0)
		rc = sessions_make(&dir, &v, name);
	if (rc < 0)
		return rc;
	conv = dir->session;
	conv->of_process = true;
	rc = follow ? follow_begin(conv) : 0;
	if (rc < 0)
		conversation_end(conv);
	else
		request_wrote(rq);
	return rc;
}

static int new_write(struct request *rq, struct handle *handle,
		     const char *data, size_t len, uint64_t off)
{
	(void)off;
	return make(rq, handle, data, len, false);
}

const struct file_ops session_new_ops = {
	.open = word_open,
	.write = new_write,
	.truncate = word_truncate,
	.release = word_release,
};

static int sql_write(struct request *rq, struct handle *handle,
		     const char *data, size_t len, uint64_t off)
{
	(void)off;
	return make(rq, handle, data, len, true);
}

const struct file_ops session_sql_ops = {
	.open = word_open,
	.write = sql_write,
	.truncate = word_truncate,
	.release = word_release,
};

static int end_write(struct request *rq, struct handle *handle,
		     const char *data, size_t len, uint64_t off)
{
	char name[NAME_MAX + 1];
	struct view v;
	int rc = view_of(&v, (struct word_handle *)handle, rq);

	(void)off;
	if (rc == 0)
		rc = take_name(name, data, len);
	if (rc == 0)
		rc = sessions_rmdir(&v, name);
	if (rc == 0)
		request_wrote(rq);
	return rc;
}

const struct file_ops session_end_ops = {
	.open = word_open,
	.write = end_write,
	.truncate = word_truncate,
	.release = word_release,
};
