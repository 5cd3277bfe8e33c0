/* SPDX-License-Identifier: MIT */
#include "backends/cancels.h"

#include <time.h>

#include "common/cleanup.h"

enum { WAIT_S = 6 }; /* longer than any request is given */

void cancels_init(struct cancels *c)
{
	pthread_condattr_t attr;

	*c = (struct cancels){0};
	(void)pthread_mutex_init(&c->lock, NULL);
	(void)pthread_condattr_init(&attr);
	(void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	(void)pthread_cond_init(&c->calm, &attr);
	(void)pthread_condattr_destroy(&attr);
}

void cancels_finish(struct cancels *c)
{
	(void)pthread_cond_destroy(&c->calm);
	(void)pthread_mutex_destroy(&c->lock);
}

void cancels_begin(struct cancels *c)
{
	auto_lock(&c->lock);
	c->running = true;
	c->cancelled = false;
}

bool cancels_end(struct cancels *c, bool open)
{
	struct timespec until;
	auto_lock(&c->lock);

	c->running = false;
	(void)clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += WAIT_S;
	while (open && c->n > 0) {
		if (pthread_cond_timedwait(&c->calm, &c->lock, &until) != 0)
			return false;
	}
	return true;
}

bool cancels_seen(struct cancels *c)
{
	auto_lock(&c->lock);
	return c->cancelled;
}

bool cancels_enter(struct cancels *c)
{
	auto_lock(&c->lock);
	if (!c->running)
		return false;
	c->cancelled = true;
	c->n++;
	return true;
}

void cancels_leave(struct cancels *c)
{
	auto_lock(&c->lock);
	c->n--;
	(void)pthread_cond_broadcast(&c->calm);
}
