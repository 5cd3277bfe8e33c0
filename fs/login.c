/* SPDX-License-Identifier: MIT */
#include "fs/login.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "auth/auth.h"
#include "backends/db.h"
#include "common/err.h"
#include "common/secret.h"
#include "fs/config.h"

enum { TEXT_SIZE = 512 };

__attribute__((format(printf, 3, 4))) static void tell(
	const struct login *login, enum login_step step, const char *fmt, ...)
{
	char text[TEXT_SIZE];
	va_list ap;

	if (login->on_step == NULL)
		return;
	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	login->on_step(login->step_arg, step, text);
}

static void on_db_step(void *arg, enum db_step step, const char *detail)
{
	const struct login *login = arg;

	switch (step) {
	case DB_DIALLED:
		tell(login, LOGIN_DIALLED, "%s %s",
		     login->spec->engine->is_file ? "opened" : "dialled",
		     detail);
		break;
	case DB_SECURED:
		tell(login, LOGIN_SECURED, "%s", detail);
		break;
	case DB_PLAIN:
		tell(login, LOGIN_PLAIN, "no TLS (sslmode %s)", detail);
		break;
	case DB_ADMITTED:
		tell(login, LOGIN_ADMITTED, "admitted%s%s",
		     *detail != '\0' ? " as " : "", detail);
		break;
	}
}

/* In what way it came about, as creds/ shows it; never from where in detail. */
static void tell_credential(const struct login *login,
			    const struct credential *c)
{
	const struct spec *spec = login->spec;
	struct auth_status status;
	bool from_secret;

	if (login->on_step == NULL || spec->engine->is_file)
		return;
	auth_status(spec->auth, &status);
	from_secret = strcmp(status.source, "secretsmanager") == 0;
	tell(login, LOGIN_CREDENTIAL, "credential%s%s: %s%s%s%s%s%s",
	     c->user != NULL ? " of " : "", c->user != NULL ? c->user : "",
	     status.source[0] != '\0' ? status.source : "none",
	     from_secret ? " " : "", from_secret ? spec->secret_id : "",
	     status.keys_source[0] != '\0' ? ", keys of " : "",
	     status.keys_source, c->was_kept ? ", kept" : "");
}

/* c: empty where none is needed. */
static struct db_params make_params(const struct login *login,
				    const struct credential *c)
{
	const struct spec *spec = login->spec;

	return (struct db_params){
		.host = c->host != NULL ? c->host : spec->host,
		.port = c->port != 0 ? c->port : spec->port,
		.connect_host = spec->connect_host,
		.connect_port = spec->connect_port,
		.database = c->database != NULL ? c->database : spec->database,
		.user = c->user != NULL ? c->user : spec->user,
		.password = c->password.data,
		.password_is_token = c->is_token,
		.dsql_id = c->dsql_id,
		.application_name = login->app_name,
		.sslmode = c->is_token ? spec->token_sslmode : spec->sslmode,
		.ca_cert = spec->ca_cert,
		.tls_fingerprint = spec->tls_fingerprint,
		.init_sql = spec->init_sql,
		.read_only = login->read_only || spec->read_only,
		.connect_timeout_ms = spec->connect_timeout_ms,
		.statement_timeout_ms = spec->statement_timeout_ms,
		.max_row = login->max_row,
		.on_step = on_db_step,
		.step_arg = (void *)(uintptr_t)login,
	};
}

static int check_token(const struct spec *spec, const struct credential *c,
		       struct err *err)
{
	if (!c->is_token || spec->token_sslmode != NULL)
		return 0;
	return err_set(err, EACCES,
		       "sslmode: type %s logs in by a token, which is sent "
		       "with %s only",
		       spec->engine->type,
		       spec->engine->dialect == SQL_MYSQL
			       ? "verify-full, or with a tls_fingerprint,"
			       : "verify-full, verify-ca or require");
}

/*
 * The server did not let it in. What it may not do then, in its database or by
 * init_sql (42501, 25006), has nothing to do with the credential.
 */
static bool is_refused(int rc, const struct err *err)
{
	return rc == -EACCES && strncmp(err->sqlstate, "42", 2) != 0 &&
	       strncmp(err->sqlstate, "25", 2) != 0;
}

/* *again: another credential may be accepted. */
static int try_once(struct db **out, const struct login *login, bool *again,
		    struct err *err)
{
	const struct spec *spec = login->spec;
	struct credential c = {0};
	struct db_params params;
	int rc;

	*again = false;
	tell(login, LOGIN_BEGUN, "spec of %s: %s", spec->conn_id, spec->file);
	rc = auth_get(spec->auth, &c, err);
	if (rc == 0)
		tell_credential(login, &c);
	if (rc == 0)
		rc = check_token(spec, &c, err);
	if (rc == 0) {
		params = make_params(login, &c);
		rc = db_open(out, spec->engine->backend, &params, err);
		if (is_refused(rc, err))
			*again = auth_reject(spec->auth, &c, err->msg);
	}
	if (rc < 0)
		tell(login, LOGIN_FAILED, "login failed: %s", err->msg);
	credential_finish(&c);
	secret_wipe_stack();
	return rc;
}

int login_open(struct db **out, const struct login *login, struct err *err)
{
	bool again;
	int rc;

	*out = NULL;
	rc = try_once(out, login, &again, err);
	if (again)
		rc = try_once(out, login, &again, err);
	return rc;
}

/* Calls with the parameters of a login of its own, where that is needed. */
static int call(int (*function)(struct db *, const struct db_params *,
				struct err *),
		struct db *db, const struct login *login, bool *again,
		struct err *err)
{
	bool logs_in = login->spec->engine->cancels_by_login;
	struct credential c = {0};
	struct db_params params;
	int rc = 0;

	*again = false;
	if (logs_in) {
		tell(login, LOGIN_BEGUN, "spec of %s: %s", login->spec->conn_id,
		     login->spec->file);
		rc = auth_get(login->spec->auth, &c, err);
	}
	if (logs_in && rc == 0)
		tell_credential(login, &c);
	if (rc == 0)
		rc = check_token(login->spec, &c, err);
	if (rc == 0) {
		params = make_params(login, &c);
		rc = function(db, &params, err);
		if (logs_in && is_refused(rc, err))
			*again = auth_reject(login->spec->auth, &c, err->msg);
	}
	credential_finish(&c);
	secret_wipe_stack();
	return rc;
}

int login_reset(struct db *db, const struct login *login, struct err *err)
{
	bool again;

	/* A session that was refused is over: another try is a new login. */
	return call(db_reset, db, login, &again, err);
}

int login_cancel(struct db *db, const struct login *login, struct err *err)
{
	bool again;
	int rc = call(db_cancel, db, login, &again, err);

	if (again)
		rc = call(db_cancel, db, login, &again, err);
	return rc;
}
