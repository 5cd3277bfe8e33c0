/* SPDX-License-Identifier: MIT */
/* What statements do by their words, and what they are called. */
#include "backends/sql.h"

#include "tests/unit/check.h"

struct row {
	const char *text;
	const char *traits; /* r: reads only, k: keeps state */
};

static const struct row postgres_rows[] = {
	{"", ""},
	{";", ""},
	{"-- nothing", ""},
	{"select 1", "r"},
	{"SELECT 1;", "r"},
	{"/* c */ select -- d\n 1", "r"},
	{"/* insert into t */ select 1 -- update t\n", "r"},
	{"values (1), (2)", "r"},
	{"table t", "r"},
	{"show search_path", "r"},
	{"(select 1) union (select 2)", "r"},
	{"((values (1)))", "r"},
	{"select 'insert into t', $$delete from t$$, E'\\'update'", "r"},
	{"select \"insert\", \"update\" from \"into\"", "r"},
	{"select 'a\\'; drop table t; --'", "r"},
	{"select 'a\\' || nextval('s') || '", "k"},
	{"select 'a\\'' || nextval('s')", "k"},
	{"select * from t where a #> '{b}' = '1'", "r"},
	{"select substring(a for 3) from t", "r"},
	{"select created_at, updated, deleted from t", "r"},
	{"select * into t2 from t", ""},
	{"select * into temp t2 from t", "k"},
	{"select * into #t2 from t", "k"},
	{"select * from t for update", ""},
	{"select * from t for no key update", ""},
	{"select * from t FOR SHARE of t", ""},
	{"select * from t for key share", ""},
	{"with x as (select 1) select * from x", "r"},
	{"with x as (insert into t values (1) returning a) table x", ""},
	{"with x as (select 1) delete from t", ""},
	{"select nextval('s')", "k"},
	{"select \"nextval\"('s')", "k"},
	{"select U&\"next\\0076al\"('s')", "k"},
	{"select pg_catalog.setval('s', 1)", "k"},
	{"select set_config('a.b', 'c', false)", "k"},
	{"select setseed(0.5)", "rk"},
	{"select pg_advisory_lock(1)", "k"},
	{"select pg_try_advisory_xact_lock(1)", "k"},
	{"select lo_import('/etc/passwd')", ""},
	{"select dblink_exec('insert into t values (1)')", "k"},
	{"select query_to_xml('delete from t', true, true, '')", "k"},
	{"select pg_terminate_backend(1)", ""},
	{"select pg_notify('a', 'b')", ""},
	{"select pg_sleep(1), now(), pg_backend_pid()", "r"},
	{"select * from pg_temp.t", "rk"},
	{"explain select 1", "r"},
	{"explain insert into t values (1)", "r"},
	{"explain (costs off) delete from t", "r"},
	{"explain verbose update t set a = 1", "r"},
	{"explain analyze select 1", "r"},
	{"explain analyze verbose (select 1)", "r"},
	{"explain analyze insert into t values (1)", ""},
	{"explain (analyze, buffers) insert into t values (1)", ""},
	{"explain (ANALYSE) select 1", "r"},
	{"explain analyze create temp table t as select 1", "k"},
	{"explain analyze execute p", "k"},
	{"copy t to stdout", "r"},
	{"copy t (a, b) to stdout with (format csv)", "r"},
	{"copy (select * from t) to stdout", "r"},
	{"copy (insert into t values (1) returning a) to stdout", ""},
	{"copy t to '/tmp/x'", ""},
	{"copy t to program 'cat'", ""},
	{"copy t from stdin", ""},
	{"copy (select a to from t) to '/tmp/stdout'", ""},
	{"insert into t values (1)", ""},
	{"update t set a = 1", ""},
	{"delete from t", ""},
	{"merge into t using u on true when matched then delete", ""},
	{"truncate t", ""},
	{"create table t (a int)", ""},
	{"create temp table t (a int)", "k"},
	{"create local temporary view v as select 1", "k"},
	{"create table pg_temp.t (a int)", "k"},
	{"create table #t (a int)", "k"},
	{"drop table t", ""},
	{"begin", ""},
	{"commit", ""},
	{"lock table t", ""},
	{"fetch 10 from c", ""},
	{"declare c cursor with hold for select 1", "k"},
	{"set search_path = a", "k"},
	{"reset all", ""},
	{"prepare p as select 1", "k"},
	{"execute p", "k"},
	{"listen c", "k"},
	{"notify c", ""},
	{"load 'auto_explain'", "k"},
	{"call p()", "k"},
	{"do $$ begin end $$", "k"},
	{"vacuum t", ""},
	{"refresh materialized view v", ""},
	{"selec 1", ""},
	{"select", "r"},
	{"'select'", ""},
	{"\"select\"", ""},
};

static const struct row sqlite_rows[] = {
	{"", ""},
	{"select 1;", "r"},
	{"values (1)", "r"},
	{"select replace(a, 'b', 'c') from [insert]", "r"},
	{"select `update` from \"delete\"", "r"},
	{"with x(a) as (select 1) select * from x", "r"},
	{"with x(a) as (select 1) insert into t select * from x", ""},
	{"with x(a) as (select 1) replace into t select * from x", ""},
	{"explain query plan delete from t", "r"},
	{"explain insert into t values (1)", "r"},
	{"pragma table_info(t)", "r"},
	{"pragma main.table_info('t');", "r"},
	{"pragma table_info = t", "k"},
	{"pragma user_version", "r"},
	{"pragma user_version;", "r"},
	{"pragma user_version = 1", "k"},
	{"pragma user_version(1)", "k"},
	{"pragma foreign_keys=on", "k"},
	{"pragma optimize", "k"},
	{"pragma integrity_check", "r"},
	{"pragma wal_checkpoint(truncate)", "k"},
	{"select * from pragma_table_info('t')", "r"},
	{"select load_extension('x')", "k"},
	{"insert into t values (1)", ""},
	{"replace into t values (1)", ""},
	{"update t set a = 1", ""},
	{"delete from t", ""},
	{"create table t (a)", ""},
	{"create temp table t (a)", "k"},
	{"create table temp.t (a)", "k"},
	{"create table \"temp\".t (a)", "k"},
	{"attach ':memory:' as m", "k"},
	{"detach m", "k"},
	{"vacuum", ""},
	{"begin immediate", ""},
	{"savepoint a", ""},
};

struct command {
	const char *text;
	const char *words;
};

static const struct command commands[] = {
	{"", ""},
	{"-- x", ""},
	{"select 1", "SELECT"},
	{"(select 1) union select 2", "SELECT"},
	{"values (1)", "VALUES"},
	{"insert into t values (1)", "INSERT"},
	{"Replace into t values (1)", "REPLACE"},
	{"with a as (select 1), b(c) as (select (2)) update t set a = 1",
	 "UPDATE"},
	{"with replace as (select 1) select * from replace", "SELECT"},
	{"with recursive c(x) as (select 1 union all select x from c) "
	 "delete from t",
	 "DELETE"},
	{"create temp table t (a)", "CREATE TABLE"},
	{"create unique index i on t (a)", "CREATE INDEX"},
	{"create virtual table t using fts5(a)", "CREATE TABLE"},
	{"create view v as select 1", "CREATE VIEW"},
	{"drop trigger t", "DROP TRIGGER"},
	{"alter table t rename to u", "ALTER TABLE"},
	{"begin", "BEGIN"},
	{"create", "CREATE"},
	{"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", ""},
};

static bool same(struct sql_traits a, struct sql_traits b)
{
	return a.reads_only == b.reads_only && a.keeps_state == b.keeps_state;
}

/*
 * The first len bytes, in memory of exactly that size: cut anywhere, a text
 * has some traits, and a comment in front of it changes none.
 */
static void check_cut(enum sql_dialect dialect, const char *text, size_t len)
{
	static const char comment[] = "/* insert */ -- temp\n";
	size_t before = sizeof(comment) - 1;
	char *copy = malloc(before + len);

	CHECK(copy != NULL);
	memcpy(copy, comment, before);
	memcpy(copy + before, text, len);
	CHECK(same(sql_traits(dialect, copy, before + len),
		   sql_traits(dialect, copy + before, len)));
	free(copy);
}

static void check_row(enum sql_dialect dialect, const struct row *row)
{
	size_t len = strlen(row->text);
	struct sql_traits t = sql_traits(dialect, row->text, len);
	char got[3];

	(void)snprintf(got, sizeof(got), "%s%s", t.reads_only ? "r" : "",
		       t.keeps_state ? "k" : "");
	if (strcmp(got, row->traits) != 0)
		(void)fprintf(stderr, "%s\n", row->text);
	CHECK_TEXT(got, row->traits);
	for (size_t cut = 0; cut <= len; cut++)
		check_cut(dialect, row->text, cut);
}

int main(void)
{
	char words[SQL_COMMAND_SIZE];

	for (size_t i = 0; i < COUNT(postgres_rows); i++)
		check_row(SQL_POSTGRES, &postgres_rows[i]);
	for (size_t i = 0; i < COUNT(sqlite_rows); i++)
		check_row(SQL_SQLITE, &sqlite_rows[i]);
	for (size_t i = 0; i < COUNT(commands); i++) {
		sql_command(SQL_SQLITE, commands[i].text,
			    strlen(commands[i].text), words);
		CHECK_TEXT(words, commands[i].words);
	}
	return 0;
}
