/* SPDX-License-Identifier: MIT */
/*
 * SOURCE and the mount options: JSON text into connection specs and settings.
 * Every complaint names file and key, and never a password. Reading it needs
 * no network.
 *
 * A config is made by one thread and not changed afterwards; any thread may
 * read it. Its specs are counted: a statement under way keeps the one it began
 * with when SOURCE is read again.
 */
#ifndef CONNFS_FS_CONFIG_H
#define CONNFS_FS_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "auth/auth.h"
#include "backends/sql.h"

struct err;

enum { SETTINGS_MAX = 16 };

/* Keys of `settings`, and mount options of the same names. */
struct settings {
	char *realm;                 /* null: none */
	char *conn_app_name;         /* template, default lv-{realm}-{job_id} */
	char *spool_dir;             /* default /var/tmp */
	uint64_t spool_memory;       /* bytes per result, 8 MiB */
	uint64_t spool_memory_total; /* bytes per daemon, 32 MiB */
	uint64_t spool_disk;         /* bytes per daemon on disk, 4 GiB */
	uint64_t max_row;            /* bytes, 64 MiB */
	unsigned settle_time_ms;     /* 1 s */
	unsigned queue_timeout_ms;   /* 30 s */
	unsigned idle_timeout_ms;    /* 10 min; a spec may differ */
	unsigned idle_in_transaction_timeout_ms; /* 5 min; a spec may differ */
	unsigned session_timeout_ms; /* 1 h: an unused sessions/NAME ends */
	unsigned connect_timeout_ms; /* 10 s; a spec may differ */
	unsigned param_cache_ttl_ms; /* 2 min; 0: values of AWS are not kept */
	unsigned max_connections;    /* 10 per connection; a spec may differ */
	bool read_only;              /* -o ro */
	/* By the rules of config_settings.c: who sets it; null: no file. */
	char *files[SETTINGS_MAX];
};

/* Of the control group: one of the values lets in. */
struct access_attribute {
	char *name; /* without "user.connfs." */
	char **values;
	size_t n_values;
};

/*
 * Who may use a connection besides the mount's owner: any one match lets in.
 * The globs are for fnmatch(3), and in them a backslash is itself.
 */
struct access_rule {
	bool everyone;
	uid_t *uids;
	size_t n_uids;
	gid_t *gids;
	size_t n_gids;
	char **cgroups; /* globs on the path, where * does not match / */
	size_t n_cgroups;
	char **containers; /* globs on the id */
	size_t n_containers;
	struct access_attribute *attributes;
	size_t n_attributes;
};

struct engine {
	const char *type;    /* as written in the spec: "postgres-rds" */
	const char *backend; /* for db_open(): "postgres" */
	enum sql_dialect dialect;
	uint16_t default_port; /* 0: no port */
	size_t app_name_max;   /* bytes; 0: the engine has no client name */
	bool needs_login;      /* host, user, database are asked for */
	bool is_file; /* host is a file; there is no login and no TLS */
	enum auth_token token; /* logs in when there is no password */
	bool cancels_by_login; /* db_cancel() logs in: it needs a credential */
	/*
	 * Aurora DSQL: a statement of its own that met another's is sent again
	 * as long as nothing of it was seen, and sessions end before the
	 * server ends them.
	 */
	bool retries_conflicts;
	unsigned session_life_ms; /* 0: for ever */
};

/* A saved query of the spec: name without suffix, and its SQL; never null. */
struct spec_query {
	char *name;
	char *text;
};

enum { SPEC_DIGEST_SIZE = 32 };

/*
 * One connection. Strings may be null where the spec may leave them out. port,
 * user and database of a file are accepted, as others need them, and not kept.
 */
struct spec {
	_Atomic unsigned refs; /* spec_ref() and spec_unref() only */
	char *conn_id;
	const struct engine *engine;
	bool enabled;
	char *file; /* where it was read */
	char *description;
	char *owner;
	char *host;
	uint16_t port;
	char *connect_host;
	uint16_t connect_port;
	char *database;
	char *user;
	char *sslmode; /* resolved from ssl and sslmode; null: a file */
	/*
	 * The same for logins by token, which default to verify-full; null:
	 * what was given is too weak for a token, or there is none.
	 */
	char *token_sslmode;
	char *ca_cert;
	char *tls_fingerprint; /* see db.h; of the MySQL family */
	char *init_sql;
	char *application_name; /* a template that replaces conn_app_name */
	bool read_only;
	unsigned statement_timeout_ms; /* 0: none */
	unsigned connect_timeout_ms;
	unsigned idle_timeout_ms;
	unsigned idle_in_transaction_timeout_ms;
	unsigned max_connections;
	bool sticky; /* a conversation keeps its database session */
	/*
	 * Where AWS comes in; what is null may be found otherwise. host, user
	 * and database may be null too when they are to come from secret_id.
	 */
	char *secret_id;
	char *profile;
	char *region;
	char *role_arn;
	char *cluster_id;
	char *workgroup;
	unsigned token_duration_s; /* 0: the default */
	unsigned password_duration_s;
	bool expose_token; /* creds/token is there, for the mount's owner */
	struct access_rule access;
	struct spec_query *queries; /* sorted by name, unique */
	size_t n_queries;
	struct auth *auth;                      /* never null */
	unsigned char digest[SPEC_DIGEST_SIZE]; /* of what it was made of */
};

/* A spec that was refused, or a file that was not read. */
struct config_error {
	char *file;
	char *conn_id; /* null: not known */
	char *text;    /* one whole line: file, conn_id, key and reason */
	bool disabled; /* the spec says that it is: it keeps no old one */
};

/* A spec of an earlier config, in place of one that is wrong. */
struct config_kept {
	struct spec *spec; /* one of config->specs */
	char *file;        /* where the wrong one stands, or would */
};

struct config {
	struct settings settings;
	struct spec **specs; /* sorted by conn_id, unique */
	size_t n_specs;
	struct config_kept *kept; /* sorted likewise; of specs */
	size_t n_kept;
	struct config_error *errors;
	size_t n_errors;
};

/*
 * source is a file, or a directory of which every *.json is read in the order
 * of names. options: key=value settings of the command line, which win over
 * SOURCE's, and "ro"; a null-terminated list; may be null.
 *
 * Fails, and err names file and key, when SOURCE cannot be read at all (a file
 * that is no JSON, too), its ownership is unsafe, or an option or a setting is
 * wrong. A bad spec, or a bad file in a directory, stands in config->errors
 * instead. The first of two specs with one conn_id is used.
 *
 * Values of password_env are taken out of the environment; they, like all
 * secrets, do not survive fork(), so the process that serves calls this.
 */
int config_load(struct config **out, const char *source,
		const char *const *options, struct err *err);

/*
 * The same when there is a config already: what is wrong keeps what old, which
 * is borrowed for the call, has in its place, and the complaint says so.
 *
 * - A bad spec keeps the old one of its conn_id, if that is enabled, and the
 *   bad one does not say that it is not.
 * - A bad file keeps its settings, and the enabled specs that it had and that
 *   are in no other file now; one with a spec that has no good conn_id keeps
 *   the specs likewise.
 *
 * A spec that is as it was is the old one, counted once more.
 */
int config_reload(struct config **out, const char *source,
		  const char *const *options, const struct config *old,
		  struct err *err);
void config_destroy(struct config *config); /* null is allowed */

/* The place in config->specs, or null. */
struct spec **config_find(const struct config *config, const char *conn_id);

/* Any thread. The last unref frees the spec; null is allowed there. */
struct spec *spec_ref(struct spec *spec);
void spec_unref(struct spec *spec);

/* The saved query of that name, or null. Any thread. */
const struct spec_query *spec_find_query(const struct spec *spec,
					 const char *name);

/*
 * The text of connection.json, for free(): the allow-list of fields, with what
 * has been resolved of them. Null: no memory. Any thread.
 */
char *spec_text(const struct spec *spec);

/* connfs --check: one line a spec on stdout; 0, or 1 when one is bad. */
int config_check(const struct config *config);

/* "30s", "1.5 h", "90": as settings have it, in ms. False: it is not one. */
bool config_duration(uint64_t *ms, const char *text);

#endif
