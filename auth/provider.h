/* SPDX-License-Identifier: MIT */
/*
 * What a source of credentials implements; providers and auth.c only.
 * Providers know nothing of time, caching and locking: auth.c does.
 */
#ifndef CONNFS_AUTH_PROVIDER_H
#define CONNFS_AUTH_PROVIDER_H

#include <stdbool.h>

#include "auth/auth.h"

struct auth_provider {
	const char *source; /* as shown in creds/source */
	bool reread;        /* issue for every login: nothing is kept */
	bool instant;       /* issue never blocks: auth_create() does it */

	/* state is the provider's own, handed back to issue and destroy. */
	int (*create)(void **state, const struct auth_config *config,
		      struct err *err);
	/* Fills password and expires_at; user is auth.c's. May block. */
	int (*issue)(void *state, struct credential *out, struct err *err);
	void (*destroy)(void *state); /* null is never passed */
};

extern const struct auth_provider auth_static_provider;
extern const struct auth_provider auth_file_provider;
extern const struct auth_provider auth_env_provider;
extern const struct auth_provider auth_command_provider;

/* How long a command may take, milliseconds: 30 s. Tests lower it. */
extern unsigned auth_command_limit_ms;

enum { AUTH_LINE_MAX = 64 * 1024 }; /* bytes of a password */

/*
 * The first line of text, which may go on behind len, as a password. 0, or
 * -EKEYREJECTED: empty, over AUTH_LINE_MAX bytes, or with a NUL in it. what
 * names the source in err.
 */
int auth_first_line(struct secret *out, const char *text, size_t len,
		    const char *what, struct err *err);

#endif
