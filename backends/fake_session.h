/* SPDX-License-Identifier: MIT */
/*
 * What fake.c and fake_script.c share: the state of one session, and the
 * statement that it plays. The worker owns all but what is under the lock.
 */
#ifndef CONNFS_BACKENDS_FAKE_SESSION_H
#define CONNFS_BACKENDS_FAKE_SESSION_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "backends/backend.h"

struct fake_session {
	struct db db; /* first */
	size_t max_row;
	char *app_name; /* owned; "" when there is none */
	uint64_t n_resets;
	uint64_t n_conflicts;
	uint64_t login; /* of all, from 1 */

	pthread_mutex_t lock;
	pthread_cond_t wake; /* cancelled or aborted was set */
	bool running;        /* lock */
	bool deaf;           /* lock; the statement that runs */
	bool cancelled;      /* lock; the statement that runs */
	bool aborted;        /* lock; for ever: the connection is cut */
};

/* The statement that runs, and what is left of its text. */
struct fake_play {
	struct fake_session *s;
	const struct db_sink *sink;
	void *arg;
	struct err *err;
	const char *text;
};

/* 0, or why the statement ends. With the lock. */
int fake_interrupted(const struct fake_play *p);

/* Plays it to its end; as db_exec(). */
int fake_play(struct fake_play *p);

#endif
