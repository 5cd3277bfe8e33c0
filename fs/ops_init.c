/* SPDX-License-Identifier: MIT */
#include "fs/ops_init.h"

#include <errno.h>
#include <linux/fuse.h>
#include <stdbool.h>
#include <sys/uio.h>
#include <unistd.h>

#define FUSE_USE_VERSION 314
#include <fuse_lowlevel.h>

#include "common/err.h"

/* Bit 36, Linux 6.6: linux/fuse.h of Debian 12 does not name it. */
enum { FLAGS2_DIRECT_IO_ALLOW_MMAP = 1 << 4 };

static bool init_pending; /* the next reply is the one to INIT */
static bool open_stream;  /* it is one to OPEN, of a stream */
static uint32_t kernel_flags2;
static void (*init_done)(void *arg);
static void *init_arg;

void ops_on_init(void (*on_init)(void *arg), void *arg)
{
	init_done = on_init;
	init_arg = arg;
}

void ops_open_stream(bool stream)
{
	open_stream = stream;
}

void ops_init(void *userdata, struct fuse_conn_info *conn)
{
	(void)userdata;
	/* Replies are memory: a pipe in between only costs. */
	conn->want &= ~(unsigned)(FUSE_CAP_SPLICE_READ | FUSE_CAP_SPLICE_WRITE |
				  FUSE_CAP_SPLICE_MOVE);
	/* OPEN drops text itself; results do not change under a reader. */
	if (conn->capable & FUSE_CAP_ATOMIC_O_TRUNC)
		conn->want |= FUSE_CAP_ATOMIC_O_TRUNC;
	conn->want &= ~(unsigned)FUSE_CAP_AUTO_INVAL_DATA;
	init_pending = true;
}

static ssize_t read_device(int fd, void *buf, size_t len, void *userdata)
{
	ssize_t n = read(fd, buf, len);
	const struct fuse_in_header *in = buf;
	const struct fuse_init_in *init = (const void *)(in + 1);

	(void)userdata;
	if (n >= (ssize_t)(sizeof(*in) + sizeof(*init)) &&
	    in->opcode == FUSE_INIT && (init->flags & FUSE_INIT_EXT) != 0)
		kernel_flags2 = init->flags2;
	return n;
}

static ssize_t write_device(int fd, struct iovec *iov, int count,
			    void *userdata)
{
	ssize_t n;

	(void)userdata;
	if (init_pending && count >= 2 &&
	    iov[1].iov_len >= sizeof(struct fuse_init_out)) {
		struct fuse_init_out *out = iov[1].iov_base;

		/* libfuse wants it and does not say so. */
		out->flags |= FUSE_PARALLEL_DIROPS;
		if (kernel_flags2 & FLAGS2_DIRECT_IO_ALLOW_MMAP) {
			out->flags |= FUSE_INIT_EXT;
			out->flags2 = FLAGS2_DIRECT_IO_ALLOW_MMAP;
		}
	}
	if (open_stream && count >= 2 &&
	    iov[1].iov_len >= sizeof(struct fuse_open_out)) {
		struct fuse_open_out *out = iov[1].iov_base;

		out->open_flags |= FOPEN_STREAM;
	}
	n = writev(fd, iov, count);
	if (init_pending && n >= 0) {
		init_pending = false;
		if (init_done != NULL)
			init_done(init_arg);
	}
	return n;
}

int ops_patch_session(struct fuse_session *se, struct err *err)
{
	static const struct fuse_custom_io io = {
		.read = read_device,
		.writev = write_device,
	};
	int rc = fuse_session_custom_io(se, &io, fuse_session_fd(se));

	return rc < 0 ? err_sys(err, -rc, "fuse session") : 0;
}
