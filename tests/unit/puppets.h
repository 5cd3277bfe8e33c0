/* SPDX-License-Identifier: MIT */
/*
 * A family of processes that do what the test tells them: each listens at a
 * pipe of its own, all answer on the same one. They end with the test, when
 * the pipes are closed.
 */
#ifndef CONNFS_TESTS_UNIT_PUPPETS_H
#define CONNFS_TESTS_UNIT_PUPPETS_H

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>

#include "tests/unit/check.h"
#include "tests/unit/children.h"

enum { N_PUPPETS = 40 };

enum puppet_order {
	PUPPET_FORK, /* a child becomes puppet arg, with pid if not 0 */
	PUPPET_SETSID,
	PUPPET_THREAD, /* which stays */
	PUPPET_UNSHARE,
	PUPPET_REAP, /* pid */
	PUPPET_CALL, /* puppet_call */
	PUPPET_EXIT, /* without an answer */
};

struct order {
	enum puppet_order what;
	int arg;
	pid_t pid;
};

static int puppet_orders[N_PUPPETS][2];
static int puppet_answers[2];

/* What PUPPET_CALL calls; set before the first fork. */
static void (*puppet_call)(void);

static inline void *puppet_thread(void *arg)
{
	(void)arg;
	child_says(puppet_answers[1], gettid());
	(void)pause();
	return NULL;
}

static inline void puppet_live(int me);

/* The answer, unless somebody else gives it. */
static inline pid_t puppet_obey(const struct order *o)
{
	pthread_t thread;
	pid_t child;

	switch (o->what) {
	case PUPPET_FORK:
		child = fork_as(o->pid);
		if (child == 0)
			puppet_live(o->arg);
		return child;
	case PUPPET_SETSID:
		return setsid();
	case PUPPET_UNSHARE:
		return unshare(o->arg);
	case PUPPET_REAP:
		return waitpid(o->pid, NULL, 0);
	case PUPPET_CALL:
		puppet_call();
		return 1;
	case PUPPET_THREAD:
		if (pthread_create(&thread, NULL, puppet_thread, NULL) != 0)
			return -1;
		return 0;
	case PUPPET_EXIT:
		_exit(0);
	}
	return -1;
}

static inline void puppet_live(int me)
{
	struct order o;

	for (int i = 0; i < N_PUPPETS; i++)
		(void)close(puppet_orders[i][1]);
	while (read(puppet_orders[me][0], &o, sizeof(o)) == sizeof(o)) {
		pid_t answer = puppet_obey(&o);

		if (answer != 0 || o.what != PUPPET_THREAD)
			child_says(puppet_answers[1], answer);
	}
	_exit(0);
}

/* Tells puppet i, and hears its answer. */
static inline pid_t puppet_tell(int i, struct order o)
{
	CHECK(write(puppet_orders[i][1], &o, sizeof(o)) == sizeof(o));
	if (o.what == PUPPET_EXIT)
		return 0;
	return child_hear(puppet_answers[0]);
}

static inline pid_t puppet_fork_as(int parent, int child, pid_t pid)
{
	pid_t got =
		puppet_tell(parent, (struct order){PUPPET_FORK, child, pid});

	CHECK(got > 0);
	return got;
}

static inline pid_t puppet_fork(int parent, int child)
{
	return puppet_fork_as(parent, child, 0);
}

/* Puppet i, child of parent, exits and is reaped. */
static inline void puppet_end(int i, int parent, pid_t pid)
{
	(void)puppet_tell(i, (struct order){.what = PUPPET_EXIT});
	CHECK(puppet_tell(parent, (struct order){PUPPET_REAP, 0, pid}) == pid);
}

/* Puppet 0, a child of the test and leader of a session. */
static inline pid_t puppet_first(void)
{
	struct order setsid_order = {.what = PUPPET_SETSID};
	pid_t pid;

	for (int i = 0; i < N_PUPPETS; i++)
		CHECK(pipe2(puppet_orders[i], O_CLOEXEC) == 0);
	CHECK(pipe2(puppet_answers, O_CLOEXEC) == 0);
	pid = fork();
	CHECK(pid >= 0);
	if (pid == 0)
		puppet_live(0);
	CHECK(puppet_tell(0, setsid_order) == pid);
	return pid;
}

/* All of them end. */
static inline void puppets_end(pid_t first)
{
	for (int i = 0; i < N_PUPPETS; i++) {
		(void)close(puppet_orders[i][0]);
		(void)close(puppet_orders[i][1]);
	}
	(void)close(puppet_answers[0]);
	(void)close(puppet_answers[1]);
	CHECK(waitpid(first, NULL, 0) == first);
}

#endif
