/* SPDX-License-Identifier: MIT */
/*
 * The clock of the machine is not a test's to set. Linked with --wrap of
 * clock_wall_ms, clock_mono_ms, timerfd_create, timerfd_settime and poll, a
 * test has one of its own, which stands still, and the refresher notices when
 * it is set.
 */
#ifndef CONNFS_TESTS_UNIT_FAKE_CLOCK_H
#define CONNFS_TESTS_UNIT_FAKE_CLOCK_H

#include <stdint.h>

/*
 * Both clocks go on by that much; the wall's is 2026-01-01 at first. Returns
 * how often the refresher had gone to sleep: once more, and it has done what
 * became due.
 */
unsigned fake_clock_advance(int64_t ms);

/* How often it has. */
unsigned fake_clock_sleeps(void);

/* Returns when it has done so once more than that. */
void fake_clock_await_sleep(unsigned sleeps);

/* Unix seconds. */
int64_t fake_clock_now(void);

#endif
