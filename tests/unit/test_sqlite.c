/* SPDX-License-Identifier: MIT */
/*
 * The SQLite driver on databases in a directory of its own.
 *
 *     test_sqlite DIRECTORY
 */
#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/stat.h>

#include "backends/db.h"
#include "backends/sql.h"
#include "tests/unit/check.h"
#include "tests/unit/pg_sink.h"

enum { MAX_ROW = 64 * 1024 * 1024, SHORT_WAIT_MS = 30 };

static struct seen seen;

static struct db_params params_of(const char *host)
{
	return (struct db_params){.host = host, .max_row = MAX_ROW};
}

static struct db *open_params(const struct db_params *params)
{
	struct err err = {0};
	struct db *db;

	if (db_open(&db, "sqlite", params, &err) < 0) {
		(void)fprintf(stderr, "%s\n", err.msg);
		exit(1);
	}
	return db;
}

/* A fresh database, which begins as an empty file. */
static struct db *open_new(const char *name)
{
	struct db_params params = params_of(check_path(name));

	check_write(name, 0600, "");
	return open_params(&params);
}

static void ok(struct db *db, const char *sql)
{
	if (run_sql(db, &seen, sql) == 0)
		return;
	(void)fprintf(stderr, "%s: %s\n", sql, seen.err.msg);
	exit(1);
}

static void expect_rows(struct db *db, const char *sql, const char *rows)
{
	ok(db, sql);
	CHECK_TEXT(buf_cstr(&seen.rows), rows);
}

static void expect_tag(struct db *db, const char *sql, const char *tag)
{
	ok(db, sql);
	CHECK_TEXT(buf_cstr(&seen.tag), tag);
	CHECK(seen.n_ends == 1);
}

/* failure: code and message as the sink gets them. */
static void expect_failure(struct db *db, const char *sql, int eno,
			   const char *failure)
{
	CHECK_INT(run_sql(db, &seen, sql), -eno);
	CHECK_TEXT(buf_cstr(&seen.failure), failure);
	CHECK_INT(seen.err.code, eno);
	CHECK(seen.n_ends == 0);
	expect_rows(db, "select 1", "1\n");
}

static size_t count_files(void)
{
	DIR *dir = opendir(check_dir);
	size_t n = 0;

	CHECK(dir != NULL);
	while (readdir(dir) != NULL)
		n++;
	(void)closedir(dir);
	return n;
}

static void expect_refused(const char *host, int eno, const char *part)
{
	struct db_params params = params_of(host);
	struct err err = {0};
	struct db *db;

	CHECK_INT(db_open(&db, "sqlite", &params, &err), -eno);
	CHECK(db == NULL);
	if (strstr(err.msg, part) == NULL || strstr(err.msg, host) == NULL)
		CHECK_TEXT(err.msg, part);
}

/* A wrong host creates nothing and changes nothing. */
static void test_wrong_host(void)
{
	static const char text[] = "not a database, but quite some text in it";
	char uri[1200], got[sizeof(text)] = "";
	size_t before;
	FILE *f;

	check_write("text", 0600, text);
	CHECK(mkfifo(check_path("fifo"), 0600) == 0);
	CHECK(chdir(check_dir) == 0);
	before = count_files();
	expect_refused(check_path("missing"), EHOSTUNREACH, "No such file");
	expect_refused(check_path("text/x"), EHOSTUNREACH, "Not a directory");
	expect_refused(check_dir, EHOSTUNREACH, "not a regular file");
	expect_refused(check_path("fifo"), EHOSTUNREACH, "not a regular file");
	expect_refused(check_path("text"), EIO, "file is not a database");
	expect_refused("/dev/null", EHOSTUNREACH, "not a regular file");
	expect_refused("", EHOSTUNREACH, "not a regular file");
	expect_refused(":memory:", EHOSTUNREACH, "No such file");
	(void)snprintf(uri, sizeof(uri), "file:%s?mode=rwc",
		       check_path("created"));
	expect_refused(uri, EHOSTUNREACH, "No such file");
	CHECK(count_files() == before);

	f = fopen(check_path("text"), "re");
	CHECK(f != NULL && fread(got, 1, sizeof(got), f) == strlen(text));
	CHECK(fclose(f) == 0);
	CHECK_TEXT(got, text);
}

/* What looks like a URI is a name. */
static void test_odd_names(void)
{
	struct db_params params = params_of("file:x?mode=memory");
	struct db *db;

	CHECK(chdir(check_dir) == 0);
	check_write("file:x?mode=memory", 0600, "");
	db = open_params(&params);
	ok(db, "create table t (a)");
	db_close(db);
	db = open_params(&params);
	expect_rows(db, "select name from sqlite_schema", "t\n");
	db_close(db);
}

static void test_values(void)
{
	struct db *db = open_new("values");

	ok(db, "create table t (i integer, r real, s varchar(9), b blob, n)");
	expect_tag(db,
		   "insert into t values (1, 2.5, 'x', x'00ff', null),"
		   "(-9223372036854775808, 1e15, '', zeroblob(0), 'a')",
		   "INSERT 0 2/2");
	expect_rows(db, "select * from t",
		    "1|2.5|x|\\x00ff|<null>\n"
		    "-9223372036854775808|1e+15||\\x|a\n");
	CHECK_TEXT(buf_cstr(&seen.cols),
		   "i:INTEGER r:REAL s:varchar(9) b:BLOB n:NULL ");
	CHECK_TEXT(buf_cstr(&seen.tag), "SELECT 2/-1");
	CHECK(seen.n_begins == 1);
	CHECK(seen.n_idles == 0);
	expect_rows(db, "select 1 as a, 2.5 b, 'x', x'00', null",
		    "1|2.5|x|\\x00|<null>\n");
	CHECK_TEXT(buf_cstr(&seen.cols),
		   "a:INTEGER b:REAL 'x':TEXT x'00':BLOB null:NULL ");
	expect_rows(db, "select i, 1 as e from t where false", "");
	CHECK_TEXT(buf_cstr(&seen.cols), "i:INTEGER e:NULL ");
	CHECK(seen.n_begins == 1);
	expect_rows(db, "select 1e999, -1e999, -0.0, 0.1, 1e-5, 123456789.0",
		    "Infinity|-Infinity|-0|0.1|1e-05|123456789\n");
	expect_rows(db, "select zeroblob(3), x'0a' -- a comment",
		    "\\x000000|\\x0a\n");
	/* What is no text is shown as the bytes it is. */
	expect_rows(db, "select cast(x'c3' as text), cast(x'c3a4' as text)",
		    "\\xc3|\xc3\xa4\n");
	ok(db, "select cast(x'610062' as text)");
	CHECK(seen.rows.len == 4 && memcmp(seen.rows.data, "a\0b\n", 4) == 0);
	ok(db, "select cast(x'6100c3' as text)");
	CHECK_TEXT(buf_cstr(&seen.rows), "\\x6100c3\n");
	db_close(db);
}

static void test_utf16(void)
{
	struct db *db = open_new("utf16");

	ok(db, "pragma encoding = 'UTF-16le'");
	ok(db, "create table t (a)");
	ok(db, "insert into t values ('\xc3\xa4\xe6\x97\xa5')");
	expect_rows(db, "select a, length(a) from t",
		    "\xc3\xa4\xe6\x97\xa5|2\n");
	db_close(db);
}

static void test_tags(void)
{
	struct db *db = open_new("tags");

	expect_tag(db, "create table t (a primary key)", "CREATE TABLE/-1");
	CHECK(seen.n_begins == 0);
	expect_tag(db, "create unique index i on t (a)", "CREATE INDEX/-1");
	expect_tag(db, "insert into t values (1), (2), (3)", "INSERT 0 3/3");
	expect_tag(db, "replace into t values (1)", "INSERT 0 1/1");
	expect_tag(db, "update t set a = a + 10 where a > 1", "UPDATE 2/2");
	expect_tag(db, "update t set a = 0 where false", "UPDATE 0/0");
	expect_tag(db, "with x as (select 1) delete from t where a in x",
		   "DELETE 1/1");
	expect_tag(db, "insert into t values (7) returning a", "INSERT 0 1/1");
	CHECK_TEXT(buf_cstr(&seen.rows), "7\n");
	expect_tag(db, "select * from t", "SELECT 3/-1");
	expect_tag(db, "values (1), (2)", "SELECT 2/-1");
	expect_tag(db, "begin", "BEGIN/-1");
	expect_tag(db, "end", "COMMIT/-1");
	expect_tag(db, "pragma user_version", "PRAGMA/-1");
	expect_tag(db, "explain query plan select 1", "EXPLAIN/-1");
	expect_tag(db, "drop table t;", "DROP TABLE/-1");
	expect_tag(db, "vacuum", "VACUUM/-1");
	db_close(db);
}

static void test_errors(void)
{
	struct db *db = open_new("errors");

	ok(db, "create table t (a integer primary key, b not null, "
	       "c check (c > 0), d unique)");
	ok(db, "insert into t values (1, 1, 1, 1)");
	expect_failure(db, "selec 1", EINVAL,
		       "ERROR SQLITE_ERROR near \"selec\": syntax error");
	CHECK_INT(run_sql(db, &seen, "select 1 +\n from t"), -EINVAL);
	CHECK_INT(seen.offset, 12);
	expect_failure(db, "select * from u", EINVAL,
		       "ERROR SQLITE_ERROR no such table: u");
	expect_failure(db, "select 1 + abs(-9223372036854775807 - 1)", EINVAL,
		       "ERROR SQLITE_ERROR integer overflow");
	expect_failure(db, "insert into t values (1, 1, 1, 2)", EEXIST,
		       "ERROR SQLITE_CONSTRAINT_PRIMARYKEY UNIQUE constraint "
		       "failed: t.a");
	expect_failure(db, "insert into t values (2, null, 1, 2)", EEXIST,
		       "ERROR SQLITE_CONSTRAINT_NOTNULL NOT NULL constraint "
		       "failed: t.b");
	expect_failure(db, "insert into t values (2, 1, 0, 2)", EEXIST,
		       "ERROR SQLITE_CONSTRAINT_CHECK CHECK constraint "
		       "failed: c > 0");
	expect_failure(db, "insert into t values (2, 1, 1, 1)", EEXIST,
		       "ERROR SQLITE_CONSTRAINT_UNIQUE UNIQUE constraint "
		       "failed: t.d");
	expect_failure(db, "insert into t values ('x', 1, 1, 3)", EINVAL,
		       "ERROR SQLITE_MISMATCH datatype mismatch");
	expect_failure(db, "select zeroblob(1000000000)", EFBIG,
		       "ERROR SQLITE_TOOBIG string or blob too big");
	ok(db, "pragma max_page_count = 10");
	expect_failure(db, "insert into t values (3, zeroblob(99999), 1, 3)",
		       ENOSPC, "ERROR SQLITE_FULL database or disk is full");
	CHECK_INT(run_sql(db, &seen, "select 1; select 2"), -EINVAL);
	CHECK_TEXT(seen.err.msg, "more than one statement at once");
	CHECK_INT(run_sql(db, &seen, "-- nothing"), -EINVAL);
	CHECK_TEXT(seen.err.msg, "the statement is empty");
	expect_rows(db, "select 1; -- one\n /* and */", "1\n");
	db_close(db);
}

static void test_max_row(void)
{
	struct db_params params = params_of(check_path("max_row"));
	struct db *db;

	check_write("max_row", 0600, "");
	db = open_params(&params);
	ok(db, "select printf('%.*c', 62914560, 'x')");
	CHECK(seen.longest == 62914560);
	CHECK_INT(run_sql(db, &seen, "select zeroblob(40000000)"), -EFBIG);
	db_close(db);

	params.max_row = 100;
	db = open_params(&params);
	ok(db, "select printf('%.*c', 60, 'x'), printf('%.*c', 40, 'x')");
	CHECK_INT(run_sql(db, &seen,
			  "select printf('%.*c', 60, 'x'), "
			  "printf('%.*c', 41, 'x')"),
		  -EFBIG);
	CHECK_TEXT(seen.err.msg, "a row is larger than max_row, 100 bytes");
	expect_rows(db, "select length(zeroblob(10000))", "10000\n");
	ok(db, "select zeroblob(49)");
	CHECK_INT(run_sql(db, &seen, "select zeroblob(50)"), -EFBIG);
	db_close(db);
}

static void test_memory_is_bounded(void)
{
	struct db *db = open_new("memory");

	ok(db, "pragma temp_store = memory");
	expect_failure(db,
		       "create temp table t as with recursive c(x) as (select 1"
		       " union all select x + 1 from c limit 400)"
		       " select zeroblob(1000000) from c",
		       ENOMEM, "ERROR SQLITE_NOMEM out of memory");
	db_close(db);
}

static void test_transactions(void)
{
	struct db *db = open_new("transactions");

	CHECK(!db_in_transaction(db));
	CHECK(db_sql_modes(db) == SQL_PLAIN_BACKSLASH);
	CHECK_INT(db_server_pid(db), 0);
	ok(db, "begin");
	CHECK(db_in_transaction(db));
	ok(db, "create table t (a)");
	CHECK_INT(run_sql(db, &seen, "selec"), -EINVAL);
	CHECK(db_in_transaction(db));
	ok(db, "rollback");
	CHECK(!db_in_transaction(db));
	expect_rows(db, "select count(*) from sqlite_schema", "0\n");
	db_close(db);
}

static void test_init_sql(void)
{
	struct db_params params = params_of(check_path("init"));
	struct err err = {0};
	struct db *db;

	check_write("init", 0600, "");
	params.init_sql = "create table t (a); insert into t values (5); begin";
	db = open_params(&params);
	expect_rows(db, "select a from t", "5\n");
	CHECK(db_in_transaction(db));
	db_close(db);
	params.init_sql = "selec";
	CHECK_INT(db_open(&db, "sqlite", &params, &err), -EINVAL);
	CHECK_TEXT(err.msg, "init_sql: near \"selec\": syntax error");
}

static void test_read_only(void)
{
	struct db_params params = params_of(check_path("read_only"));
	struct db *db = open_new("read_only");

	ok(db, "create table t (a)");
	db_close(db);
	params.read_only = true;
	db = open_params(&params);
	expect_rows(db, "select count(*) from t", "0\n");
	expect_failure(db, "insert into t values (1)", EACCES,
		       "ERROR SQLITE_READONLY attempt to write a readonly "
		       "database");
	expect_failure(db, "pragma query_only = off", EACCES,
		       "ERROR SQLITE_AUTH not authorized/the connection is "
		       "read-only");
	db_close(db);
}

/* The pattern with the path for its @. */
static void fill(char *out, size_t size, const char *pattern, const char *path)
{
	size_t n = strcspn(pattern, "@");

	(void)snprintf(out, size, "%.*s%s%s", (int)n, pattern, path,
		       pattern + n + 1);
}

/* Nothing a statement does leaves a file, or touches one. */
static void test_no_other_files(void)
{
	static const char *const refused[] = {
		"attach '@' as a",
		"attach 'file:@?mode=rwc' as a",
		"attach \"@\" as a",
		"attach '@' || '' as a",
		"attach 'file::memory:?cache=shared' as a -- @",
		"vacuum into '@'",
		"vacuum into 'file:@?mode=rwc'",
		"vacuum main into '@' || ''",
		"pragma temp_store_directory = '@'",
		"pragma TEMP_STORE_DIRECTORY('@')",
		"pragma main.temp_store_directory = '@'",
		"pragma data_store_directory = '@'",
		"pragma hard_heap_limit = 1 -- @",
		"pragma soft_heap_limit = 1 -- @",
		"pragma trusted_schema = on -- @",
	};
	static const char *const failing[] = {
		"select load_extension('@')",
		"select readfile('@')",
		"select writefile('@', 'x')",
		"select edit('@')",
		"select fts3_tokenizer('simple', x'00') -- @",
		"insert into sqlite_schema values ('table', 'x', 'x', 0, '@')",
		"create virtual table x using csv(filename = '@')",
		"select * from pragma_temp_store_directory('@')",
	};
	struct db *db = open_new("inside");
	const char *target = check_path("outside");
	size_t before = count_files();
	char sql[2048];

	ok(db, "pragma writable_schema = on");
	for (size_t i = 0; i < COUNT(refused) + COUNT(failing); i++) {
		bool refuse = i < COUNT(refused);

		fill(sql, sizeof(sql),
		     refuse ? refused[i] : failing[i - COUNT(refused)], target);
		if (run_sql(db, &seen, sql) != (refuse ? -EACCES : -EINVAL)) {
			(void)fprintf(stderr, "%s: %s\n", sql, seen.err.msg);
			exit(1);
		}
		if (refuse)
			CHECK(strstr(buf_cstr(&seen.failure),
				     "/connfs refuses ") != NULL);
	}
	CHECK(count_files() == before);
	expect_rows(db, "pragma mmap_size = 1000000", "");
	expect_rows(db, "pragma mmap_size", "0\n");
	ok(db, "attach ':memory:' as m");
	ok(db, "create table m.t (a)");
	ok(db, "detach m");
	ok(db, "attach '' as a");
	ok(db, "detach a");
	ok(db, "vacuum");
	CHECK(count_files() == before);
	db_close(db);
}

/* The statement ends with the sink's errno, and the session lives on. */
static void test_sink_error(void)
{
	struct db *db = open_new("sink");

	seen.stop_at = 3;
	CHECK_INT(run_sql(db, &seen,
			  "with recursive c(x) as (select 1 union all "
			  "select x + 1 from c) select x from c"),
		  -ENOSPC);
	seen.stop_at = 0;
	CHECK_TEXT(buf_cstr(&seen.rows), "1\n2\n");
	CHECK(seen.n_ends == 0);
	CHECK(seen.failure.len == 0);
	expect_rows(db, "select 1", "1\n");
	db_close(db);
}

/* Cancels again and again, from before the statement begins until it ended. */
struct canceller {
	struct db *db;
	bool abort;
	atomic_bool stop;
	pthread_t thread;
};

static void *cancel_on(void *arg)
{
	struct canceller *c = arg;
	struct db_params params = params_of("");
	struct err err;

	while (!atomic_load(&c->stop)) {
		if (c->abort)
			db_abort(c->db);
		else
			CHECK_INT(db_cancel(c->db, &params, &err), 0);
		(void)sched_yield();
	}
	return NULL;
}

static void expect_cancelled(struct db *db, bool abort, const char *sql)
{
	struct canceller c = {.db = db, .abort = abort};

	CHECK(pthread_create(&c.thread, NULL, cancel_on, &c) == 0);
	CHECK_INT(run_sql(db, &seen, sql), -ECANCELED);
	atomic_store(&c.stop, true);
	CHECK(pthread_join(c.thread, NULL) == 0);
	CHECK_TEXT(buf_cstr(&seen.failure),
		   "ERROR SQLITE_INTERRUPT interrupted");
	expect_rows(db, "select 1", "1\n");
}

/* Once, at the first row: it must not get lost. */
static void cancel_at_row(void *arg, size_t n_rows)
{
	struct db_params params = params_of("");
	struct err err;

	if (n_rows == 1)
		CHECK_INT(db_cancel(arg, &params, &err), 0);
}

static void test_cancel(void)
{
	static const char endless[] =
		"with recursive c(x) as (select 1 union all select x + 1 from "
		"c) select count(*) from c";
	struct db_params params = params_of(check_path("cancel"));
	struct db *db = open_new("cancel"), *other;
	struct err err;

	params.statement_timeout_ms = 600000; /* the wait for a lock, too */
	for (int i = 0; i < 100; i++)
		expect_cancelled(db, i % 2 == 0, endless);
	/* Too late: the next statement does not get it. */
	CHECK_INT(db_cancel(db, &params, &err), 0);
	db_abort(db);
	expect_rows(db, "select 1", "1\n");
	seen.on_row = cancel_at_row;
	seen.on_row_arg = db;
	CHECK_INT(run_sql(db, &seen,
			  "with recursive c(x) as (select 1 union all select "
			  "x + 1 from c) select x from c"),
		  -ECANCELED);
	seen.on_row = NULL;

	other = open_params(&params);
	ok(db, "create table t (a)");
	ok(db, "begin immediate");
	expect_cancelled(other, false, "insert into t values (1)");
	expect_cancelled(other, true, "insert into t values (1)");
	db_close(other);
	db_close(db);
}

/* As bash would ask for it: wait for the lock, but not for ever. */
static void test_locks(void)
{
	struct db_params params = params_of(check_path("locks"));
	struct db *db = open_new("locks"), *other;
	struct err err = {0};

	params.connect_timeout_ms = SHORT_WAIT_MS;
	params.statement_timeout_ms = SHORT_WAIT_MS;
	other = open_params(&params);
	ok(db, "create table t (a)");
	ok(db, "begin immediate");
	expect_failure(other, "insert into t values (1)", EAGAIN,
		       "ERROR SQLITE_BUSY database is locked");
	ok(other, "pragma busy_timeout = 0");
	expect_failure(other, "insert into t values (1)", EAGAIN,
		       "ERROR SQLITE_BUSY database is locked");
	ok(db, "commit");
	ok(other, "insert into t values (1)");
	db_close(other);
	ok(db, "begin exclusive");
	CHECK_INT(db_open(&other, "sqlite", &params, &err), -EAGAIN);
	CHECK(strstr(err.msg, "locks: database is locked") != NULL);
	db_close(db);
}

static void test_check(void)
{
	struct db *db = open_new("check");
	struct err err;

	ok(db, "create table t (a)");
	CHECK_INT(db_check(db, &err), 0);
	CHECK(rename(check_path("check"), check_path("moved")) == 0);
	CHECK_INT(db_check(db, &err), -ENOTCONN);
	CHECK_TEXT(err.msg, "the database file was replaced or removed");
	check_write("check", 0600, "");
	CHECK_INT(db_check(db, &err), -ENOTCONN);
	db_close(db);
}

int main(int argc, char **argv)
{
	check_init(argc, argv);
	seen_init(&seen);
	test_wrong_host();
	test_odd_names();
	test_values();
	test_utf16();
	test_tags();
	test_errors();
	test_max_row();
	test_memory_is_bounded();
	test_transactions();
	test_init_sql();
	test_read_only();
	test_no_other_files();
	test_sink_error();
	test_cancel();
	test_locks();
	test_check();
	seen_finish(&seen);
	return 0;
}
