/* SPDX-License-Identifier: MIT */
#include "fs/unmount.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define FUSE_USE_VERSION 314
#include <fuse_lowlevel.h>

#include "common/cleanup.h"
#include "common/log.h"
#include "common/mountinfo.h"

/* Somebody who asks without end does not hold up ours. */
enum { REFUSED_MAX = 10000 };

struct places {
	dev_t dev;
	char **paths;
	size_t n;
	bool out_of_memory;
};

static bool visit(void *arg, const struct mountinfo *m)
{
	struct places *p = arg;
	char **grown;

	if (m->dev != p->dev)
		return true;
	grown = reallocarray(p->paths, p->n + 1, sizeof(*grown));
	if (grown != NULL) {
		p->paths = grown;
		grown[p->n] = strdup(m->mountpoint);
		if (grown[p->n] != NULL) {
			p->n++;
			return true;
		}
	}
	p->out_of_memory = true;
	return false;
}

/* The kernel has ended the session: there is no such file system any more. */
static bool has_ended(struct fuse_session *se)
{
	struct pollfd device = {.fd = fuse_session_fd(se)};

	return poll(&device, 1, 0) == 1 && (device.revents & POLLERR) != 0;
}

/*
 * A mount that is held cannot go away, so that the number of its device
 * cannot be that of another one: as long as the session has not ended it is
 * ours. Nothing of this asks the file system.
 */
static int hold(const char *path, dev_t dev, struct fuse_session *se)
{
	auto_close int fd =
		open(path, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct statx st;

	if (fd < 0 ||
	    statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_TYPE, &st) <
		    0 ||
	    makedev(st.stx_dev_major, st.stx_dev_minor) != dev || has_ended(se))
		return -1;
	return take_fd(&fd);
}

/* By its descriptor: the path may lead elsewhere by the time. */
static void take_off(struct unmount *u, int fd, const char *path)
{
	char link[40];

	(void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	if (umount2(link, MNT_DETACH) == 0)
		return;
	if (errno == EPERM)
		u->refused = true;
	else
		log_warn("cannot unmount %s: %m", path);
}

void unmount_begin(struct unmount *u, struct fuse_session *se, dev_t dev)
{
	struct places places = {.dev = dev};
	int rc;

	*u = (struct unmount){0};
	if (dev == 0)
		return;
	rc = mountinfo_each(MOUNTINFO_SELF, visit, &places);
	if (rc < 0 || places.out_of_memory)
		log_warn(MOUNTINFO_SELF ": %s",
			 strerrordesc_np(rc < 0 ? -rc : ENOMEM));
	u->held = calloc(places.n + 1, sizeof(*u->held));
	/* From the last on: of those at one place it is on top. */
	while (places.n > 0) {
		char *path = places.paths[--places.n];
		int fd = u->held != NULL ? hold(path, dev, se) : -1;

		if (fd >= 0) {
			u->held[u->n_held++] = fd;
			take_off(u, fd, path);
		}
		free(path);
	}
	free(places.paths);
}

static void refuse(const struct fuse_in_header *in, int device)
{
	const struct fuse_out_header out = {
		.len = sizeof(out),
		.error = -ENOTCONN,
		.unique = in->unique,
	};

	if (in->opcode == FUSE_FORGET || in->opcode == FUSE_BATCH_FORGET ||
	    in->opcode == FUSE_INTERRUPT)
		return; /* these have no answer */
	if (write(device, &out, sizeof(out)) < 0 && errno != ENOENT)
		log_warn("cannot answer at the end: %m");
}

/*
 * What has come since the loop ended, from those who were woken above all.
 * Closing the device answers as well, but with ECONNABORTED.
 */
static void refuse_all(struct fuse_session *se)
{
	struct fuse_buf buf = {0};

	for (int i = 0; i < REFUSED_MAX; i++) {
		if (fuse_session_receive_buf(se, &buf) <= 0)
			break;
		refuse(buf.mem, fuse_session_fd(se));
	}
	free(buf.mem);
}

/*
 * libfuse unmounts what is at the path, whatever it is, unless its descriptor
 * says that the session has ended, as one end of a broken pipe does. In the
 * device's place it closes the device as well.
 */
static void keep_libfuse_off(struct fuse_session *se)
{
	int ends[2];

	if (pipe2(ends, O_CLOEXEC) < 0) {
		log_warn("pipe: %m");
		return;
	}
	(void)close(ends[0]);
	(void)dup3(ends[1], fuse_session_fd(se), O_CLOEXEC);
	(void)close(ends[1]);
}

void unmount_finish(struct unmount *u, struct fuse_session *se)
{
	refuse_all(se);
	if (!u->refused)
		keep_libfuse_off(se);
	fuse_session_unmount(se);
	/*
	 * The last to hold the file system ends it, in this call, and what it
	 * has not written yet goes to the device: which is closed by now.
	 */
	for (size_t i = 0; i < u->n_held; i++)
		(void)close(u->held[i]);
	free(u->held);
	*u = (struct unmount){0};
}
