/* SPDX-License-Identifier: MIT */
/* The two clocks: monotonic for durations, wall time for people. */
#ifndef CONNFS_COMMON_CLOCK_H
#define CONNFS_COMMON_CLOCK_H

#include <stdint.h>

enum { CLOCK_TEXT_SIZE = 32 };

uint64_t clock_mono_ms(void);   /* never goes back */
uint64_t clock_mono_us(void);   /* the same in microseconds */
uint64_t clock_coarse_ms(void); /* the same, cheaper, a few ms behind */
uint64_t clock_boot_ms(void);   /* the same, and it goes on in suspend */
int64_t clock_wall_ms(void);    /* milliseconds since 1970, UTC */

/* For poll(): ms until deadline (clock_mono_ms()); 0: it is over; -1: none. */
int clock_poll_timeout(uint64_t deadline);

/* RFC 3339 in UTC with milliseconds: 2026-01-02T03:04:05.678Z */
void clock_text(int64_t wall_ms, char out[CLOCK_TEXT_SIZE]);

#endif
