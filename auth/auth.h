/* SPDX-License-Identifier: MIT */
/*
 * The credential of one connection: obtained, kept while it is good, obtained
 * anew, and shown. All that fs/ sees of it.
 *
 * auth_get() and auth_refresh() may block (a program is run, a file read) and
 * are called by workers; several at once wait for one attempt. auth_status()
 * and auth_reject() never block and may be called by any thread.
 *
 * Resolved in this order: what the config has; the password from its source;
 * whatever is missing then, from Secrets Manager; if there is no password
 * still, a token or a temporary password that AWS gives for the keys it knows.
 *
 * What is kept, and until when: a file is read anew and a token that is signed
 * here is signed anew for every login; values of AWS for cache_ttl_ms; temporary
 * passwords until shortly before they expire; the rest until auth_reject() or
 * auth_refresh(). What expires is renewed in the background once it has been
 * used; what still works is kept while renewing it fails.
 */
#ifndef CONNFS_AUTH_AUTH_H
#define CONNFS_AUTH_AUTH_H

#include <stdbool.h>
#include <stddef.h>
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
	/* password: the name of an SSM parameter that holds it. */
	AUTH_PARAMETER,
};

/* What logs in when there is no password. */
enum auth_token {
	AUTH_TOKEN_NONE,
	AUTH_TOKEN_RDS,                 /* signed here, 15 min */
	AUTH_TOKEN_DSQL,                /* signed here */
	AUTH_TOKEN_REDSHIFT,            /* by GetClusterCredentials */
	AUTH_TOKEN_REDSHIFT_SERVERLESS, /* by GetCredentials */
};

struct auth_tag {
	const char *key;
	const char *value;
};

/* Borrowed for the call. */
struct auth_config {
	enum auth_kind kind;
	const char *conn_id;     /* for logs, and names of AWS sessions */
	const char *value;       /* password, file, variable .. by kind */
	const char *const *argv; /* AUTH_COMMAND: null-terminated, absolute */

	/* Of the spec; what is null or 0 may come from secret_id. */
	const char *user;
	const char *host; /* as AWS knows it: it is signed */
	uint16_t port;
	uint16_t default_port; /* 0: there is none */
	const char *database;
	bool needs_login; /* host, user and database have to be known */

	const char *secret_id; /* null: none */
	enum auth_token token;
	const char *profile;         /* null: the provider chain */
	const char *region;          /* null: by host, environment, .. */
	const char *role_arn;        /* assumed for tokens; null: none */
	const char *external_id;     /* name of an SSM parameter; null: none */
	const struct auth_tag *tags; /* of the role's session */
	size_t n_tags;
	const char *cluster_id;       /* Redshift, DSQL; null: by host */
	const char *workgroup;        /* null: by host */
	unsigned token_duration_s;    /* DSQL; 0: 15 min */
	unsigned password_duration_s; /* Redshift; 0: 15 min */
	unsigned cache_ttl_ms;        /* of values; 0: not kept */
};

/* Owned by whoever asked for it. */
struct credential {
	char *user;             /* null: none */
	struct secret password; /* empty: none */
	int64_t expires_at;     /* Unix seconds; 0: never */
	/* Config's, or from the secret, or AWS's own name of it. */
	char *host; /* null: none */
	uint16_t port;
	char *database; /* null: none */
	char *dsql_id;  /* to be sent as amzn-cluster-id; null: none */
	bool is_token;  /* is sent as it is: over verified TLS only */
	bool was_kept;  /* obtained for an earlier login: may be outdated */
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
	/*
	 * static, file, env, command, ssm, secretsmanager, rds-iam, dsql-iam,
	 * redshift-iam, redshift-serverless-iam; "" for none. Of the last
	 * attempt; before the first the one that is expected.
	 */
	const char *source;
	char user[256];
	int64_t issued_at;  /* Unix seconds; 0: never obtained */
	int64_t expires_at; /* Unix seconds; 0: does not expire */
	/*
	 * Why the last attempt failed, or made do with an old value of AWS;
	 * code 0: neither.
	 */
	struct err error;
	/* Of the keys that sign, where there are any. */
	char keys_source[64];   /* "profile etl", "imds"; "": none, unknown */
	int64_t keys_expire_at; /* Unix seconds; 0: never, unknown */
	int64_t clock_offset;   /* seconds that AWS's clock is ahead */
	/* As resolved; "" and 0: not known (yet). */
	char host[256];
	uint16_t port;
	char database[256];
	/* When any of this but the clock's changed; ms of wall time, 0: never. */
	int64_t changed_ms;
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

/*
 * A copy of what is kept, for creds/token: -ENODATA when nothing is, or it has
 * expired. Never blocks, obtains nothing.
 */
int auth_peek(struct auth *auth, struct secret *out);

/* Obtains anew, whatever is kept. 0 or -EKEYREJECTED. */
int auth_refresh(struct auth *auth, struct err *err);

/*
 * The server refused what auth_get() gave: forget it, the values of AWS that it
 * came from as well, and show why. reason is the server's own text; creds/error
 * says besides what to look at (pass used to tell which credential it was).
 * True: another login with what auth_get() gives next may succeed, and is worth
 * one try: what was refused had been kept, or is a token.
 */
bool auth_reject(struct auth *auth, const struct credential *used,
		 const char *reason);

/*
 * Moves the variables with secrets that AWS's SDKs know (AWS_SECRET_ACCESS_KEY
 * and others) out of the environment, before threads start. 0 or -ENOMEM.
 */
int auth_take_aws_env(void);

/*
 * The process ends: programs that run are killed, with what they started,
 * calls of AWS given up, and none is waited for any more. Any thread.
 */
void auth_stop(void);

void auth_status(struct auth *auth, struct auth_status *out);
const char *auth_state_name(enum auth_state state);
/* As in struct auth_status. */
const char *auth_token_source(enum auth_token token);

void credential_finish(struct credential *c);

#endif
