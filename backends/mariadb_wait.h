/* SPDX-License-Identifier: MIT */
/*
 * How the connector waits for its socket: by a function of ours, which knows
 * until when, and whom to ask before. Private to mariadb*.c.
 */
#ifndef CONNFS_BACKENDS_MARIADB_WAIT_H
#define CONNFS_BACKENDS_MARIADB_WAIT_H

#include <mysql.h>
#include <stdbool.h>
#include <stdint.h>

#include "backends/db.h"

/* Lives as long as the calls it is for; belongs to the thread that makes them. */
struct my_wait {
	const MYSQL *mysql;
	const struct db_sink *sink; /* its idle() is asked; null: nobody's */
	void *arg;
	uint64_t deadline; /* clock_mono_ms(), 0: none */
	bool timed_out;    /* a wait ended with the deadline */
	int connect_errno; /* why there is no connection; 0: not known */
	/* Called when there is one, maybe often; null: nobody asks. */
	void (*on_dialled)(void);
};

/*
 * From now on the calling thread's calls of the connector wait so; null: as
 * long as it takes. Returns what was in force before.
 */
struct my_wait *my_wait_set(struct my_wait *wait);

/* Waits for fd by the rules in force: 1 when it is ready, 0 in vain. */
int my_wait_io(my_socket fd, my_bool is_read, int timeout);

#endif
