/* SPDX-License-Identifier: MIT */
#include "auth/aws/clock.h"

#include <pthread.h>
#include <stdlib.h>

#include "common/cleanup.h"
#include "common/clock.h"

enum {
	/* AWS refuses what is 5 minutes off; nothing is corrected before. */
	OFF_MIN_S = 4 * 60,
	/* As good as set right: the way of an answer takes time, too. */
	RIGHT_MAX_S = 30,
	YEAR_2015 = 1420070400,
};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
/* mutex: both */
static int64_t learnt;     /* the offset that an answer showed; 0: none */
static int64_t boot_at_ms; /* when this machine was started, as of then */

static int64_t wall_now(void)
{
	return clock_wall_ms() / 1000;
}

/* When this machine was started; it moves when the clock is set. */
static int64_t boot_time_ms(void)
{
	return clock_wall_ms() - (int64_t)clock_boot_ms();
}

/*
 * Whoever has set the clock since knew better: what was wrong before is not
 * added to what is right now. One that is led there gently is on its way.
 * Called with the mutex held.
 */
static int64_t current(void)
{
	int64_t moved;

	if (learnt == 0)
		return 0;
	moved = (boot_time_ms() - boot_at_ms) / 1000;
	if (llabs(moved) >= OFF_MIN_S || llabs(learnt - moved) <= RIGHT_MAX_S)
		return 0;
	return learnt - moved;
}

int64_t aws_clock_offset(void)
{
	auto_lock(&mutex);
	return current();
}

int64_t aws_now(void)
{
	return wall_now() + aws_clock_offset();
}

bool aws_clock_learn(int64_t date)
{
	int64_t before, now;

	if (date < YEAR_2015)
		return false;
	auto_lock(&mutex);
	before = current();
	now = date - wall_now();
	if (before == 0 && llabs(now) < OFF_MIN_S)
		return false;
	if (llabs(now) <= RIGHT_MAX_S)
		now = 0;
	learnt = now;
	boot_at_ms = boot_time_ms();
	return llabs(now - before) >= OFF_MIN_S;
}
