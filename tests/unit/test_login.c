/* SPDX-License-Identifier: MIT */
/*
 * What a login takes from the spec and what from the credential, and when it is
 * tried again. Credentials and drivers are the test's own.
 */
#include "fs/login.h"

#include <errno.h>

#include "auth/auth.h"
#include "backends/db.h"
#include "common/buf.h"
#include "common/err.h"
#include "fs/config.h"
#include "tests/unit/check.h"

int __wrap_auth_get(struct auth *, struct credential *, struct err *);
bool __wrap_auth_reject(struct auth *, const struct credential *, const char *);
void __wrap_auth_status(struct auth *, struct auth_status *);
int __wrap_db_open(struct db **, const char *, const struct db_params *,
		   struct err *);
int __wrap_db_reset(struct db *, const struct db_params *, struct err *);
int __wrap_db_cancel(struct db *, const struct db_params *, struct err *);

static struct credential next; /* what auth_get() gives; strings are lent */
static unsigned n_gets;
static int get_rc[3];      /* of each */
static bool worth_a_try;   /* what auth_reject() says */
static char rejected[256]; /* the reasons, a line each */

static int open_rc[3];       /* of each login */
static const char *sqlstate; /* of all that fail */
static unsigned n_opens;
static void (*check_params)(const struct db_params *params);
static struct db *const opened = (struct db *)&opened;

static struct engine postgres = {
	.type = "postgres-rds",
	.backend = "postgres",
	.dialect = SQL_POSTGRES,
};
static struct engine mysql = {
	.type = "mysql-rds",
	.backend = "mariadb",
	.dialect = SQL_MYSQL,
	.cancels_by_login = true,
};
static struct spec spec;

static char *copy(const char *text)
{
	return text != NULL ? strdup(text) : NULL;
}

int __wrap_auth_get(struct auth *auth, struct credential *out, struct err *err)
{
	char password[16];
	int n, rc = get_rc[n_gets++];

	*out = (struct credential){0};
	if (rc < 0)
		return err_set(err, -rc, "no credential %u", n_gets);
	*out = next;
	out->user = copy(next.user);
	out->host = copy(next.host);
	out->database = copy(next.database);
	out->dsql_id = copy(next.dsql_id);
	n = snprintf(password, sizeof(password), "secret %u", n_gets);
	CHECK(secret_set(&out->password, password, (size_t)n) == 0);
	return 0;
}

bool __wrap_auth_reject(struct auth *auth, const struct credential *used,
			const char *reason)
{
	size_t len = strlen(rejected);

	(void)snprintf(rejected + len, sizeof(rejected) - len, "%s: %s\n",
		       used->password.data, reason);
	return worth_a_try;
}

static const char *source = "file"; /* what auth_status() says, .. */
static const char *keys = "";       /* .. and of which keys */

void __wrap_auth_status(struct auth *auth, struct auth_status *out)
{
	*out = (struct auth_status){.source = source};
	(void)snprintf(out->keys_source, sizeof(out->keys_source), "%s", keys);
}

static int use(const struct db_params *params, struct err *err)
{
	unsigned n = n_opens++;

	CHECK(n < COUNT(open_rc));
	if (check_params != NULL)
		check_params(params);
	params->on_step(params->step_arg, DB_DIALLED, "there");
	params->on_step(params->step_arg, n == 0 ? DB_PLAIN : DB_SECURED,
			"TLS");
	if (open_rc[n] == 0)
		return 0;
	(void)err_set(err, -open_rc[n], "login %u refused", n + 1);
	(void)snprintf(err->sqlstate, sizeof(err->sqlstate), "%s", sqlstate);
	return open_rc[n];
}

int __wrap_db_open(struct db **out, const char *backend,
		   const struct db_params *params, struct err *err)
{
	int rc = use(params, err);

	CHECK_TEXT(backend, spec.engine->backend);
	*out = rc == 0 ? opened : NULL;
	return rc;
}

int __wrap_db_reset(struct db *db, const struct db_params *params,
		    struct err *err)
{
	return use(params, err);
}

int __wrap_db_cancel(struct db *db, const struct db_params *params,
		     struct err *err)
{
	return use(params, err);
}

static const struct login login = {
	.spec = &spec,
	.app_name = "lv-job",
	.max_row = 77,
};

static void setup(struct engine *engine)
{
	static char host[] = "shop.rds", dial[] = "127.0.0.1", database[] = "d",
		    user[] = "u", mode[] = "prefer", strong[] = "verify-full",
		    ca[] = "/ca.pem";

	spec = (struct spec){
		.engine = engine,
		.host = host,
		.port = 5432,
		.connect_host = dial,
		.connect_port = 6000,
		.database = database,
		.user = user,
		.sslmode = mode,
		.token_sslmode = strong,
		.ca_cert = ca,
		.connect_timeout_ms = 11,
		.statement_timeout_ms = 22,
	};
	next = (struct credential){0};
	worth_a_try = false;
	sqlstate = "28000";
	check_params = NULL;
	n_gets = 0;
	n_opens = 0;
	memset(get_rc, 0, sizeof(get_rc));
	memset(open_rc, 0, sizeof(open_rc));
	rejected[0] = '\0';
}

/* The login ends with rc, after so many attempts. */
static void check_login(int rc, unsigned n, const char *msg,
			const char *reasons)
{
	struct err err = {0};
	struct db *db;

	CHECK(login_open(&db, &login, &err) == rc);
	CHECK(db == (rc == 0 ? opened : NULL));
	CHECK(n_opens == n);
	CHECK_TEXT(rc == 0 ? "" : err.msg, msg);
	CHECK_TEXT(rejected, reasons);
}

static void check_of_spec(const struct db_params *p)
{
	CHECK_TEXT(p->host, "shop.rds");
	CHECK(p->port == 5432 && p->connect_port == 6000);
	CHECK_TEXT(p->connect_host, "127.0.0.1");
	CHECK_TEXT(p->database, "d");
	CHECK_TEXT(p->user, "u");
	CHECK_TEXT(p->password, "secret 1");
	CHECK_TEXT(p->sslmode, "prefer");
	CHECK_TEXT(p->ca_cert, "/ca.pem");
	CHECK_TEXT(p->application_name, "lv-job");
	CHECK_TEXT(p->dsql_id, NULL);
	CHECK(!p->password_is_token && !p->read_only && p->max_row == 77);
	CHECK(p->connect_timeout_ms == 11 && p->statement_timeout_ms == 22);
}

static void check_of_credential(const struct db_params *p)
{
	CHECK_TEXT(p->host, "real.rds");
	CHECK(p->port == 5433 && p->connect_port == 6000);
	CHECK_TEXT(p->connect_host, "127.0.0.1");
	CHECK_TEXT(p->database, "real");
	CHECK_TEXT(p->user, "IAM:u");
	CHECK_TEXT(p->dsql_id, "abc");
	CHECK_TEXT(p->sslmode, "verify-full");
	CHECK(p->password_is_token);
}

static void fill_credential(void)
{
	static char user[] = "IAM:u", host[] = "real.rds", database[] = "real",
		    id[] = "abc";

	next = (struct credential){
		.user = user,
		.host = host,
		.port = 5433,
		.database = database,
		.dsql_id = id,
		.is_token = true,
	};
}

static void test_whose_word_counts(void)
{
	setup(&postgres);
	check_params = check_of_spec;
	check_login(0, 1, "", "");

	setup(&postgres);
	fill_credential();
	check_params = check_of_credential;
	check_login(0, 1, "", "");

	/* It all comes from the secret. */
	setup(&postgres);
	fill_credential();
	spec.host = NULL;
	spec.port = 0;
	spec.database = NULL;
	spec.user = NULL;
	check_params = check_of_credential;
	check_login(0, 1, "", "");
}

static void test_token_and_weak_sslmode(void)
{
	setup(&postgres);
	fill_credential();
	spec.token_sslmode = NULL;
	check_login(-EACCES, 0,
		    "sslmode: type postgres-rds logs in by a token, which is "
		    "sent with verify-full, verify-ca or require only",
		    "");
	setup(&mysql);
	fill_credential();
	spec.token_sslmode = NULL;
	check_login(-EACCES, 0,
		    "sslmode: type mysql-rds logs in by a token, which is sent "
		    "with verify-full, or with a tls_fingerprint, only",
		    "");
	/* A password is not a token. */
	setup(&mysql);
	spec.token_sslmode = NULL;
	check_login(0, 1, "", "");
}

static void test_login_that_is_refused(void)
{
	setup(&postgres);
	open_rc[0] = -EACCES;
	check_login(-EACCES, 1, "login 1 refused",
		    "secret 1: login 1 refused\n");

	setup(&postgres);
	open_rc[0] = -EACCES;
	worth_a_try = true;
	check_login(0, 2, "", "secret 1: login 1 refused\n");

	/* Once, and what is said is what the second was told. */
	setup(&postgres);
	open_rc[0] = -EACCES;
	open_rc[1] = -EACCES;
	worth_a_try = true;
	check_login(-EACCES, 2, "login 2 refused",
		    "secret 1: login 1 refused\nsecret 2: login 2 refused\n");

	setup(&postgres);
	open_rc[0] = -EACCES;
	get_rc[1] = -EKEYREJECTED;
	worth_a_try = true;
	check_login(-EKEYREJECTED, 1, "no credential 2",
		    "secret 1: login 1 refused\n");

	/* The credential has no part in it. */
	setup(&postgres);
	open_rc[0] = -ECONNREFUSED;
	worth_a_try = true;
	check_login(-ECONNREFUSED, 1, "login 1 refused", "");
}

/* Who was let in may be forbidden his database, or init_sql. */
static void test_what_is_forbidden_then(void)
{
	static const char *const states[] = {"42501", "42000", "25006"};

	for (size_t i = 0; i < COUNT(states); i++) {
		setup(&postgres);
		sqlstate = states[i];
		open_rc[0] = -EACCES;
		worth_a_try = true;
		check_login(-EACCES, 1, "login 1 refused", "");
	}
	/* Where the server does not say it in a code. */
	setup(&mysql);
	sqlstate = "";
	open_rc[0] = -EACCES;
	worth_a_try = true;
	check_login(0, 2, "", "secret 1: login 1 refused\n");
}

static void note_step(void *arg, enum login_step step, const char *text)
{
	struct buf *out = arg;

	buf_printf(out, "%d %s\n", (int)step, text);
}

/* What is told of a login that ends with rc. */
static void check_steps(int rc, const char *expected)
{
	struct login told = login;
	struct err err = {0};
	struct db *db;
	struct buf out;

	buf_init(&out, 65536);
	told.on_step = note_step;
	told.step_arg = &out;
	CHECK(login_open(&db, &told, &err) == rc);
	CHECK_TEXT(buf_cstr(&out), expected);
	buf_finish(&out);
}

static void test_steps(void)
{
	static char conn_id[] = "shop", file[] = "/c.json", secret[] = "prod/x",
		    user[] = "u";

	setup(&postgres);
	spec.conn_id = conn_id;
	spec.file = file;
	next.user = user;
	open_rc[0] = -EACCES;
	worth_a_try = true;
	check_steps(0, "0 spec of shop: /c.json\n"
		       "1 credential of u: file\n"
		       "2 dialled there\n"
		       "4 no TLS (sslmode TLS)\n"
		       "6 login failed: login 1 refused\n"
		       "0 spec of shop: /c.json\n"
		       "1 credential of u: file\n"
		       "2 dialled there\n"
		       "3 TLS\n");

	/* Of a secret its name is told, of other sources not even that. */
	setup(&postgres);
	spec.conn_id = conn_id;
	spec.file = file;
	spec.secret_id = secret;
	source = "secretsmanager";
	keys = "profile etl";
	next.was_kept = true;
	check_steps(0, "0 spec of shop: /c.json\n"
		       "1 credential: secretsmanager prod/x, keys of profile "
		       "etl, kept\n"
		       "2 dialled there\n"
		       "4 no TLS (sslmode TLS)\n");

	setup(&postgres);
	spec.conn_id = conn_id;
	spec.file = file;
	get_rc[0] = -EKEYREJECTED;
	check_steps(-EKEYREJECTED, "0 spec of shop: /c.json\n"
				   "6 login failed: no credential 1\n");
}

static void check_fresh(const struct db_params *p)
{
	CHECK_TEXT(p->password, "secret 1");
	check_of_credential(p);
}

static void check_without(const struct db_params *p)
{
	CHECK_TEXT(p->password, NULL);
	CHECK_TEXT(p->application_name, "lv-job");
}

static void test_reset_and_cancel(void)
{
	int (*const calls[])(struct db *, const struct login *,
			     struct err *) = {login_reset, login_cancel};
	struct err err;

	for (size_t i = 0; i < COUNT(calls); i++) {
		setup(&mysql);
		fill_credential();
		check_params = check_fresh;
		CHECK(calls[i](opened, &login, &err) == 0);
		CHECK(n_gets == 1 && n_opens == 1);

		setup(&mysql);
		get_rc[0] = -EKEYREJECTED;
		CHECK(calls[i](opened, &login, &err) == -EKEYREJECTED);
		CHECK(n_opens == 0);

		setup(&postgres);
		check_params = check_without;
		CHECK(calls[i](opened, &login, &err) == 0);
		CHECK(n_gets == 0 && n_opens == 1);
	}
}

/* A session cannot be asked twice, but it can be replaced. */
static void test_reset_and_cancel_that_are_refused(void)
{
	struct err err;

	setup(&mysql);
	open_rc[0] = -EACCES;
	worth_a_try = true;
	CHECK(login_reset(opened, &login, &err) == -EACCES);
	CHECK(n_opens == 1);
	CHECK_TEXT(rejected, "secret 1: login 1 refused\n");

	setup(&mysql);
	open_rc[0] = -EACCES;
	worth_a_try = true;
	CHECK(login_cancel(opened, &login, &err) == 0);
	CHECK(n_opens == 2);
	CHECK_TEXT(rejected, "secret 1: login 1 refused\n");

	/* No login was part of it. */
	setup(&postgres);
	open_rc[0] = -EACCES;
	worth_a_try = true;
	CHECK(login_reset(opened, &login, &err) == -EACCES);
	CHECK(n_opens == 1);
	CHECK_TEXT(rejected, "");
}

int main(void)
{
	test_whose_word_counts();
	test_token_and_weak_sslmode();
	test_login_that_is_refused();
	test_what_is_forbidden_then();
	test_steps();
	test_reset_and_cancel();
	test_reset_and_cancel_that_are_refused();
	return 0;
}
