/* SPDX-License-Identifier: MIT */
/*
 * The request that a PostgreSQL server end what a session does. libpq's
 * PQcancel() does the same, but waits for ever for a server that takes the
 * connection and does nothing with it.
 */
#ifndef CONNFS_BACKENDS_PG_CANCEL_H
#define CONNFS_BACKENDS_PG_CANCEL_H

#include <stdint.h>
#include <sys/socket.h>

struct err;

/* Constant for the life of the session. */
struct pg_cancel_key {
	struct sockaddr_storage address;
	socklen_t address_len; /* bytes; 0: libpq keeps the key to itself */
	uint32_t pid;
	uint32_t secret;
};

/*
 * When it returns 0, the server has passed the request on. -ETIMEDOUT after
 * timeout_ms, -EHOSTUNREACH when it cannot be reached. Any thread.
 */
int pg_cancel_request(const struct pg_cancel_key *key, unsigned timeout_ms,
		      struct err *err);

#endif
