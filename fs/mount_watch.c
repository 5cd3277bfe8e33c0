/* SPDX-License-Identifier: MIT */
#include "fs/mount_watch.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/err.h"
#include "common/log.h"
#include "common/mountinfo.h"

/*
 * A host of containers changes its mounts all the time, and has thousands of
 * them: changes are looked at together, and looking takes the loop 5 % of its
 * time at most.
 */
enum { SETTLE_MS = 100, REST = 20 };

struct lookup {
	const char *path;
	dev_t dev; /* 0: none */
};

/* The last one at a place is the one on top. */
static bool visit_path(void *arg, const struct mountinfo *m)
{
	struct lookup *l = arg;

	if (mountinfo_is_connfs(m) && strcmp(m->mountpoint, l->path) == 0)
		l->dev = m->dev;
	return true;
}

static bool visit_dev(void *arg, const struct mountinfo *m)
{
	dev_t *dev = arg;

	if (m->dev != *dev)
		return true;
	*dev = 0;
	return false;
}

/* False also when it cannot be told. */
static bool is_gone(dev_t dev)
{
	int rc = mountinfo_each(MOUNTINFO_SELF, visit_dev, &dev);

	if (rc < 0)
		log_warn(MOUNTINFO_SELF ": %s", strerrordesc_np(-rc));
	return rc == 0 && dev != 0;
}

static int watch(struct mount_watch *w)
{
	/* Mounts that change are an error of the file, to poll(2). */
	return loop_watch_start(w->loop, &w->watch, EPOLLPRI | EPOLLERR);
}

static void on_timer(struct loop_timer *timer)
{
	struct mount_watch *w =
		(struct mount_watch *)((char *)timer -
				       offsetof(struct mount_watch, timer));
	uint64_t began = clock_mono_ms();
	int rc;

	/* First, so that a change meanwhile is one more. */
	rc = watch(w);
	if (rc < 0)
		log_warn(MOUNTINFO_SELF ": %s", strerrordesc_np(-rc));
	if (is_gone(w->dev)) {
		log_info("ending: nothing is mounted any more");
		loop_stop(w->loop);
	}
	w->delay_ms = (unsigned)(clock_mono_ms() - began) * REST;
	if (w->delay_ms < SETTLE_MS)
		w->delay_ms = SETTLE_MS;
}

static void on_change(struct loop_watch *watched)
{
	struct mount_watch *w = (struct mount_watch *)watched;

	loop_unwatch(w->loop, watched);
	if (loop_timer_start(w->loop, &w->timer, w->delay_ms) < 0)
		on_timer(&w->timer);
}

int mount_watch_start(struct mount_watch *w, struct loop *loop,
		      const char *path, struct err *err)
{
	struct lookup found = {.path = path};
	int fd = open(MOUNTINFO_SELF, O_RDONLY | O_CLOEXEC);
	int rc = fd < 0 ? -errno : 0;

	*w = (struct mount_watch){
		.watch = {.run = on_change, .fd = fd},
		.timer.run = on_timer,
		.loop = loop,
		.delay_ms = SETTLE_MS,
	};
	/* Opened before it is read: what changes in between is seen. */
	if (rc == 0)
		rc = mountinfo_each(MOUNTINFO_SELF, visit_path, &found);
	if (rc < 0)
		return err_sys(err, -rc, MOUNTINFO_SELF);
	if (found.dev == 0)
		return err_set(err, ENOENT, "%s: nothing is mounted there",
			       path);
	w->dev = found.dev;
	rc = watch(w);
	return rc < 0 ? err_sys(err, -rc, MOUNTINFO_SELF) : 0;
}

void mount_watch_stop(struct mount_watch *w)
{
	if (w->loop == NULL)
		return;
	loop_unwatch(w->loop, &w->watch);
	loop_timer_stop(w->loop, &w->timer);
	cleanup_close(&w->watch.fd);
	w->loop = NULL;
}
