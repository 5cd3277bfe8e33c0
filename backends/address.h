/* SPDX-License-Identifier: MIT */
/*
 * A server's name and its addresses. The clients' libraries resolve names, too,
 * but give each address all of the time.
 */
#ifndef CONNFS_BACKENDS_ADDRESS_H
#define CONNFS_BACKENDS_ADDRESS_H

#include <stdint.h>

struct err;

/* Logs in at one address: 0, or a negative errno with err. */
typedef int (*address_login)(void *arg, const char *address, uint64_t deadline,
			     struct err *err);

/*
 * One address of host after the other, each with its share of the time until
 * deadline (clock_mono_ms(), 0: none), to the first login. A server that
 * answered (err has its SQLSTATE) is not asked again at another of its
 * addresses, and what it says is all that err has. Otherwise it has the reasons
 * of all, in their order, or the last one would hide that of the address that
 * should have worked. Returns what the last login did; -EHOSTUNREACH when there
 * is no address. Any thread; resolving may take longer than the deadline.
 */
int address_try_each(const char *host, uint64_t deadline, address_login login,
		     void *arg, struct err *err);

#endif
