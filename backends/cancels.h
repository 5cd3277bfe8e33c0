/* SPDX-License-Identifier: MIT */
/*
 * Requests of other threads to end the statement that a worker runs. One that
 * is on its way when the statement ends could hit the next: the worker waits
 * for it.
 */
#ifndef CONNFS_BACKENDS_CANCELS_H
#define CONNFS_BACKENDS_CANCELS_H

#include <pthread.h>
#include <stdbool.h>

struct cancels {
	pthread_mutex_t lock;
	pthread_cond_t calm; /* n is 0 */
	bool running;        /* lock; a statement */
	bool cancelled;      /* lock; by another thread, this statement */
	unsigned n;          /* lock; requests under way */
};

void cancels_init(struct cancels *c);
void cancels_finish(struct cancels *c);

/* The worker: a statement begins. */
void cancels_begin(struct cancels *c);

/*
 * The worker: it is over. Waits for requests under way, 6 s at the most: false
 * when one takes longer, and the session must not be used any more. Of one
 * that is lost anyway (open: false) nothing is waited for.
 */
bool cancels_end(struct cancels *c, bool open);

/* Another thread asked for the end of the statement that runs, or ran last. */
bool cancels_seen(struct cancels *c);

/*
 * Another thread: true when a statement runs; then its request is under way
 * until cancels_leave().
 */
bool cancels_enter(struct cancels *c);
void cancels_leave(struct cancels *c);

#endif
