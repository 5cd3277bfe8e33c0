/* SPDX-License-Identifier: MIT */
/*
 * Logging in to the database of a connection: what its spec says, and the
 * credential of the moment. Any thread; blocks.
 */
#ifndef CONNFS_FS_LOGIN_H
#define CONNFS_FS_LOGIN_H

#include <stdbool.h>
#include <stddef.h>

struct db;
struct err;
struct spec;

/* How far a login has got, in this order. */
enum login_step {
	LOGIN_BEGUN,
	LOGIN_CREDENTIAL, /* it has one; a file needs none */
	LOGIN_DIALLED,    /* from here on they come again for another try */
	LOGIN_SECURED,
	LOGIN_PLAIN, /* instead: goes on without TLS */
	LOGIN_ADMITTED,
	LOGIN_FAILED, /* last, and followed by LOGIN_BEGUN for another try */
};

/* Borrowed for the length of the call. */
struct login {
	const struct spec *spec;
	const char *app_name;
	size_t max_row; /* bytes */
	bool read_only; /* even where the spec is not */
	/* Tells of each step, with a line for people. Null: nobody asks. */
	void (*on_step)(void *arg, enum login_step step, const char *text);
	void *step_arg;
};

/*
 * db_open(). A login that is refused is tried once more with a new credential,
 * where one may be accepted; err is that of the last one.
 */
int login_open(struct db **out, const struct login *login, struct err *err);

/* db_reset() and db_cancel(); with a credential if the engine needs one. */
int login_reset(struct db *db, const struct login *login, struct err *err);
int login_cancel(struct db *db, const struct login *login, struct err *err);

#endif
