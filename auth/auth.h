/* SPDX-License-Identifier: MIT */
/*
 * The credential of one connection: obtained, kept while it is good, obtained
 * anew, and shown. All that fs/ sees of it.
 *
 * auth_get() and auth_refresh() may block (a program is run, a file read) and
 * are called by workers; several at once wait for one attempt. auth_status()
 * and auth_reject() never block and may be called by any thread.
 *
 * A value is kept until auth_reject() or auth_refresh(), except that a file is
 * read anew for every login. Nothing of these sources expires by itself.
 */
#ifndef CONNFS_AUTH_AUTH_H
#define CONNFS_AUTH_AUTH_H

#include <stdint.h>

#include "common/err.h"
#include "common/secret.h"

struct auth;

enum auth_kind {
	AUTH_NONE,   /* the engine needs none: SQLite, a trusted socket */
	AUTH_STATIC, /* password_plain */
	/*
	 * password_file: first line. Nobody but root and the effective user
	 * may be able to write it. One that others can read is used with a
	 * warning: containers get their secrets mounted like that. It may be
	 * missing at create.
	 */
	AUTH_FILE,
	AUTH_ENV, /* password_env: taken from the environment at create */
	/*
	 * password_command: first line of its stdout. Run without a shell, in
	 * a session of its own, with this process's environment (where no
	 * AUTH_ENV value is left), no other descriptors, for 30 s at most.
	 */
	AUTH_COMMAND,
};

/* Borrowed for the call. */
struct auth_config {
	enum auth_kind kind;
	const char *user;        /* login name, may be null */
	const char *value;       /* password, file or variable name by kind */
	const char *const *argv; /* AUTH_COMMAND: null-terminated, absolute */
};

/* Owned by whoever asked for it. */
struct credential {
	char *user;             /* null: none */
	struct secret password; /* empty: none */
	int64_t expires_at;     /* Unix seconds; 0: never */
};

enum auth_state {
	AUTH_STATE_NONE, /* nothing obtained yet, or nothing needed */
	AUTH_STATE_VALID,
	AUTH_STATE_EXPIRING,
	AUTH_STATE_EXPIRED,
	AUTH_STATE_FAILED,
};

struct auth_status {
	enum auth_state state;
	const char *source; /* static, file, env, command; "" for none */
	char user[256];
	int64_t issued_at;  /* Unix seconds; 0: never obtained */
	int64_t expires_at; /* Unix seconds; 0: does not expire */
	struct err error; /* why the last attempt failed; code 0: it did not */
};

/*
 * Checks what can be checked at once; err begins with the key that is wrong
 * (password_file ..). AUTH_ENV takes the value out of the environment: before
 * threads start, or of a variable taken before.
 */
int auth_create(struct auth **out, const struct auth_config *config,
		struct err *err);
void auth_destroy(struct auth *auth); /* null is allowed */

/*
 * Moves a variable into locked memory and overwrites it where the environment
 * of this process shows it; AUTH_ENV finds it there, however often it is
 * created. A name that is not set is no failure. 0 or -ENOMEM.
 */
int auth_take_env(const char *name);

/* Before each login. 0, or -EKEYREJECTED with a text that says what to do. */
int auth_get(struct auth *auth, struct credential *out, struct err *err);

/* Obtains anew, whatever is kept. 0 or -EKEYREJECTED. */
int auth_refresh(struct auth *auth, struct err *err);

/*
 * The server refused what auth_get() gave: forget it, and show why. The text
 * is the server's own.
 */
void auth_reject(struct auth *auth, const char *reason);

/*
 * Moves the variables with secrets that AWS's SDKs know (AWS_SECRET_ACCESS_KEY
 * and others) out of the environment, before threads start. 0 or -ENOMEM.
 */
int auth_take_aws_env(void);

/*
 * The process ends: programs that run are killed, with what they started, and
 * none is waited for any more. Any thread.
 */
void auth_stop(void);

void auth_status(struct auth *auth, struct auth_status *out);
const char *auth_state_name(enum auth_state state);

void credential_finish(struct credential *c);

#endif
