/* SPDX-License-Identifier: MIT */
/*
 * What a program prints. It is run without a shell, in a session of its own,
 * with no input, no other descriptors and the environment of env.h; it is
 * killed, with all that it started, when it takes too long. Any thread; blocks.
 */
#ifndef CONNFS_AUTH_PROGRAM_H
#define CONNFS_AUTH_PROGRAM_H

#include <stddef.h>

#include "common/err.h"
#include "common/secret.h"

/* Borrowed for the call. */
struct program {
	const char *what;  /* begins each err: "password_command" */
	char *const *argv; /* null-terminated; without "/" it is in PATH */
	size_t max;        /* bytes of output that are kept, others are not */
	unsigned limit_ms;
};

/*
 * Its output, when it has ended with exit status 0. Otherwise err has the first
 * line of its complaint; -EKEYREJECTED, or what kept it from being started.
 */
int program_run(struct secret *out, const struct program *program,
		struct err *err);

/* The process ends: those that run are killed, and none is waited for. */
void program_stop(void);

#endif
