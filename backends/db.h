/* SPDX-License-Identifier: MIT */
/*
 * One open session with a database: all that fs/ sees of one.
 *
 * A session runs one statement at a time and belongs to one thread, its
 * worker; every call may block on the network, so none is made by the thread
 * of the FUSE loop. db_cancel() and db_abort() may be called by any thread
 * while the worker is inside db_exec(), as long as nobody closes the session.
 *
 *     db_open -> [ db_check -> db_exec | db_reset ] ... -> db_close
 */
#ifndef CONNFS_BACKENDS_DB_H
#define CONNFS_BACKENDS_DB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "backends/value.h"

struct db;
struct err;

/*
 * Steps of db_open(), in this order; those that an engine does not have are
 * left out. Another try begins with DB_DIALLED again. A db_reset() that logs in
 * anew has the last one. detail is one line of UTF-8 without a secret, lent for
 * the call.
 */
enum db_step {
	DB_DIALLED,  /* "10.0.0.3 port 5432", "socket /run/mysqld/..", a file */
	DB_SECURED,  /* "TLSv1.3, verify-full: chain and name verified" */
	DB_PLAIN,    /* goes on without TLS, by TCP: the sslmode */
	DB_ADMITTED, /* the login itself is done: the user; "": there is none */
};

/* Borrowed for the length of the call; drivers copy what they keep. */
struct db_params {
	const char *host;         /* name, address, socket directory, or file */
	uint16_t port;            /* 0: the backend's default */
	const char *connect_host; /* dialled instead of host; null: host */
	uint16_t connect_port;    /* 0: port */
	const char *database;     /* null: the server's default */
	const char *user;
	const char *password; /* null: none; fresh for every open and cancel */
	/*
	 * password is a token that is sent as it is when the server asks for
	 * that. PostgreSQL's family: by TLS only, sslmode require or stronger.
	 * MySQL's: only to a server whose certificate and name are verified
	 * (verify-full), or which tls_fingerprint names. EACCES before anything
	 * is dialled where that cannot be.
	 */
	bool password_is_token;
	const char *dsql_id;          /* sent as amzn-cluster-id; null: none */
	const char *application_name; /* whole; drivers cut to their limit */
	const char *sslmode;          /* libpq's words; null: "prefer" */
	const char *ca_cert;          /* PEM file; null: none */
	const char *tls_fingerprint;  /* SHA-256 of the server's certificate, 64
				       * lower case hex digits; null: none */
	const char *init_sql; /* run after login and reset; null: none */
	bool read_only;
	/* Tells of each step of a login as it is done; null: nobody asks. */
	void (*on_step)(void *arg, enum db_step step, const char *detail);
	void *step_arg;
	unsigned connect_timeout_ms;   /* 0: none */
	unsigned statement_timeout_ms; /* 0: none */
	size_t max_row; /* bytes of one row; a larger one fails with EFBIG */
};

/* What the text of a column's values is. */
enum db_shape {
	DB_SHAPE_TEXT,
	DB_SHAPE_NUMBER, /* digits; NaN and Infinity may stand among them */
	DB_SHAPE_BOOL,   /* t and f */
	DB_SHAPE_JSON,
	DB_SHAPE_VARIES, /* numbers and text: see db_cell.is_number */
};

struct db_column {
	const char *name;
	const char *type; /* the engine's own name: int4, varchar, INTEGER */
	bool plain; /* its text never needs quoting in CSV: numbers, booleans */
	enum db_shape shape;
};

struct db_cell {
	const char *data; /* null: SQL NULL; not null-terminated */
	size_t len;       /* bytes */
	bool is_number;   /* of a column that DB_SHAPE_VARIES */
};

/* What the server said of a failure. Strings may be null, all are UTF-8. */
struct db_failure {
	const char *severity; /* ERROR, FATAL */
	const char *code;     /* SQLSTATE, or the engine's own code */
	const char *message;
	const char *detail;
	const char *hint;
	const char *context;
	long offset; /* byte of the statement's text it is about, -1: unknown */
};

/*
 * Where a statement's rows go. Called by the worker from within db_exec().
 * Pointers are lent until the function returns. A function that returns a
 * negative errno ends the statement with it: the driver cancels at the
 * server, discards what still comes, and db_exec() returns that errno.
 */
struct db_sink {
	/* A result set begins; also called when it will have no rows. */
	int (*begin)(void *arg, const struct db_column *cols, size_t n_cols,
		     struct err *err);
	/* One row of n_cols cells. May block while readers are behind. */
	int (*row)(void *arg, const struct db_cell *cells, struct err *err);
	/* Bytes of COPY .. TO STDOUT, which is one result set with no begin. */
	int (*bytes)(void *arg, const char *data, size_t len, struct err *err);
	/*
	 * The result set, or a statement without one, is complete. tag is the
	 * server's ("INSERT 0 3") or null; affected: rows, -1: does not apply.
	 */
	void (*end)(void *arg, const char *tag, int64_t affected);
	void (*notice)(void *arg, const char *text);
	void (*failure)(void *arg, const struct db_failure *failure);
	/*
	 * The driver has no complete row at hand and is about to wait. Returns
	 * how many milliseconds it may wait before it has to ask again (the
	 * sink then shows its readers what it held back), -1: for ever.
	 */
	int (*idle)(void *arg);
};

/* Opens a session with the named backend and gives it to the caller. */
int db_open(struct db **out, const char *backend,
	    const struct db_params *params, struct err *err);

/*
 * Runs one statement to its end, with args (null: none) bound to its
 * placeholders ($1, ?, :name: the engine's own), and returns 0, or a negative
 * errno with err (and sink->failure, when the server spoke). -EINVAL: args do
 * not fit the statement; -EOPNOTSUPP: it cannot have any, or not of this kind.
 * After a failure the session can run another statement, unless the failure
 * was -ENOTCONN. -EOPNOTSUPP: COPY .. FROM STDIN. -ECANCELED: db_cancel() or
 * db_abort() ended it; where db_abort() costs the connection, -ENOTCONN.
 */
int db_exec(struct db *db, const char *sql, const struct db_args *args,
	    const struct db_sink *sink, void *arg, struct err *err);

/*
 * Before a statement is sent: 0, or -ENOTCONN when the server has closed the
 * connection meanwhile. Never waits.
 */
int db_check(struct db *db, struct err *err);

/*
 * Hands the session over: it becomes what db_open() would give for params,
 * which differ in application_name (and hold a fresh credential) only. Nothing
 * of what was set, made or locked in it before is left. 0 or a negative errno,
 * after which the session is of no use but to be closed; -EOPNOTSUPP: this
 * engine has no way that is sure or quicker than a new login.
 */
int db_reset(struct db *db, const struct db_params *params, struct err *err);

/* The state after the last statement. */
bool db_in_transaction(const struct db *db); /* a failed one counts */
unsigned db_sql_modes(const struct db *db);  /* enum sql_mode, or'ed */
int db_server_pid(const struct db *db);      /* 0: not known */

/*
 * Asks the server to end the statement that runs; too late is a no-op. Blocks
 * for a round trip. params are fresh, for engines that cancel by a login.
 */
int db_cancel(struct db *db, const struct db_params *params, struct err *err);

/* The last resort: cuts the connection, so that db_exec() returns at once. */
void db_abort(struct db *db);

/* Closes the session and frees db. Null is allowed. */
void db_close(struct db *db);

#endif
