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
	{"select set_limit(0.5)", "rk"},
	{"select pg_create_physical_replication_slot('a', false, true)", "k"},
	{"select pg_replication_origin_session_setup('a')", "k"},
	{"select pg_backup_start('a')", "k"},
	{"insert into t select set_config('a.b', 'c', false)", "k"},
	{"delete from t returning pg_advisory_lock(id)", "k"},
	{"set role r", "k"},
	{"set session authorization u", "k"},
	{"select currval('s'), lastval()", "r"},
	{"unlisten *", ""},
	{"deallocate p", ""},
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

static const struct row mysql_rows[] = {
	{"", ""},
	{"select 1", "r"},
	{"SELECT 1;", "r"},
	{"(select 1) union (select 2)", "r"},
	{"values (1)", "r"},
	{"table t", "r"},
	{"with a as (select 1) select * from a", "r"},
	{"with a as (select 1) update t set b = 1", ""},
	{"with a as (select 1) delete from t", ""},
	{"show create table t", "r"},
	{"show warnings", "r"},
	{"help 'select'", "r"},
	{"describe t", "r"},
	{"desc insert into t values (1)", "r"},
	{"explain t", "r"},
	{"explain extended select 1", "r"},
	{"explain format=json delete from t", "r"},
	{"explain analyze select 1", "r"},
	{"explain analyze format=tree delete from t", ""},
	{"analyze select 1", "r"},
	{"analyze format=json (select 1)", "r"},
	{"analyze update t set a = 1", ""},
	{"analyze select get_lock('a', 1)", "k"},
	{"analyze table t", ""},
	{"analyze local table t", ""},
	{"select * from t into outfile '/tmp/x'", ""},
	{"select 1 into dumpfile '/tmp/x'", ""},
	{"select 1 into @a", "k"},
	{"select 1, 2 into a, @b", "k"},
	{"select * from t for update", ""},
	{"select * from t for share skip locked", ""},
	{"select * from t lock in share mode", ""},
	{"select * from t for system_time all", "r"},
	{"select substring(a for 3), `lock`, `update` from t", "r"},
	{"select @a, @@sql_mode", "r"},
	{"select @a := 1", "k"},
	{"update t set a = (@b := @b + 1)", "k"},
	{"select get_lock('a', 1)", "k"},
	{"select `get_lock`('a', 1)", "k"},
	{"select release_all_locks()", "k"},
	{"select is_free_lock('a'), sleep(1), benchmark(1, 1)", "r"},
	{"select nextval(s)", "k"},
	{"select next value for s", "k"},
	{"select setval(s, 1)", "k"},
	{"select lastval(s), previous value for s", "r"},
	{"select last_insert_id(), found_rows(), row_count()", "r"},
	{"select last_insert_id(5)", "k"},
	{"update t set a = last_insert_id(a + 1)", "k"},
	{"select sql_calc_found_rows * from t limit 1", "rk"},
	{"select insert('a', 1, 2, 'b'), truncate(1.5, 1), replace(a, b, c)",
	 "r"},
	{"select 'insert into t', \"get_lock('a')\"", "r"},
	{"select 'a\\' into @a -- '", "k"},
	{"select 'a\\'' into @a -- '", "k"},
	{"select \"a\\\" into @a -- \"", "k"},
	{"select /* insert into t */ 1 # update t", "r"},
	{"select --1", "r"},
	{"insert into t values (1)", ""},
	{"replace into t values (1)", ""},
	{"update t set a = 1", ""},
	{"delete from t", ""},
	{"truncate t", ""},
	{"create table t (a int)", ""},
	{"create temporary table t (a int)", "k"},
	{"drop temporary table t", "k"},
	{"begin", ""},
	{"begin work", ""},
	{"start transaction", ""},
	{"commit", ""},
	{"savepoint a", ""},
	{"xa start 'a'", "k"},
	{"begin not atomic select 1; end", "k"},
	{"if 1 then select 1; end if", "k"},
	{"l: loop leave l; end loop", "k"},
	{"`l`: loop leave l; end loop", "k"},
	{"set @a = 1", "k"},
	{"set names utf8mb4", "k"},
	{"set statement max_statement_time = 1 for select 1", "k"},
	{"use d", "k"},
	{"prepare p from 'select 1'", "k"},
	{"execute p", "k"},
	{"execute immediate 'select 1'", "k"},
	{"lock tables t read", "k"},
	{"flush tables with read lock", "k"},
	{"backup lock t", "k"},
	{"handler t open", "k"},
	{"call p()", "k"},
	{"do get_lock('a', 1)", "k"},
	{"do sleep(1)", ""},
	{"load data infile 'x' into table t (@a)", "k"},
	{"get diagnostics @a = row_count", "k"},
	{"selec 1", ""},
	{"`select`", ""},
	{"/*! select 1 */", "r"},
	{"/*!40101 SET NAMES utf8mb4 */", "k"},
	{"select /*!40001 SQL_NO_CACHE */ * from `t`", "r"},
	{"select 1 /*! into @a */", "k"},
	{"create /*!40000 temporary */ table t (a int)", "k"},
	{"CREATE DATABASE /*!32312 IF NOT EXISTS*/ `d`", ""},
	{"/*!50001 DROP VIEW IF EXISTS `v`*/", ""},
	{"/*!999999 select 1 */ call p()", "k"},
	{"/*!999999 select */ /*!50000 call */ p()", "k"},
	{"/*!999999 select 1 */ create table t (a int)", ""},
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

static const struct command mysql_commands[] = {
	{"select 1", "SELECT"},
	{"with a as (select 1) select * from a", "SELECT"},
	{"show tables", "SHOW"},
	{"create or replace temporary table t (a int)", "CREATE TABLE"},
	{"create fulltext index i on t (a)", "CREATE INDEX"},
	{"create algorithm=merge definer=`a`@`b` sql security invoker view v "
	 "as select 1",
	 "CREATE VIEW"},
	{"/*!50003 CREATE*/ /*!50017 DEFINER=`a`@`b`*/ /*!50003 TRIGGER t",
	 "CREATE TRIGGER"},
	{"create package body p as end", "CREATE PACKAGE"},
	{"alter ignore table t add a int", "ALTER TABLE"},
	{"drop prepare p", "DROP PREPARE"},
	{"create what (table)", "CREATE"},
	{"begin not atomic select 1; end", "BEGIN"},
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

static void check_command(enum sql_dialect dialect, const struct command *c)
{
	char words[SQL_COMMAND_SIZE];

	sql_command(dialect, c->text, strlen(c->text), words);
	CHECK_TEXT(words, c->words);
}

int main(void)
{
	for (size_t i = 0; i < COUNT(postgres_rows); i++)
		check_row(SQL_POSTGRES, &postgres_rows[i]);
	for (size_t i = 0; i < COUNT(sqlite_rows); i++)
		check_row(SQL_SQLITE, &sqlite_rows[i]);
	for (size_t i = 0; i < COUNT(mysql_rows); i++)
		check_row(SQL_MYSQL, &mysql_rows[i]);
	for (size_t i = 0; i < COUNT(commands); i++)
		check_command(SQL_SQLITE, &commands[i]);
	for (size_t i = 0; i < COUNT(mysql_commands); i++)
		check_command(SQL_MYSQL, &mysql_commands[i]);
	return 0;
}
