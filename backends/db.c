/* SPDX-License-Identifier: MIT */
#include "backends/db.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "backends/backend.h"
#include "common/err.h"

static const struct backend *const backends[] = {
	&dsql_backend,     &mariadb_backend, &pg_backend,
	&redshift_backend, &sqlite_backend,
#ifdef CONNFS_FAKE_BACKEND
	&fake_backend,
#endif
};

/* A driver says what failed, by errno and in words, and nothing else. */
static int checked(int rc, const struct err *err)
{
	assert(rc <= 0);
	assert(rc == 0 || err->code == -rc);
	return rc;
}

int db_open(struct db **out, const char *backend,
	    const struct db_params *params, struct err *err)
{
	int rc;

	assert(backend != NULL && params != NULL && err != NULL);

	*out = NULL;
	for (size_t i = 0; i < sizeof(backends) / sizeof(backends[0]); i++) {
		if (strcmp(backends[i]->name, backend) != 0)
			continue;
		rc = checked(backends[i]->open(out, params, err), err);
		assert((rc == 0) == (*out != NULL));
		if (rc == 0)
			(*out)->backend = backends[i];
		return rc;
	}
	return err_set(err, EINVAL, "no backend is named %s", backend);
}

int db_exec(struct db *db, const char *sql, const struct db_args *args,
	    const struct db_sink *sink, void *arg, struct err *err)
{
	const struct db_args none = {0};

	assert(sql != NULL && sink != NULL && err != NULL);
	assert(sink->begin != NULL && sink->row != NULL && sink->bytes != NULL);
	assert(sink->end != NULL && sink->notice != NULL);
	assert(sink->failure != NULL && sink->idle != NULL);
	return checked(db->backend->exec(db, sql, args != NULL ? args : &none,
					 sink, arg, err),
		       err);
}

int db_check(struct db *db, struct err *err)
{
	int rc;

	assert(err != NULL);
	rc = checked(db->backend->check(db, err), err);
	assert(rc == 0 || rc == -ENOTCONN);
	return rc;
}

int db_reset(struct db *db, const struct db_params *params, struct err *err)
{
	assert(params != NULL && err != NULL);
	if (db->backend->reset == NULL)
		return err_set(err, EOPNOTSUPP, "%s sessions are not reset",
			       db->backend->name);
	return checked(db->backend->reset(db, params, err), err);
}

bool db_in_transaction(const struct db *db)
{
	return db->in_transaction;
}

unsigned db_sql_modes(const struct db *db)
{
	return db->sql_modes;
}

int db_server_pid(const struct db *db)
{
	return db->server_pid;
}

int db_cancel(struct db *db, const struct db_params *params, struct err *err)
{
	assert(params != NULL && err != NULL);
	return checked(db->backend->cancel(db, params, err), err);
}

void db_abort(struct db *db)
{
	db->backend->abort(db);
}

void db_close(struct db *db)
{
	if (db != NULL)
		db->backend->close(db);
}
