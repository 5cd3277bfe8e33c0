/* SPDX-License-Identifier: MIT */
#include "fs/ops.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#define FUSE_USE_VERSION 314
#include <fuse_lowlevel.h>

#include "fs/access.h"
#include "fs/caller.h"
#include "fs/config.h"
#include "fs/connection.h"
#include "fs/conversation.h"
#include "fs/editor.h"
#include "fs/file.h"
#include "fs/mount.h"
#include "fs/ops_init.h"
#include "fs/ops_xattr.h"
#include "fs/removal.h"
#include "fs/sessions.h"
#include "fs/tree_times.h"

/* Names and numbers of directories do not change; who sees them does. */
static const double DIR_ENTRY_SECONDS = 60.0;
/* A finished result and a text never change: theirs are good for long. */
static const double FIXED_ATTR_SECONDS = 3600.0;

static struct mount *mount_of(fuse_req_t req)
{
	struct mount *m = fuse_req_userdata(req);

	m->n_requests++;
	return m;
}

static void fail(fuse_req_t req, int rc)
{
	(void)fuse_reply_err(req, -rc);
}

static int identify(fuse_req_t req, struct caller *caller)
{
	const struct fuse_ctx *ctx = fuse_req_ctx(req);

	return caller_identify(caller, ctx->pid, ctx->uid, ctx->gid);
}

static void start_request(struct request *rq, fuse_req_t req)
{
	const struct fuse_ctx *ctx = fuse_req_ctx(req);

	*rq = (struct request){
		.req = req,
		.tid = ctx->pid,
		.uid = ctx->uid,
		.gid = ctx->gid,
	};
}

/* Who asks for what is in the directory, and what is there for them. */
static int look(struct view *v, struct caller *caller, fuse_req_t req,
		fuse_ino_t ino)
{
	struct mount *m = mount_of(req);
	struct node *dir = node_get(m->nodes, ino);
	int rc;

	if (dir == NULL)
		return -ESTALE;
	rc = identify(req, caller);
	if (rc < 0)
		return rc;
	*v = (struct view){
		.mount = m,
		.dir = dir,
		.caller = caller,
		.conn = node_connection(dir),
	};
	/* Of another's session tree_may_enter() tells. */
	if (conversation_at(&v->conv, dir, caller, false) < 0)
		v->conv = NULL;
	return 0;
}

static void fill_entry(struct fuse_entry_param *e, struct node *node)
{
	*e = (struct fuse_entry_param){.ino = node->id, .generation = 1};
	node_stat(node, &e->attr);
	if (node->pinned && node->session == NULL)
		e->entry_timeout = DIR_ENTRY_SECONDS;
	else if (node->ops == &text_ops || node->size > 0)
		e->attr_timeout = FIXED_ATTR_SECONDS;
	if (node->ops == &scratch_ops || node->ops == &query_ops)
		e->attr_timeout = 0;
}

static void reply_entry(fuse_req_t req, struct mount *m, struct node *node)
{
	struct fuse_entry_param e;

	fill_entry(&e, node);
	node_lookup(node);
	if (fuse_reply_entry(req, &e) < 0)
		node_forget(m->nodes, node->id, 1);
}

static void op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct caller caller;
	struct node *node;
	struct view v;
	int rc = look(&v, &caller, req, parent);

	if (rc == 0)
		rc = tree_lookup(&node, &v, name);
	if (rc < 0)
		fail(req, rc);
	else
		reply_entry(req, v.mount, node);
}

static void op_forget(fuse_req_t req, fuse_ino_t ino, uint64_t nlookup)
{
	node_forget(mount_of(req)->nodes, ino, nlookup);
	fuse_reply_none(req);
}

static void op_forget_multi(fuse_req_t req, size_t count,
			    struct fuse_forget_data *forgets)
{
	for (size_t i = 0; i < count; i++)
		node_forget(mount_of(req)->nodes, forgets[i].ino,
			    forgets[i].nlookup);
	fuse_reply_none(req);
}

/* What a caller may not use it does not see, but for its number. */
static int check_dir(fuse_req_t req, struct node *node)
{
	struct caller caller;
	int rc;

	if (node->dir == NODE_FILE || node->dir == NODE_ROOT ||
	    node->dir == NODE_DOT)
		return 0;
	rc = identify(req, &caller);
	return rc < 0 ? rc : tree_may_enter(node, &caller);
}

static void reply_attr(fuse_req_t req, struct node *node)
{
	struct fuse_entry_param e;

	fill_entry(&e, node);
	(void)fuse_reply_attr(req, &e.attr, e.attr_timeout);
}

/* One directory for all, in which each caller finds what is its own. */
static int reply_shared(fuse_req_t req, struct node *dir)
{
	struct fuse_entry_param e;
	struct caller caller;
	int rc = identify(req, &caller);

	if (rc == 0)
		rc = tree_may_enter(dir, &caller);
	if (rc < 0)
		return rc;
	fill_entry(&e, dir);
	node_stat_time(&e.attr, time_of_shared(dir, &caller));
	(void)fuse_reply_attr(req, &e.attr, e.attr_timeout);
	return 0;
}

static void op_getattr(fuse_req_t req, fuse_ino_t ino,
		       struct fuse_file_info *fi)
{
	struct node *node = node_get(mount_of(req)->nodes, ino);
	int rc = -ESTALE;

	(void)fi;
	if (node != NULL && time_is_callers(node)) {
		rc = reply_shared(req, node);
	} else if (node != NULL) {
		rc = check_dir(req, node);
		if (rc == 0)
			reply_attr(req, node);
	}
	if (rc < 0)
		fail(req, rc);
}

static struct handle *handle_of(const struct fuse_file_info *fi)
{
	return fi != NULL ? (struct handle *)(uintptr_t)fi->fh : NULL;
}

/* Size 0 drops text; modes, owners and times of editors are taken as read. */
static void op_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr,
		       int to_set, struct fuse_file_info *fi)
{
	struct node *node = node_get(mount_of(req)->nodes, ino);
	struct handle *h = handle_of(fi);
	int rc = 0;

	if (node == NULL)
		rc = -ESTALE;
	else if (node->ops == NULL || node->ops->truncate == NULL ||
		 node->uid != fuse_req_ctx(req)->uid)
		rc = -EACCES;
	else if ((to_set & FUSE_SET_ATTR_SIZE) != 0)
		rc = node->ops->truncate(node, h, (uint64_t)attr->st_size);
	if (rc < 0)
		fail(req, rc);
	else
		reply_attr(req, node);
}

static void op_access(fuse_req_t req, fuse_ino_t ino, int mask)
{
	struct node *node = node_get(mount_of(req)->nodes, ino);
	int rc = node != NULL ? check_dir(req, node) : -ESTALE;

	if (rc == 0 && node->dir != NODE_FILE && (mask & W_OK) != 0 &&
	    node->dir != NODE_CONNECTION && node->dir != NODE_SESSIONS &&
	    node->dir != NODE_SESSION && node->dir != NODE_QUERIES)
		rc = -EACCES;
	if (rc == 0 && node->dir == NODE_FILE &&
	    (((mask & W_OK) != 0 && (node->mode & 0222) == 0) ||
	     ((mask & R_OK) != 0 && (node->mode & 0444) == 0) ||
	     ((mask & X_OK) != 0 && (node->mode & 0111) == 0)))
		rc = -EACCES;
	fail(req, rc);
}

static void op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct mount *m = mount_of(req);
	struct node *node = node_get(m->nodes, ino);
	struct caller caller;
	struct request rq;
	int rc = -ESTALE;

	start_request(&rq, req);
	if (node != NULL)
		rc = identify(req, &caller);
	if (rc == 0 && node->ops == NULL)
		rc = -EISDIR;
	if (rc == 0 && node->ops->open == NULL)
		rc = -EACCES;
	/* The kernel looks again, and finds that it is not there. */
	if (rc == 0 && removal_hides(node))
		rc = -ESTALE;
	if (rc == 0 && node->conn != NULL &&
	    !access_allowed(&node->conn->spec->access, &caller))
		rc = -EACCES;
	if (rc == 0)
		rc = node->ops->open(&rq, m, node, &caller, fi->flags);
	if (rc < 0)
		fail(req, rc);
}

static void op_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
		    struct fuse_file_info *fi)
{
	struct handle *h = handle_of(fi);
	struct request rq;
	int rc = -EACCES;

	(void)ino;
	(void)mount_of(req);
	start_request(&rq, req);
	rq.size = size;
	rq.flags = fi->flags;
	if (h->ops->read != NULL)
		rc = h->ops->read(&rq, h, (uint64_t)off);
	if (rc < 0)
		fail(req, rc);
}

static void op_write(fuse_req_t req, fuse_ino_t ino, const char *data,
		     size_t size, off_t off, struct fuse_file_info *fi)
{
	struct handle *h = handle_of(fi);
	struct request rq;
	int rc = -EACCES;

	(void)ino;
	(void)mount_of(req);
	start_request(&rq, req);
	rq.size = size;
	if (h->ops->write != NULL)
		rc = h->ops->write(&rq, h, data, size, (uint64_t)off);
	if (rc < 0)
		fail(req, rc);
}

static void op_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct handle *h = handle_of(fi);
	struct request rq;
	int rc = 0;

	(void)ino;
	(void)mount_of(req);
	start_request(&rq, req);
	if (h->ops->flush != NULL)
		rc = h->ops->flush(&rq, h);
	else
		request_fail(&rq, 0);
	if (rc < 0)
		fail(req, rc);
}

static void op_fsync(fuse_req_t req, fuse_ino_t ino, int datasync,
		     struct fuse_file_info *fi)
{
	struct handle *h = handle_of(fi);
	struct request rq;
	int rc = 0;

	(void)ino;
	(void)datasync;
	(void)mount_of(req);
	start_request(&rq, req);
	if (h->ops->fsync != NULL)
		rc = h->ops->fsync(&rq, h);
	else
		request_fail(&rq, 0);
	if (rc < 0)
		fail(req, rc);
}

static void op_release(fuse_req_t req, fuse_ino_t ino,
		       struct fuse_file_info *fi)
{
	struct handle *h = handle_of(fi);

	(void)ino;
	(void)mount_of(req);
	h->ops->release(h);
	(void)fuse_reply_err(req, 0);
}

static void op_poll(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi,
		    struct fuse_pollhandle *ph)
{
	struct handle *h = handle_of(fi);
	struct poll_handle *poll = ph != NULL ? poll_handle_create(ph) : NULL;

	(void)ino;
	(void)mount_of(req);
	if (h->ops->poll == NULL) {
		poll_handle_free(poll);
		fail(req, -ENOSYS); /* always ready */
		return;
	}
	(void)fuse_reply_poll(req, h->ops->poll(h, poll));
}

static void op_readlink(fuse_req_t req, fuse_ino_t ino)
{
	const struct node *node = node_get(mount_of(req)->nodes, ino);

	if (node != NULL && S_ISLNK(node->mode))
		(void)fuse_reply_readlink(req, node->text);
	else
		fail(req, node != NULL ? -EINVAL : -ESTALE);
}

static void op_opendir(fuse_req_t req, fuse_ino_t ino,
		       struct fuse_file_info *fi)
{
	struct node *node = node_get(mount_of(req)->nodes, ino);
	int rc = node != NULL ? check_dir(req, node) : -ESTALE;

	if (rc < 0)
		fail(req, rc);
	else
		(void)fuse_reply_open(req, fi);
}

struct dir_buf {
	fuse_req_t req;
	char *data;
	size_t len;
	size_t size;
};

static bool add_name(void *arg, const char *name, mode_t mode, uint64_t ino,
		     uint64_t position)
{
	struct dir_buf *b = arg;
	struct stat st = {.st_ino = ino, .st_mode = mode};
	size_t n = fuse_add_direntry(b->req, b->data + b->len, b->size - b->len,
				     name, &st, (off_t)position);

	if (n > b->size - b->len)
		return false;
	b->len += n;
	return true;
}

static void op_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
		       struct fuse_file_info *fi)
{
	struct dir_buf b = {.req = req, .size = size};
	struct caller caller;
	struct view v;
	int rc = look(&v, &caller, req, ino);

	(void)fi;
	if (rc == 0) {
		b.data = malloc(size);
		rc = b.data == NULL
			     ? -ENOMEM
			     : tree_readdir(&v, (uint64_t)off, add_name, &b);
	}
	if (rc < 0)
		fail(req, rc);
	else
		(void)fuse_reply_buf(req, b.data, b.len);
	free(b.data);
}

/* No space is free for files of one's own; the names are long enough. */
static void op_statfs(fuse_req_t req, fuse_ino_t ino)
{
	struct statvfs st = {
		.f_bsize = 4096,
		.f_frsize = 4096,
		.f_namemax = 255,
	};

	(void)ino;
	(void)mount_of(req);
	(void)fuse_reply_statfs(req, &st);
}

/* A file of an editor's own beside query.sql. */
static void op_create(fuse_req_t req, fuse_ino_t parent, const char *name,
		      mode_t mode, struct fuse_file_info *fi)
{
	struct fuse_entry_param e;
	struct handle *h;
	struct caller caller;
	struct node *node;
	struct view v;
	int rc = look(&v, &caller, req, parent);

	if (rc == 0)
		rc = editor_create(&node, &h, &v, name, mode);
	if (rc < 0) {
		fail(req, rc);
		return;
	}
	fi->fh = (uint64_t)(uintptr_t)h;
	fi->direct_io = 1;
	fill_entry(&e, node);
	node_lookup(node);
	if (fuse_reply_create(req, &e, fi) < 0) {
		scratch_ops.release(h);
		node_forget(v.mount->nodes, node->id, 1);
	}
}

static void op_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct caller caller;
	struct view v;
	int rc = look(&v, &caller, req, parent);

	if (rc == 0)
		rc = editor_unlink(&v, name);
	fail(req, rc);
}

/* mv copies what it may not rename, and asks without flags then. */
static int check_rename(const struct view *v, fuse_ino_t newparent,
			unsigned int flags)
{
	const struct node *to = node_get(v->mount->nodes, newparent);

	if (to == NULL)
		return -ESTALE;
	if (to != v->dir &&
	    (to->dir == NODE_QUERIES || v->dir->dir == NODE_QUERIES))
		return -EXDEV;
	return to != v->dir || flags != 0 ? -EINVAL : 0;
}

static void op_rename(fuse_req_t req, fuse_ino_t parent, const char *name,
		      fuse_ino_t newparent, const char *newname,
		      unsigned int flags)
{
	struct caller caller;
	struct request rq;
	struct view v;
	int rc = look(&v, &caller, req, parent);

	start_request(&rq, req);
	if (rc == 0)
		rc = check_rename(&v, newparent, flags);
	if (rc == 0)
		rc = editor_rename(&rq, &v, name, newname);
	if (rc < 0)
		fail(req, rc);
}

static void op_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name,
		     mode_t mode)
{
	struct caller caller;
	struct node *node;
	struct view v;
	int rc = look(&v, &caller, req, parent);

	(void)mode; /* nobody but its maker is let in */
	if (rc == 0)
		rc = sessions_mkdir(&node, &v, name);
	if (rc < 0)
		fail(req, rc);
	else
		reply_entry(req, v.mount, node);
}

static void op_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct caller caller;
	struct view v;
	int rc = look(&v, &caller, req, parent);

	if (rc == 0)
		rc = sessions_rmdir(&v, name);
	fail(req, rc);
}

/*
 * There are no links or devices of one's own; without these the caller would
 * be told that there are no such calls.
 */
static void op_symlink(fuse_req_t req, const char *target, fuse_ino_t parent,
		       const char *name)
{
	fail(req, -EPERM);
}

static void op_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t newparent,
		    const char *newname)
{
	fail(req, -EPERM);
}

static void op_mknod(fuse_req_t req, fuse_ino_t parent, const char *name,
		     mode_t mode, dev_t rdev)
{
	fail(req, -EPERM);
}

const struct fuse_lowlevel_ops connfs_ops = {
	.init = ops_init,
	.lookup = op_lookup,
	.forget = op_forget,
	.forget_multi = op_forget_multi,
	.getattr = op_getattr,
	.setattr = op_setattr,
	.access = op_access,
	.readlink = op_readlink,
	.open = op_open,
	.read = op_read,
	.write = op_write,
	.flush = op_flush,
	.fsync = op_fsync,
	.release = op_release,
	.poll = op_poll,
	.getxattr = ops_getxattr,
	.listxattr = ops_listxattr,
	.opendir = op_opendir,
	.readdir = op_readdir,
	.statfs = op_statfs,
	.create = op_create,
	.unlink = op_unlink,
	.rename = op_rename,
	.mkdir = op_mkdir,
	.rmdir = op_rmdir,
	.symlink = op_symlink,
	.link = op_link,
	.mknod = op_mknod,
};
