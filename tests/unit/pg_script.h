/* SPDX-License-Identifier: MIT */
/*
 * A PostgreSQL server of a few lines that answers what a test wants: to say
 * what no real server says, in pieces of any size. One session at a time; a
 * request to cancel is taken and not heeded.
 */
#ifndef CONNFS_TESTS_UNIT_PG_SCRIPT_H
#define CONNFS_TESTS_UNIT_PG_SCRIPT_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/buf.h"

struct pg_script {
	struct buf answer;   /* to the next statement; set before it is sent */
	size_t piece;        /* bytes at a time; 0: all at once */
	bool hang_up;        /* after the answer, or else it waits for more */
	unsigned hold;       /* that many statements come before the answer: it
			    * is to all of them, and the last one's Sync */
	const char *version; /* that it reports at login */
	uint64_t flood;      /* bytes of a row that come after the answer */

	char dir[64]; /* of its socket, port PG_SCRIPT_PORT */
	int listen_fd;
	pthread_t thread;
	int fd; /* of the session; -1: there was none */
	pthread_t session;
};

enum { PG_SCRIPT_PORT = 5432 };

void pg_script_start(struct pg_script *s);
void pg_script_stop(struct pg_script *s); /* after the session was closed */

/* One message: type, length, body. */
void pg_script_put(struct buf *b, char type, const void *body, size_t len);

/* RowDescription of n columns "a", int4; DataRow of n cells "1". */
void pg_script_put_columns(struct buf *b, unsigned n);
void pg_script_put_row(struct buf *b, unsigned n);

/* CommandComplete and ReadyForQuery. */
void pg_script_put_end(struct buf *b);

#endif
