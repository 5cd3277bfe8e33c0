/* SPDX-License-Identifier: MIT */
/*
 * Keeps the keys of one source, and renews them in time:
 *
 *     obtained .... soon .... at once .... expired
 *
 * "Soon" begins 15 min before the keys expire, and a third of their life at
 * most: one caller at a time tries, the others go on. "At once" begins 10 min
 * before, and a fifth of their life at most: all wait for the attempt. Keys
 * that have not expired are given when it fails, whatever the reason; after
 * failures nobody tries for 1 s, 2 s .. 60 s, unless no service was asked: what
 * is missing on this machine (-ENOENT) or has expired there (-EKEYEXPIRED) may
 * have come by the next login.
 *
 * Any thread; keeps a lock, but not while it fetches.
 */
#ifndef CONNFS_AUTH_AWS_KEEPER_H
#define CONNFS_AUTH_AWS_KEEPER_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "auth/aws/keys.h"
#include "auth/aws/source.h"
#include "common/err.h"

/* Who asks for the keys, and why. */
struct aws_need {
	unsigned min_left; /* seconds */
	bool fresh;        /* those given before were refused */
	bool changed;      /* what they come from may be another */
};

/* What a fetch brings besides keys. */
struct aws_fetched {
	struct aws_keys keys;
	char name[AWS_SOURCE_NAME_SIZE]; /* also when it fails; "": unknown */
	bool is_stable;                  /* see struct aws_source_ops */
	bool is_same; /* the source has not changed: no keys were fetched */
};

struct aws_keeper {
	/*
	 * One call at a time. Not due: keys are only to be fetched if what
	 * they come from has changed. 0 or a negative errno with err.
	 */
	int (*fetch)(void *arg, bool due, struct aws_fetched *out,
		     struct err *err);
	void *arg;
	int64_t (*now)(void); /* Unix seconds */

	pthread_mutex_t mutex; /* of all below */
	pthread_cond_t done;
	bool busy;            /* a fetch is under way */
	uint64_t n_over;      /* fetches that are */
	struct aws_keys keys; /* no access_key: none */
	char name[AWS_SOURCE_NAME_SIZE];
	bool is_stable;
	int64_t life;       /* seconds the keys had when they were obtained */
	int64_t tried_at;   /* of the last fetch; 0: none */
	int64_t retry_at;   /* nobody tries before; 0: anybody may */
	unsigned n_failed;  /* fetches in a row */
	bool failed_here;   /* the last, before it asked a service */
	int64_t renewal_at; /* in the background; 0: never */
	struct err error;   /* of the last fetch; code 0: it did not fail */
};

void aws_keeper_init(struct aws_keeper *k);
void aws_keeper_finish(struct aws_keeper *k);

/* See aws_identity_keys(). */
int aws_keeper_get(struct aws_keeper *k, const struct aws_need *need,
		   struct aws_keys *out, struct err *err);

/* When they are to be renewed in the background; 0: not at all. */
int64_t aws_keeper_renewal(struct aws_keeper *k);

/* Does it. */
void aws_keeper_renew(struct aws_keeper *k);

/* name has room for AWS_SOURCE_NAME_SIZE. */
void aws_keeper_status(struct aws_keeper *k, char *name, int64_t *expires_at,
		       struct err *error);

#endif
