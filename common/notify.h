/* SPDX-License-Identifier: MIT */
/*
 * The protocol of sd_notify(3): one datagram to the socket that NOTIFY_SOCKET
 * names. Any thread.
 */
#ifndef CONNFS_COMMON_NOTIFY_H
#define CONNFS_COMMON_NOTIFY_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Takes the variables of the service manager out of the environment, so that
 * no program that is started speaks for this process. ours: it is the process
 * that the manager started; else they are dropped. Once, before the first
 * thread is started; until then there is nobody to be told.
 */
void notify_take_env(bool ours);

/*
 * Sends lines like "READY=1\nSTATUS=..", without ever waiting. 0, also when
 * there is nobody to be told; -EAGAIN when the manager has not kept up, and
 * the same may be tried later; else a negative errno.
 */
int notify_send(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/*
 * How often the manager wants WATCHDOG=1 at the least, in µs; 0: not at all,
 * or not of this process (WATCHDOG_PID).
 */
uint64_t notify_watchdog_us(void);

#endif
