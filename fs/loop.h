/* SPDX-License-Identifier: MIT */
/*
 * The one thread that serves FUSE: waits for requests, for events that
 * workers post, for timers and for signals, and never for anything else.
 *
 * Everything in fs/ belongs to this thread unless its header says otherwise.
 * loop_post() and loop_wake() are the only calls other threads may make.
 */
#ifndef CONNFS_FS_LOOP_H
#define CONNFS_FS_LOOP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;
struct fuse_session;
struct loop;

/*
 * Embedded in what wants to be told of something. Posting it again before it
 * ran is one run. Whoever owns it keeps it alive until it ran.
 */
struct loop_event {
	void (*run)(struct loop_event *event);
	struct loop_event *next; /* loop's lock */
	bool posted;             /* loop's lock */
};

/*
 * Embedded likewise; runs whenever fd is ready, for as long as it is watched.
 * Zeroed with fd -1 means not watched.
 */
struct loop_watch {
	void (*run)(struct loop_watch *watch);
	int fd; /* the owner's, to be closed after loop_unwatch() */
	struct loop_watch *next;
};

/* Embedded likewise; runs once when due. Zeroed means not armed. */
struct loop_timer {
	void (*run)(struct loop_timer *timer);
	uint64_t due_ms;
	size_t slot; /* 1 + its place in the heap, 0: not armed */
};

int loop_create(struct loop **out, struct err *err);
void loop_destroy(struct loop *loop); /* null is allowed */

/* Any thread. False when the event was posted already. */
bool loop_post(struct loop *loop, struct loop_event *event);

/* Arms or re-arms. 0 or -ENOMEM. */
int loop_timer_start(struct loop *loop, struct loop_timer *timer,
		     unsigned delay_ms);
void loop_timer_stop(struct loop *loop, struct loop_timer *timer);

/* events: EPOLLIN, or EPOLLPRI of mountinfo. 0 or a negative errno. */
int loop_watch_start(struct loop *loop, struct loop_watch *watch,
		     unsigned events);
void loop_unwatch(struct loop *loop, struct loop_watch *watch);

/* SIGINT and SIGTERM end the loop, SIGHUP calls on_hup; blocks them. */
int loop_signals(struct loop *loop, void (*on_hup)(void *arg), void *arg,
		 struct err *err);

/*
 * Runs until the file system is unmounted, a signal ends it, or loop_stop().
 * after_each is called after every round of requests and events. 0, or a
 * negative errno when the device failed.
 */
int loop_run(struct loop *loop, struct fuse_session *se,
	     void (*after_each)(void *arg), void *arg);
void loop_stop(struct loop *loop);

/*
 * Runs events and timers only, without requests, until done() is true or the
 * time is over. For the end of the daemon.
 */
void loop_drain(struct loop *loop, unsigned timeout_ms, bool (*done)(void *arg),
		void *arg);

#endif
