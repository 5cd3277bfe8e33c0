/* SPDX-License-Identifier: MIT */
/*
 * The time as AWS has it. Answers show how far the clock of this machine is
 * off; signatures and expiry reckon with it. Any thread.
 */
#ifndef CONNFS_AUTH_AWS_CLOCK_H
#define CONNFS_AUTH_AWS_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

/* Unix seconds, corrected. */
int64_t aws_now(void);

/*
 * Seconds to add to this machine's clock; 0 until an answer showed another, and
 * again once somebody has set the clock.
 */
int64_t aws_clock_offset(void);

/*
 * An answer of AWS's own servers with that Date arrived. True: the clock is
 * off by minutes and was not known to be, so that a signature that was refused
 * is worth another try.
 */
bool aws_clock_learn(int64_t date);

#endif
