/* SPDX-License-Identifier: MIT */
/*
 * One attempt to obtain a credential: from the spec, SSM, Secrets Manager and
 * what AWS makes of its keys, in that order. What is kept of it, and for how
 * long, is auth.c's; a command's password only is kept here.
 *
 * resolution_run() is called by one thread at a time, and may block; the other
 * functions by any, and do not.
 */
#ifndef CONNFS_AUTH_RESOLUTION_H
#define CONNFS_AUTH_RESOLUTION_H

#include <stdbool.h>
#include <stdint.h>

#include "auth/auth.h"
#include "auth/aws/identity.h"
#include "common/err.h"

struct resolution;

/* For how long an outcome can be used again. */
enum resolution_keep {
	KEEP_ALWAYS,
	KEEP_FILE,      /* not at all: the file is read for every login */
	KEEP_VALUES,    /* not at all: values.c keeps what it came from */
	KEEP_SIGNED,    /* until it expires, but another costs nothing */
	KEEP_TEMPORARY, /* until it expires */
};

/* What is to be different this time. */
struct resolution_wish {
	bool fresh;      /* ask everybody, whatever is kept */
	bool forget;     /* what is kept is wrong, even if asking fails */
	bool fresh_keys; /* keys of AWS as well */
};

/* Owned by whoever asked for it; start it as {0}. */
struct resolved {
	struct credential credential;
	enum resolution_keep keep;
	const char *source;        /* as in struct auth_status */
	struct aws_identity *keys; /* a reference; null: no AWS in it */
};

/* Null config members are allowed as auth.h says. No network. */
int resolution_create(struct resolution **out, const struct auth_config *config,
		      struct err *err);
void resolution_destroy(struct resolution *resolution); /* null is allowed */

/* No attempt ever blocks, and all of them give the same. */
bool resolution_is_instant(const struct resolution *resolution);

/* What is known before the first attempt, without a password. 0 or -ENOMEM. */
int resolution_expect(struct resolution *resolution, struct resolved *out);

/*
 * An attempt. *out is {0}, and filled as far as it came on failure, too. A
 * negative errno with a text that says what to do.
 */
int resolution_run(struct resolution *resolution, struct resolution_wish wish,
		   struct resolved *out, struct err *err);

/*
 * Why the last attempt made do with an old value of AWS; code 0: it did not.
 * For the thread that made it.
 */
const struct err *resolution_old_value(const struct resolution *resolution);

/* The values of AWS that an attempt takes are outdated. */
void resolution_drop_values(struct resolution *resolution);

/* What it was made of; for texts. */
const struct auth_config *resolution_config(const struct resolution *resolution);

/* Of the names of its databases, which tell their regions. */
enum aws_family resolution_token_family(enum auth_token token);

void resolved_finish(struct resolved *resolved);

#endif
