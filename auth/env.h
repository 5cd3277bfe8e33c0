/* SPDX-License-Identifier: MIT */
/*
 * The environment of this process: what was moved out of it into locked
 * memory, what is left, and what a program that is started gets to see. Any
 * thread.
 */
#ifndef CONNFS_AUTH_ENV_H
#define CONNFS_AUTH_ENV_H

#include <stddef.h>

#include "common/secret.h"

/*
 * A copy of the value of a variable, whether it was taken or still stands in
 * the environment. 0, -ENOENT when it is not set or empty, or -ENOMEM.
 */
int auth_taken_env(struct secret *out, const char *name);

/* The value of a variable without secrets, for free(); null: not set, empty. */
char *auth_env(const char *name);

/* What a program is started with. */
struct auth_environ {
	char **vars; /* null-terminated */
	struct secret *returned;
	size_t n_returned;
};

/*
 * This environment, with the variables back that auth_take_aws_env() took, but
 * without any that is a password of a connection. Nothing changes it until
 * auth_environ_leave(), which must follow. 0 or -ENOMEM, when it must not.
 */
int auth_environ_enter(struct auth_environ *e);
void auth_environ_leave(struct auth_environ *e);

#endif
