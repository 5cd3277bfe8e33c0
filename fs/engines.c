/* SPDX-License-Identifier: MIT */
#include "fs/engines.h"

#include <errno.h>
#include <strings.h>

#include "auth/auth.h"
#include "common/err.h"
#include "fs/config.h"
#include "fs/config_internal.h"

/* NAMEDATALEN - 1 of PostgreSQL, and what Redshift keeps of a name. */
enum { PG_NAME_MAX = 63, REDSHIFT_NAME_MAX = 250 };
/* Of 512 bytes that a server keeps of all attributes, unless told otherwise. */
enum { MYSQL_NAME_MAX = 255 };
enum { PG_PORT = 5432, REDSHIFT_PORT = 5439, MYSQL_PORT = 3306 };

/* It ends its sessions after 60 min, which a statement must not meet. */
enum { DSQL_SESSION_LIFE_MS = 55 * 60 * 1000 };

#define LIBPQ(name, driver, port, name_max, iam)                              \
	{                                                                     \
		.type = (name), .backend = (driver), .dialect = SQL_POSTGRES, \
		.default_port = (port), .app_name_max = (name_max),           \
		.needs_login = true, .token = (iam),                          \
	}

#define POSTGRES(name, iam) LIBPQ(name, "postgres", PG_PORT, PG_NAME_MAX, iam)
#define REDSHIFT(name, iam) \
	LIBPQ(name, "redshift", REDSHIFT_PORT, REDSHIFT_NAME_MAX, iam)

/* KILL QUERY needs a session of its own. */
#define MYSQL(name, iam)                                                       \
	{                                                                      \
		.type = (name), .backend = "mariadb", .dialect = SQL_MYSQL,    \
		.default_port = MYSQL_PORT, .app_name_max = MYSQL_NAME_MAX,    \
		.needs_login = true, .token = (iam), .cancels_by_login = true, \
	}

static const struct engine engines[] = {
	POSTGRES("postgres", AUTH_TOKEN_NONE),
	POSTGRES("psql", AUTH_TOKEN_NONE),
	POSTGRES("postgresql", AUTH_TOKEN_NONE),
	POSTGRES("postgres-rds", AUTH_TOKEN_RDS),
	POSTGRES("postgres-aurora", AUTH_TOKEN_RDS),
	REDSHIFT("redshift", AUTH_TOKEN_REDSHIFT),
	REDSHIFT("redshift-serverless", AUTH_TOKEN_REDSHIFT_SERVERLESS),
	{
		.type = "dsql",
		.backend = "dsql",
		.dialect = SQL_POSTGRES,
		.default_port = PG_PORT,
		.app_name_max = PG_NAME_MAX,
		.needs_login = true,
		.token = AUTH_TOKEN_DSQL,
		.retries_conflicts = true,
		.session_life_ms = DSQL_SESSION_LIFE_MS,
	},
	MYSQL("mysql", AUTH_TOKEN_NONE),
	MYSQL("mariadb", AUTH_TOKEN_NONE),
	MYSQL("mysql-rds", AUTH_TOKEN_RDS),
	MYSQL("mysql-aurora", AUTH_TOKEN_RDS),
	MYSQL("mariadb-rds", AUTH_TOKEN_RDS),
	{
		.type = "sqlite3",
		.backend = "sqlite",
		.dialect = SQL_SQLITE,
		.is_file = true,
	},
#ifdef CONNFS_FAKE_BACKEND
	{
		.type = "fake",
		.backend = "fake",
		.dialect = SQL_POSTGRES,
		.app_name_max = PG_NAME_MAX,
	},
#endif
};

static const char *const later[] = {
	"mssql",
	"odbc",
	"oracle",
	"oracle-rds",
};

enum {
	N_ENGINES = sizeof(engines) / sizeof(*engines),
	N_LATER = sizeof(later) / sizeof(*later),
};

const struct engine *engine_find(const char *type, struct err *err)
{
	struct guess guess = {.word = type};

	for (size_t i = 0; i < N_ENGINES; i++) {
		if (strcasecmp(engines[i].type, type) == 0)
			return &engines[i];
	}
	for (size_t i = 0; i < N_LATER; i++) {
		if (strcasecmp(later[i], type) == 0) {
			(void)err_set(err, EINVAL,
				      "type: \"%s\" is not supported yet",
				      later[i]);
			return NULL;
		}
	}
	for (size_t i = 0; i < N_ENGINES; i++)
		guess_try(&guess, engines[i].type);
	for (size_t i = 0; i < N_LATER; i++)
		guess_try(&guess, later[i]);
	(void)guess_fail(&guess, "type: unknown", err);
	return NULL;
}
