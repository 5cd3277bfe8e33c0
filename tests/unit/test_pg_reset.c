/* SPDX-License-Identifier: MIT */
/*
 * A session of the PostgreSQL driver that is handed over. With a real server,
 * see pg_server.h, and with one that answers as it should not.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backends/db.h"
#include "backends/sql.h"
#include "common/err.h"
#include "tests/unit/pg_script.h"
#include "tests/unit/pg_server.h"
#include "tests/unit/pg_sink.h"
#include "tests/unit/values.h"

enum { TIMEOUT_MS = 20000, SHORT_MS = 50, MAX_ROW = 1000 };

/* What a session is, as far as it can tell. */
static const char *const looks[] = {
	"select name, setting, reset_val, source from pg_settings "
	"where name <> 'application_name' order by name",
	"select current_user, session_user, current_setting('role'), "
	"current_schemas(false), pg_my_temp_schema() <> 0 and exists "
	"(select from pg_class where relnamespace = pg_my_temp_schema())",
	"select * from pg_prepared_statements",
	"select name from pg_cursors where name <> ''",
	"select * from pg_listening_channels()",
	"select locktype from pg_locks where pid = pg_backend_pid() "
	"and locktype = 'advisory'",
	"select lastval()",
	"select currval('kept')",
	"select coalesce(current_setting('my.own', true), '') = ''",
	"execute p",
	"fetch all in c",
	"select * from temporary_table",
};

static void say(struct client *c, const char *sql)
{
	if (run(c, sql) == 0)
		return;
	(void)fprintf(stderr, "%s: %s\n", sql, c->seen.err.msg);
	CHECK(false);
}

/* Of *c and of a session that was never used; both by the same login. */
static void check_like_new(struct client *c, const struct db_params *params)
{
	struct client fresh = client_with(params);

	for (size_t i = 0; i < COUNT(looks); i++) {
		CHECK_INT(run(c, looks[i]), run(&fresh, looks[i]));
		CHECK_TEXT(c->seen.err.msg, fresh.seen.err.msg);
		CHECK_TEXT(buf_cstr(&c->seen.rows), buf_cstr(&fresh.seen.rows));
	}
	CHECK(db_sql_modes(c->db) == db_sql_modes(fresh.db));
	CHECK(!db_in_transaction(c->db));
	client_close(&fresh);
}

static void check_differs(struct client *c, const struct db_params *params)
{
	struct client fresh = client_with(params);
	size_t n = 0;

	for (size_t i = 0; i < COUNT(looks); i++) {
		n += run(c, looks[i]) != run(&fresh, looks[i]) ||
		     strcmp(buf_cstr(&c->seen.rows),
			    buf_cstr(&fresh.seen.rows)) != 0;
	}
	CHECK_INT((long)n, COUNT(looks));
	client_close(&fresh);
}

static void check_name(const struct client *c, const char *name)
{
	struct client other = client_open();
	char sql[128];

	(void)snprintf(sql, sizeof(sql),
		       "select application_name from pg_stat_activity "
		       "where pid = %d",
		       db_server_pid(c->db));
	say(&other, sql);
	CHECK_INT((long)strcspn(buf_cstr(&other.seen.rows), "\n"),
		  (long)strlen(name));
	CHECK(strncmp(buf_cstr(&other.seen.rows), name, strlen(name)) == 0);
	client_close(&other);
}

static void reset(struct client *c, const struct db_params *params)
{
	struct err err = {0};

	if (db_reset(c->db, params, &err) < 0)
		(void)fprintf(stderr, "%s\n", err.msg);
	CHECK_INT(err.code, 0);
}

/* A login whose role, search_path and a setting are not the defaults. */
static struct db_params prepare_login(struct client *root)
{
	struct db_params params = server_params();

	say(root, "drop sequence if exists kept");
	say(root, "drop role if exists reset_login");
	say(root, "drop role if exists reset_role");
	say(root, "create role reset_role");
	say(root, "create role reset_login login superuser password 'x'");
	say(root, "alter role reset_login set role = reset_role");
	say(root, "alter role reset_login set search_path = public");
	say(root, "create sequence kept");
	say(root, "grant all on sequence kept to public");
	params.user = "reset_login";
	params.password = "x";
	params.statement_timeout_ms = 600000;
	params.read_only = true;
	params.init_sql = "set work_mem = '3MB'; select 1";
	return params;
}

static void make_state(struct client *c, const char *identity)
{
	static const char *const texts[] = {
		"set session characteristics as transaction read write",
		"set work_mem = '1MB'",
		"set statement_timeout = 0",
		"set standard_conforming_strings = off",
		"set search_path = pg_temp, public",
		"set datestyle = 'SQL, DMY'",
		"set timezone = 'Asia/Tokyo'",
		"set client_min_messages = error",
		"set my.own = 'secret'",
		"set application_name = 'somebody else'",
		"create temp table temporary_table as select 1",
		"prepare p as select 'prepared'",
		"declare c cursor with hold for select 'cursor'",
		"listen channel",
		"select nextval('kept')",
		"select pg_advisory_lock(1), pg_advisory_lock_shared(2, 3)",
		"set role none",
	};

	for (size_t i = 0; i < COUNT(texts); i++)
		say(c, texts[i]);
	say(c, identity);
}

static void test_everything_is_undone(void)
{
	static const char *const identities[] = {
		"set role pg_read_all_data",
		"set session authorization app",
		"set session authorization reset_role",
	};
	struct db_params root_params = server_params();
	struct db_params params;
	struct client root;
	struct client c;

	root_params.user = "postgres";
	root = client_with(&root_params);
	params = prepare_login(&root);
	c = client_with(&params);
	check_like_new(&c, &params);
	for (size_t i = 0; i < COUNT(identities); i++) {
		make_state(&c, identities[i]);
		check_differs(&c, &params);
		reset(&c, &params);
		check_like_new(&c, &params);
	}
	client_close(&c);
	say(&root, "drop sequence kept");
	say(&root, "drop role reset_login");
	say(&root, "drop role reset_role");
	client_close(&root);
}

static void test_name_is_the_next_clients(void)
{
	static const char *const names[] = {"second", "it's \"$1\"; --",
					    "\xc3\xa4"};
	struct db_params params = server_params();
	struct client c = client_with(&params);

	check_name(&c, "connfs-test");
	/* What does not fit is cut, between two characters; see the server. */
	params.application_name = "0123456789012345678901234567890123456789"
				  "0123456789012345678901\xc3\xa4";
	reset(&c, &params);
	check_name(&c, "0123456789012345678901234567890123456789"
		       "0123456789012345678901");
	for (size_t i = 0; i < 2; i++) {
		params.application_name = names[i];
		reset(&c, &params);
		check_name(&c, names[i]);
	}
	params.application_name = NULL;
	reset(&c, &params);
	check_name(&c, "connfs");
	client_close(&c);
}

static void test_transaction_is_rolled_back(void)
{
	const struct db_params params = server_params();
	struct client c = client_open();

	say(&c, "create temp table t (a int)");
	say(&c, "begin");
	say(&c, "create table rolled_back (a int)");
	reset(&c, &params);
	CHECK(!db_in_transaction(c.db));
	CHECK_INT(run(&c, "select from rolled_back"), -EINVAL);
	say(&c, "begin");
	CHECK_INT(run(&c, "selec"), -EINVAL);
	CHECK(db_in_transaction(c.db));
	reset(&c, &params);
	CHECK(!db_in_transaction(c.db));
	CHECK_INT(run(&c, "select from t"), -EINVAL);
	check_alive(&c);
	client_close(&c);
}

/* With setseed() the last client would know the next one's numbers. */
static void test_random_numbers_are_new(void)
{
	const struct db_params params = server_params();
	struct client c = client_open();
	char *known;
	char *got;

	say(&c, "select setseed(0.5)");
	known = ask(c.db, "select random()");
	say(&c, "select setseed(0.5)");
	reset(&c, &params);
	got = ask(c.db, "select random()");
	CHECK(strcmp(known, got) != 0);
	free(known);
	free(got);
	client_close(&c);
}

static void test_notifications_do_not_reach_the_next(void)
{
	const struct db_params params = server_params();
	struct client c = client_open();
	struct client other = client_open();

	say(&c, "listen a");
	say(&other, "select pg_notify('a', repeat('x', 5000)) "
		    "from generate_series(1, 100)");
	reset(&c, &params);
	check_alive(&c);
	client_close(&other);
	client_close(&c);
}

/* What libpq did by itself leaves nothing that disturbs how rows are read. */
static void test_works_as_before(void)
{
	const struct db_value values[] = {LIST("", NUMBER("7"))};
	const struct db_args args = ARGS(values);
	const struct db_params params = server_params();
	struct client c = client_open();
	struct background b;
	struct err err = {0};

	seen_init(&b.seen);
	for (int i = 0; i < 3; i++) {
		reset(&c, &params);
		reset(&c, &params);
		c.seen.count_only = true;
		say(&c, "select generate_series(1, 100000)");
		CHECK_INT((long)c.seen.n_rows, 100000);
		reset(&c, &params);
		say(&c, "select repeat('x', 20000000)");
		c.seen.count_only = false;
		reset(&c, &params);
		say(&c, "copy (select 1 union all select 2) to stdout");
		CHECK_TEXT(buf_cstr(&c.seen.rows), "1\n2\n");
		CHECK_INT(run(&c, "selec"), -EINVAL);
		reset(&c, &params);
		CHECK_INT(run_args(&c, "select $1::int[]", &args), 0);
		CHECK_TEXT(buf_cstr(&c.seen.rows), "{7}\n");
		c.seen.stop_at = 3;
		CHECK_INT(run(&c, "select generate_series(1, 1000000000)"),
			  -ENOSPC);
		c.seen.stop_at = 0;
		reset(&c, &params);
		/* Too late for any statement, and none of the reset. */
		CHECK_INT(db_cancel(c.db, &params, &err), 0);
		check_alive(&c);
	}
	background_start(&b, server_session(&params), "select 1");
	CHECK_INT(background_join(&b), 0);
	CHECK_INT(db_reset(b.db, &params, &err), 0);
	background_start(&b, b.db, "select pg_sleep(600)");
	wait_until_active(c.db, b.db);
	CHECK_INT(db_cancel(b.db, &params, &err), 0);
	CHECK_INT(background_join(&b), -ECANCELED);
	seen_finish(&b.seen);
	db_close(b.db);
	client_close(&c);
}

static void test_init_sql(void)
{
	struct db_params params = server_params();
	struct client c = client_open();
	struct err err = {0};

	params.init_sql = "set work_mem = '3MB'; select 1, 2";
	reset(&c, &params);
	say(&c, "show work_mem");
	CHECK_TEXT(buf_cstr(&c.seen.rows), "3MB\n");
	params.init_sql = "selec";
	CHECK_INT(db_reset(c.db, &params, &err), -EINVAL);
	CHECK_TEXT(err.msg, "init_sql: syntax error at or near \"selec\"");
	params.init_sql = "select pg_sleep(600)";
	params.connect_timeout_ms = SHORT_MS;
	CHECK_INT(db_reset(c.db, &params, &err), -ETIMEDOUT);
	CHECK_INT(db_check(c.db, &err), -ENOTCONN);
	client_close(&c);
}

static void test_session_that_the_server_ended(void)
{
	const struct db_params params = server_params();
	struct client c = client_open();
	struct client other = client_open();
	struct err err = {0};

	server_end_session(&other, c.db);
	CHECK_INT(db_reset(c.db, &params, &err), -ENOTCONN);
	CHECK_TEXT(err.msg, "reset: terminating connection due to "
			    "administrator command");
	CHECK_INT(db_check(c.db, &err), -ENOTCONN);
	client_close(&c);

	c = client_open();
	db_abort(c.db);
	CHECK_INT(db_reset(c.db, &params, &err), -ENOTCONN);
	client_close(&c);
	client_close(&other);
}

static void test_tls(void)
{
	struct db_params params = server_tls_params("127.0.0.1", "require");
	struct client c = client_with(&params);

	params.application_name = "by tls";
	for (int i = 0; i < 10; i++) {
		reset(&c, &params);
		check_alive(&c);
	}
	check_name(&c, "by tls");
	client_close(&c);
}

static struct db *open_script(const struct pg_script *script,
			      struct db_params *params)
{
	struct err err = {0};
	struct db *db;

	*params = (struct db_params){
		.host = script->dir,
		.port = PG_SCRIPT_PORT,
		.user = "somebody",
		.max_row = MAX_ROW,
		.connect_timeout_ms = TIMEOUT_MS,
	};
	CHECK_INT(db_open(&db, "postgres", params, &err), 0);
	return db;
}

static void check_useless(struct db *db)
{
	struct err err = {0};
	struct seen seen;

	CHECK_INT(db_check(db, &err), -ENOTCONN);
	seen_init(&seen);
	CHECK_INT(run_sql(db, &seen, "select 1"), -ENOTCONN);
	seen_finish(&seen);
}

static void put_command(struct buf *b, const char *tag)
{
	pg_script_put(b, '1', "", 0);
	pg_script_put(b, '2', "", 0);
	pg_script_put(b, 'n', "", 0);
	pg_script_put(b, 'C', tag, strlen(tag) + 1);
}

/* What a server says to all that a reset sends. */
static void put_reset(struct buf *b)
{
	put_command(b, "DISCARD ALL");
	pg_script_put(b, 'Z', "I", 1);
	put_command(b, "RESET");
	pg_script_put(b, '1', "", 0);
	pg_script_put(b, '2', "", 0);
	pg_script_put_columns(b, 2);
	pg_script_put_row(b, 2);
	pg_script_put_end(b);
}

/*
 * The server says nothing until the second Sync has come, so the client waits
 * once; in pieces of any size, and then rows are read as ever.
 */
static void test_one_round_trip(void)
{
	for (size_t piece = 0; piece < 30; piece++) {
		struct pg_script script;
		struct db_params params;
		struct err err = {0};
		struct seen seen;
		struct db *db;

		pg_script_start(&script);
		db = open_script(&script, &params);
		for (int i = 0; i < 3; i++) {
			script.hold = 1;
			script.piece = piece;
			buf_reset(&script.answer);
			put_reset(&script.answer);
			CHECK_INT(db_reset(db, &params, &err), 0);

			script.hold = 0;
			buf_reset(&script.answer);
			pg_script_put_columns(&script.answer, 2);
			pg_script_put_row(&script.answer, 2);
			pg_script_put_end(&script.answer);
			seen_init(&seen);
			CHECK_INT(run_sql(db, &seen, "select"), 0);
			CHECK_TEXT(buf_cstr(&seen.rows), "1|1\n");
			seen_finish(&seen);
		}
		db_close(db);
		pg_script_stop(&script);
	}
}

/* One that is silent; one that hangs up; what it says cut off anywhere. */
static void test_server_that_does_not_answer(void)
{
	struct buf whole;
	size_t len;

	buf_init(&whole, 4096);
	put_reset(&whole);
	for (len = 0; len < whole.len; len += 7) {
		struct pg_script script;
		struct db_params params;
		struct err err = {0};
		bool hang_up = len % 2 == 0;
		struct db *db;

		pg_script_start(&script);
		script.hold = 1;
		script.hang_up = hang_up;
		buf_put(&script.answer, whole.data, len);
		db = open_script(&script, &params);
		params.connect_timeout_ms = hang_up ? TIMEOUT_MS : SHORT_MS;
		CHECK_INT(db_reset(db, &params, &err),
			  hang_up ? -ENOTCONN : -ETIMEDOUT);
		CHECK(strncmp(err.msg, "reset: ", 7) == 0);
		check_useless(db);
		db_close(db);
		pg_script_stop(&script);
	}
	buf_finish(&whole);
}

/* answer is the server's to both; the session is closed after it. */
static void check_answer(const char *version, char type, const char *body,
			 size_t len, int expected, const char *words)
{
	struct pg_script script;
	struct db_params params;
	struct err err = {0};
	struct db *db;

	pg_script_start(&script);
	script.version = version;
	script.hold = 1;
	pg_script_put(&script.answer, type, body, len);
	pg_script_put(&script.answer, 'Z', "I", 1);
	pg_script_put(&script.answer, 'Z', "I", 1);
	db = open_script(&script, &params);
	CHECK_INT(db_reset(db, &params, &err), -expected);
	if (strstr(err.msg, words) == NULL)
		CHECK_TEXT(err.msg, words);
	if (strcmp(version, "8.0.2") != 0)
		check_useless(db);
	db_close(db);
	pg_script_stop(&script);
}

static void test_server_that_cannot(void)
{
	static const char unknown[] = "SERROR\0C42601\0Msyntax error\0";
	static const char feature[] = "SERROR\0C0A000\0Mno DISCARD here\0";
	static const char fatal[] = "SFATAL\0VFATAL\0C57P01\0Mgo away\0";

	check_answer("8.0.2", 'C', "DISCARD ALL", 12, EOPNOTSUPP,
		     "the server has no DISCARD ALL");
	check_answer("16.9", 'E', unknown, sizeof(unknown), EOPNOTSUPP,
		     "reset: syntax error");
	check_answer("16.9", 'E', feature, sizeof(feature), EOPNOTSUPP,
		     "reset: no DISCARD here");
	check_answer("16.9", 'E', fatal, sizeof(fatal), ENOTCONN,
		     "reset: go away");
	/* COPY, which nobody asked for. */
	check_answer("16.9", 'H', "\0\0\0", 3, ENOTCONN, "reset: ");
}

static void test_all(void)
{
	test_everything_is_undone();
	test_name_is_the_next_clients();
	test_transaction_is_rolled_back();
	test_random_numbers_are_new();
	test_notifications_do_not_reach_the_next();
	test_works_as_before();
	test_init_sql();
	test_session_that_the_server_ended();
	test_tls();
	test_one_round_trip();
	test_server_that_does_not_answer();
	test_server_that_cannot();
}

int main(void)
{
	test_all();
	other_libpq = true;
	test_all();
	return 0;
}
