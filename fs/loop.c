/* SPDX-License-Identifier: MIT */
#include "fs/loop.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#define FUSE_USE_VERSION 314
#include <fuse_lowlevel.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/err.h"
#include "common/log.h"

struct loop {
	int epoll_fd;
	int event_fd;
	int signal_fd;
	bool stop;

	pthread_mutex_t lock;
	struct loop_event *first; /* lock */
	struct loop_event **last; /* lock */

	struct loop_timer **heap; /* earliest first */
	size_t n_timers;
	size_t cap_timers;

	struct loop_watch *watches;

	void (*on_hup)(void *arg);
	void *hup_arg;
};

static int watch(struct loop *loop, int fd, unsigned events)
{
	struct epoll_event ev = {.events = events, .data.fd = fd};

	return epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, fd, &ev) < 0 ? -errno
								     : 0;
}

int loop_create(struct loop **out, struct err *err)
{
	struct loop *loop = calloc(1, sizeof(*loop));
	int rc;

	*out = NULL;
	if (loop == NULL)
		return err_set(err, ENOMEM, "out of memory");
	(void)pthread_mutex_init(&loop->lock, NULL);
	loop->last = &loop->first;
	loop->signal_fd = -1;
	loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	loop->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (loop->epoll_fd < 0 || loop->event_fd < 0) {
		rc = err_sys(err, errno, "event loop");
		loop_destroy(loop);
		return rc;
	}
	rc = watch(loop, loop->event_fd, EPOLLIN);
	if (rc < 0) {
		loop_destroy(loop);
		return err_sys(err, -rc, "event loop");
	}
	*out = loop;
	return 0;
}

void loop_destroy(struct loop *loop)
{
	if (loop == NULL)
		return;
	cleanup_close(&loop->epoll_fd);
	cleanup_close(&loop->event_fd);
	cleanup_close(&loop->signal_fd);
	(void)pthread_mutex_destroy(&loop->lock);
	free(loop->heap);
	free(loop);
}

bool loop_post(struct loop *loop, struct loop_event *event)
{
	const uint64_t one = 1;
	bool wake;

	{
		auto_lock(&loop->lock);
		if (event->posted)
			return false;
		wake = loop->first == NULL;
		event->posted = true;
		event->next = NULL;
		*loop->last = event;
		loop->last = &event->next;
	}
	/* The loop takes the whole list at once: one wake is enough. */
	if (wake && write(loop->event_fd, &one, sizeof(one)) < 0)
		log_error("cannot wake the loop: %m");
	return true;
}

static void run_events(struct loop *loop)
{
	struct loop_event *event;
	uint64_t count;

	if (read(loop->event_fd, &count, sizeof(count)) < 0 && errno != EAGAIN)
		log_error("cannot read the event counter: %m");
	for (;;) {
		{
			auto_lock(&loop->lock);
			event = loop->first;
			if (event == NULL)
				return;
			loop->first = event->next;
			if (loop->first == NULL)
				loop->last = &loop->first;
			event->posted = false;
		}
		event->run(event);
	}
}

static void place(struct loop *loop, struct loop_timer *timer, size_t i)
{
	loop->heap[i] = timer;
	timer->slot = i + 1;
}

static void sift(struct loop *loop, struct loop_timer *timer, size_t i)
{
	while (i > 0 && loop->heap[(i - 1) / 2]->due_ms > timer->due_ms) {
		place(loop, loop->heap[(i - 1) / 2], i);
		i = (i - 1) / 2;
	}
	for (;;) {
		size_t child = 2 * i + 1;

		if (child + 1 < loop->n_timers &&
		    loop->heap[child + 1]->due_ms < loop->heap[child]->due_ms)
			child++;
		if (child >= loop->n_timers ||
		    loop->heap[child]->due_ms >= timer->due_ms)
			break;
		place(loop, loop->heap[child], i);
		i = child;
	}
	place(loop, timer, i);
}

int loop_timer_start(struct loop *loop, struct loop_timer *timer,
		     unsigned delay_ms)
{
	timer->due_ms = clock_mono_ms() + delay_ms;
	if (timer->slot == 0) {
		if (loop->n_timers == loop->cap_timers) {
			size_t cap = loop->cap_timers * 2 + 16;
			struct loop_timer **heap;

			heap = reallocarray(loop->heap, cap,
					    sizeof(struct loop_timer *));
			if (heap == NULL)
				return -ENOMEM;
			loop->heap = heap;
			loop->cap_timers = cap;
		}
		timer->slot = ++loop->n_timers;
	}
	sift(loop, timer, timer->slot - 1);
	return 0;
}

void loop_timer_stop(struct loop *loop, struct loop_timer *timer)
{
	size_t i = timer->slot;
	struct loop_timer *moved;

	if (i == 0)
		return;
	timer->slot = 0;
	moved = loop->heap[--loop->n_timers];
	if (moved != timer)
		sift(loop, moved, i - 1);
}

/* Runs what is due and returns how long to wait for the next, -1: for ever. */
static int run_timers(struct loop *loop)
{
	while (loop->n_timers > 0) {
		struct loop_timer *timer = loop->heap[0];
		uint64_t now = clock_mono_ms();

		if (timer->due_ms > now) {
			uint64_t wait = timer->due_ms - now;

			return wait > 60000 ? 60000 : (int)wait;
		}
		loop_timer_stop(loop, timer);
		timer->run(timer);
	}
	return -1;
}

int loop_signals(struct loop *loop, void (*on_hup)(void *arg), void *arg,
		 struct err *err)
{
	sigset_t set;
	int rc;

	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGINT);
	(void)sigaddset(&set, SIGTERM);
	(void)sigaddset(&set, SIGHUP);
	loop->on_hup = on_hup;
	loop->hup_arg = arg;
	rc = pthread_sigmask(SIG_BLOCK, &set, NULL);
	if (rc != 0)
		return err_sys(err, rc, "signal mask");
	loop->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (loop->signal_fd < 0)
		return err_sys(err, errno, "signalfd");
	rc = watch(loop, loop->signal_fd, EPOLLIN);
	return rc < 0 ? err_sys(err, -rc, "event loop") : 0;
}

int loop_watch_start(struct loop *loop, struct loop_watch *w, unsigned events)
{
	int rc = watch(loop, w->fd, events);

	if (rc < 0)
		return rc;
	w->next = loop->watches;
	loop->watches = w;
	return 0;
}

void loop_unwatch(struct loop *loop, struct loop_watch *w)
{
	for (struct loop_watch **p = &loop->watches; *p != NULL;
	     p = &(*p)->next) {
		if (*p != w)
			continue;
		*p = w->next;
		(void)epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, w->fd, NULL);
		return;
	}
}

static void run_watch(struct loop *loop, int fd)
{
	for (struct loop_watch *w = loop->watches; w != NULL; w = w->next) {
		if (w->fd == fd) {
			w->run(w);
			return;
		}
	}
}

static void run_signals(struct loop *loop)
{
	struct signalfd_siginfo info;

	while (read(loop->signal_fd, &info, sizeof(info)) ==
	       (ssize_t)sizeof(info)) {
		if (info.ssi_signo == SIGHUP) {
			loop->on_hup(loop->hup_arg);
		} else {
			log_info("ending on signal %u", info.ssi_signo);
			loop->stop = true;
		}
	}
}

void loop_stop(struct loop *loop)
{
	loop->stop = true;
}

/* One request. 0, or a negative errno when the device has failed. */
static int run_request(struct loop *loop, struct fuse_session *se,
		       struct fuse_buf *buf)
{
	int rc = fuse_session_receive_buf(se, buf);

	if (rc == -EINTR || rc == -EAGAIN)
		return 0;
	if (rc <= 0) {
		loop->stop = true; /* unmounted */
		return rc == -ENODEV ? 0 : rc;
	}
	fuse_session_process_buf(se, buf);
	if (fuse_session_exited(se))
		loop->stop = true;
	return 0;
}

int loop_run(struct loop *loop, struct fuse_session *se,
	     void (*after_each)(void *arg), void *arg)
{
	int fd = fuse_session_fd(se);
	struct epoll_event ready[4];
	struct fuse_buf buf = {0};
	int rc;

	if (fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK) < 0)
		return -errno;
	rc = watch(loop, fd, EPOLLIN);
	while (rc == 0 && !loop->stop) {
		int wait = run_timers(loop);
		int n;

		after_each(arg);
		n = epoll_wait(loop->epoll_fd, ready, 4, wait);
		if (n < 0 && errno != EINTR)
			rc = -errno;
		for (int i = 0; i < n && rc == 0; i++) {
			if (ready[i].data.fd == fd)
				rc = run_request(loop, se, &buf);
			else if (ready[i].data.fd == loop->event_fd)
				run_events(loop);
			else if (ready[i].data.fd == loop->signal_fd)
				run_signals(loop);
			else
				run_watch(loop, ready[i].data.fd);
		}
	}
	(void)epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
	free(buf.mem);
	return rc;
}

void loop_drain(struct loop *loop, unsigned timeout_ms, bool (*done)(void *arg),
		void *arg)
{
	uint64_t end = clock_mono_ms() + timeout_ms;
	struct epoll_event ready[4];

	for (;;) {
		int wait = run_timers(loop);
		uint64_t now = clock_mono_ms();

		run_events(loop);
		run_signals(loop);
		if (done(arg) || now >= end)
			return;
		if (wait < 0 || (uint64_t)wait > end - now)
			wait = (int)(end - now);
		(void)epoll_wait(loop->epoll_fd, ready, 4, wait);
	}
}
