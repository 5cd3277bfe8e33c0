/* SPDX-License-Identifier: MIT */
#include "fs/ops_xattr.h"

#include <errno.h>
#include <linux/limits.h>
#include <string.h>

#define FUSE_USE_VERSION 314
#include <fuse_lowlevel.h>

#include "common/buf.h"
#include "common/utf8.h"
#include "fs/file.h"
#include "fs/mount.h"

#define ERROR_ATTRIBUTE "user.connfs.error"
/* An error quotes a line of the statement, which may be one of 16 MiB. */
enum { MAX_TEXT = 64 * 1024 * 1024 };

static struct node *node_of(fuse_req_t req, fuse_ino_t ino)
{
	struct mount *m = fuse_req_userdata(req);

	m->n_requests++;
	return node_get(m->nodes, ino);
}

/*
 * The one attribute there is. Names of the system are not supported, which
 * tools ask once, and not for every file.
 */
void ops_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size)
{
	struct node *node = node_of(req, ino);
	int rc = strncmp(name, "user.", 5) == 0 ? -ENODATA : -EOPNOTSUPP;
	struct buf text;

	buf_init(&text, MAX_TEXT);
	if (node == NULL)
		rc = -ESTALE;
	else if (strcmp(name, ERROR_ATTRIBUTE) == 0 && node->ops != NULL &&
		 node->ops->error != NULL)
		rc = node->ops->error(node, fuse_req_ctx(req)->uid, &text);
	if (rc == 0 && text.failed)
		rc = -ENOMEM;
	if (rc == 0 && text.len > XATTR_SIZE_MAX)
		text.len = utf8_span(text.data, XATTR_SIZE_MAX);
	if (rc == 0 && size > 0 && text.len > size)
		rc = -ERANGE;
	if (rc < 0)
		(void)fuse_reply_err(req, -rc);
	else if (size == 0)
		(void)fuse_reply_xattr(req, text.len);
	else
		(void)fuse_reply_buf(req, text.data, text.len);
	buf_finish(&text);
}

void ops_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size)
{
	static const char names[] = ERROR_ATTRIBUTE;
	struct node *node = node_of(req, ino);
	size_t len = node != NULL && node->exchange != NULL ? sizeof(names) : 0;

	if (node == NULL)
		(void)fuse_reply_err(req, ESTALE);
	else if (size == 0)
		(void)fuse_reply_xattr(req, len);
	else if (len > size)
		(void)fuse_reply_err(req, ERANGE);
	else
		(void)fuse_reply_buf(req, names, len);
}
