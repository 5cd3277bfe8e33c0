/* SPDX-License-Identifier: MIT */
/*
 * The statement splitter in MySQL's dialect: stored programs, DELIMITER, the
 * output of mariadb-dump, and random text in pieces of all sizes.
 *
 *     test_sql_mysql [ROUNDS]
 */
#include "backends/sql.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/err.h"
#include "tests/unit/sql_pieces.h"

enum { DEFAULT_ROUNDS = 40000, MAX_TOKENS = 120 };

struct row {
	const char *text;
	const char *statements; /* each without what ends it, and a | */
	const char *left;       /* null: blank */
};

/* One statement with all its semicolons, and another behind it. */
#define ONE(text)                                           \
	{                                                   \
		text "; select 1;", text "|select 1|", NULL \
	}

static const struct row rows[] = {
	{"select 1;\nselect 2;\n", "select 1|select 2|", NULL},
	{"select 1", "", "select 1"},
	{" \n-- x\n# y\n select 1;", "select 1|", NULL},
	{"/* hint */ select 1;", "/* hint */ select 1|", NULL},
	{"/* open", "", "/* open"},
	{"/* only */ ; -- nothing", "|", NULL},
	{";;", "||", NULL},
	{"--", "", NULL},
	{"--\n--\tx;\n------------ x;\nselect 1;", "select 1|", NULL},
	{"/* c */\n----------\nselect 1;", "select 1|", NULL},
	{"select 1--1;\nselect 2-- ;\n;", "select 1--1|select 2-- ;\n|", NULL},
	{"select 1 # ;\n;", "select 1 # ;\n|", NULL},
	{"select 1;-- x", "select 1|", NULL},
	{"select 1;-", "select 1|", "-"},
	{"select 'a;''b\\';', \"a;\"\"b\\\";\";",
	 "select 'a;''b\\';', "
	 "\"a;\"\"b\\\";\"|",
	 NULL},
	{"select `a;\\`; select 2;", "select `a;\\`|select 2|", NULL},
	{"select /* ; /* */ 1;", "select /* ; /* */ 1|", NULL},
	{"select /*+ ; */ 1 /*/;*/;", "select /*+ ; */ 1 /*/;*/|", NULL},
	{"select (1;", "select (1|", NULL},
	{"select \\N;", "select \\N|", NULL},
	{"select x'41', b'1', 0xff, n'a\\';', _utf8'b';",
	 "select x'41', b'1', 0xff, n'a\\';', _utf8'b'|", NULL},
	{"select \xc3\xa4$1 from d\xe6\x97\xa5;",
	 "select \xc3\xa4$1 from d\xe6\x97\xa5|", NULL},

	/* Executed comments are text, in which the client finds ends. */
	{"/*! select ';' */; /*M!100100 select 2*/;",
	 "/*! select ';' */|/*M!100100 select 2*/|", NULL},
	{"/*!50003 select 1; */ select 2;", "/*!50003 select 1|*/ select 2|",
	 NULL},
	{"/*! select 1 /* ; */ */;", "/*! select 1 /* ; */ */|", NULL},
	{"/*M select ; */ select 1;", "/*M select ; */ select 1|", NULL},
	{"/*M!999999\\- enable the sandbox mode */ \n-- d\nselect 1;",
	 "select 1|", NULL},
	{"/*!999999\\- enable the sandbox mode */ select 1;", "select 1|",
	 NULL},
	{"/*!50003 create procedure p() begin select 1; end */; select 1;",
	 "/*!50003 create procedure p() begin select 1; end */|select 1|",
	 NULL},

	/* Transactions and other things that only look like bodies. */
	{"begin; select 1; end;", "begin|select 1|end|", NULL},
	{"BEGIN WORK; start transaction; xa begin 'x'; xa end 'x';",
	 "BEGIN WORK|start transaction|xa begin 'x'|xa end 'x'|", NULL},
	{"create table if not exists t (a int); drop table if exists t;",
	 "create table if not exists t (a int)|drop table if exists t|", NULL},
	{"select if(1, 2, 3), repeat('a', 3), case 1 when 1 then 2 end;",
	 "select if(1, 2, 3), repeat('a', 3), case 1 when 1 then 2 end|", NULL},
	{"select begin, end, t.case from t as loop_; select 2;",
	 "select begin, end, t.case from t as loop_|select 2|", NULL},
	{"do sleep(0); replace into t values (1);",
	 "do sleep(0)|replace into t values (1)|", NULL},
	{"create definer=a@b sql security definer view v as select case 1 "
	 "when 1 then 2 end; select 1;",
	 "create definer=a@b sql security definer view v as select case 1 "
	 "when 1 then 2 end|select 1|",
	 NULL},
	{"create function f returns string soname 'x.so'; select 1;",
	 "create function f returns string soname 'x.so'|select 1|", NULL},
	{"alter procedure p comment 'x'; alter table t add a int;",
	 "alter procedure p comment 'x'|alter table t add a int|", NULL},

	/* Bodies that are one statement. */
	ONE("create procedure p() select case 1 when 1 then 2 end"),
	ONE("create function f(a int) returns int return a + 1"),
	ONE("create function f(a int) returns set('a', 'b') deterministic "
	    "return case a when 1 then 'a' else if(a, 'a', 'b') end"),
	ONE("create trigger t before insert on `begin` for each row set "
	    "new.a = case when new.a then 1 end"),
	ONE("create trigger t before insert on t for each row follows begin "
	    "set @a = 1"),
	ONE("create event e on schedule every 1 day ends '2030-01-01' do "
	    "delete from t"),

	/* Bodies that are blocks. */
	ONE("create procedure p() begin end"),
	ONE("create procedure p(begin int) begin select begin; end"),
	ONE("create or replace definer = current_user() procedure if not "
	    "exists d.p(in a int) comment 'x' language sql not deterministic "
	    "no sql sql security invoker begin select 1; select 2; end"),
	ONE("CREATE DEFINER=root@localhost PROCEDURE `begin`() BEGIN SELECT 1; "
	    "END"),
	ONE("create definer='a'@'b' aggregate function if not exists f(a int) "
	    "returns int begin return 1; end"),
	ONE("create definer=admin function f() returns type of t.begin begin "
	    "return 1; end"),
	ONE("create procedure p() if a then select 1; end if"),
	ONE("create procedure p() case a when 1 then select 1; else begin "
	    "end; end case"),
	ONE("create procedure p() l: loop leave l; end loop l"),
	ONE("create procedure p() `l`: begin select 1; end `l`"),
	ONE("create procedure p() while a > if(b, 1, 2) do set a = a - 1; end "
	    "while"),
	ONE("create procedure p() repeat set a = a - 1; until a = case b when "
	    "1 then 2 end end repeat"),
	ONE("create procedure p() repeat (select 1); until a end repeat"),
	ONE("create procedure p() for i in 1..10 do select i; end for"),
	ONE("create procedure p() for r in (select a, b from t) do begin "
	    "select r.end; end; end for"),
	ONE("create procedure p() begin not atomic select 1; end"),
	ONE("create procedure p() begin declare a int default 1; declare "
	    "continue handler for not found set a = 1; declare exit handler "
	    "for sqlexception, sqlstate value '23000', 1062 begin select 1; "
	    "end; declare c cursor for select case 1 when 1 then 2 end; open "
	    "c; if a then select 1; elseif b then case when c then select 2; "
	    "end case; else select 3; end if; drop table if exists t; select "
	    "1 as end; do sleep(0); insert into t values (1) on duplicate key "
	    "update a = if(a, 1, 2); end"),
	ONE("create procedure p() begin declare undo handler for c case a when "
	    "1 then select 1; end case; end"),
	ONE("create trigger t after update on t for each row precedes u "
	    "begin set @a = 1; end"),
	ONE("create event e on schedule at current_timestamp + interval case "
	    "1 when 1 then 2 end day on completion preserve do begin select "
	    "1; select 2; end"),
	ONE("alter definer = a event e do begin select 1; end"),
	ONE("begin not atomic declare a int; select 1; end"),
	ONE("BEGIN /* c */ NOT /*! ATOMIC */ select 1; END"),
	ONE("l: begin not atomic select 1; end l"),
	ONE("if 1 then select 1; else select 2; end if"),
	ONE("while 0 do select 1; end while"),
	ONE("for i in 1..2 do select i; end for"),

	/* sql_mode=ORACLE, and packages. */
	ONE("create procedure p as a int := 1; begin a := case a when 1 then "
	    "2 end; <<l>> loop exit l; end loop; for i in 1..2 loop null; end "
	    "loop; exception when others then null; end"),
	ONE("create function f(a int) return int is begin return a; end"),
	ONE("create package pk as procedure a(x int); function b return int; "
	    "end"),
	ONE("create package body pk as v int := 0; procedure a(x int) as w "
	    "int; begin v := x; if x = 1 then null; end if; begin null; end; "
	    "end; function b return int as begin return v; end; begin v := 2; "
	    "end"),
	ONE("create package body pk procedure a() begin select 1; end; "
	    "function f() returns int return 1; function g() returns int "
	    "begin return 1; end; end"),

	/* DELIMITER */
	{"delimiter //\nselect 1; select 2//\n select 3 // Delimiter ;\n"
	 "select 4;",
	 "select 1; select 2|select 3 |select 4|", NULL},
	{"DELIMITER $$ the rest\nselect a$$select 1$$", "select a|select 1|",
	 NULL},
	{"delimiter ;;\nselect 1; ;;\ndelimiter ;\nselect 2;",
	 "select 1; |select 2|", NULL},
	{"delimiter '; ;' x\r\nselect 1; select 2; ;select 3",
	 "select 1; select 2|", "select 3"},
	{"delimiter `//`\nselect 1//", "select 1|", NULL},
	{"delimiter go\nselect 1 as category go", "select 1 as cate|ry |",
	 NULL},
	{"delimiter //\nselect '//', \"//\", `//` -- //\n, 1 /* // */ / 2//",
	 "select '//', \"//\", `//` -- //\n, 1 /* // */ / 2|", NULL},
	{"delimiter //\nselect 1/", "", "select 1/"},
	{"delimiter //\nselect 1; -- x\n", "", "select 1; -- x\n"},
	{"delimiter --\nselect 1-- \nselect 2--", "select 1|select 2|", NULL},
	{"\t delimiter //\n-- x\nDELIMITER ;", "", NULL},
	{"/* c */ delimiter //\nselect 1//", "select 1|", NULL},
	{"delimiter //\ncreate procedure p() begin select 1; end//\nselect "
	 "2//",
	 "create procedure p() begin select 1; end|select 2|", NULL},
	{"select delimiter;\nselect\ndelimiter;",
	 "select delimiter|select\n"
	 "delimiter|",
	 NULL},
};

/* What is refused. */
static const struct {
	const char *text;
	const char *message;
} refused[] = {
#define NOT_RUN                                                            \
	" is a command of the mariadb client, which connfs does not run; " \
	"write SQL"
	{"select 1\\G", "\\G" NOT_RUN},
	{"select 1 \\gselect 2", "\\g" NOT_RUN},
	{"\\. file.sql\n", "\\." NOT_RUN},
	{"\\- x", "\\-" NOT_RUN},
	{"select /*!50003 \\c */;", "\\c" NOT_RUN},
	{"/*!50003\\- x */", "\\-" NOT_RUN},
	{"/*M!999999\\- never closed", "\\-" NOT_RUN},
	{"select 1 \\\n", "\\" NOT_RUN},
#define WHAT_FOLLOWS                                                     \
	"DELIMITER must be followed by a space and a delimiter of 1 to " \
	"15 bytes"
	{"delimiter\nselect 1;", WHAT_FOLLOWS},
	{"delimiter   ", WHAT_FOLLOWS},
	{"delimiter;\n", WHAT_FOLLOWS},
	{"delimiter//\n", WHAT_FOLLOWS},
	{"delimiter ''\n", WHAT_FOLLOWS},
	{"delimiter ' /'\n", WHAT_FOLLOWS},
	{"delimiter 1234567890123456\n", WHAT_FOLLOWS},
	{"delimiter \\\\\n", "DELIMITER cannot contain a backslash"},
	{"delimiter a\\b", "DELIMITER cannot contain a backslash"},
};

/* clang-format off */
/* By mariadb-dump 10.11 --routines --triggers --events --databases. */
static const char dump[] =
"/*M!999999\\- enable the sandbox mode */ \n"
"-- MariaDB dump 10.19  Distrib 10.11.6-MariaDB, for debian-linux-gnu (x86_64)\n"
"--\n"
"-- Host: localhost    Database: d\n"
"-- ------------------------------------------------------\n"
"-- Server version\t10.11.6-MariaDB\n"
"\n"
"/*!40101 SET NAMES utf8mb4 */;\n"
"/*!40101 SET @OLD_SQL_MODE=@@SQL_MODE, SQL_MODE='NO_AUTO_VALUE_ON_ZERO' */;\n"
"\n"
"--\n"
"-- Current Database: `d`\n"
"--\n"
"\n"
"CREATE DATABASE /*!32312 IF NOT EXISTS*/ `d` /*!40100 DEFAULT CHARACTER SET latin1 */;\n"
"\n"
"USE `d`;\n"
"DO SETVAL(`s`, 1, 0);\n"
"LOCK TABLES `t` WRITE;\n"
"/*!40000 ALTER TABLE `t` DISABLE KEYS */;\n"
"INSERT INTO `t` VALUES\n"
"(1,'x;y\\'z','a'),\n"
"(2,'#','--');\n"
"UNLOCK TABLES;\n"
"/*!50003 SET sql_mode              = 'STRICT_TRANS_TABLES' */ ;\n"
"DELIMITER ;;\n"
"/*!50003 CREATE*/ /*!50017 DEFINER=`root`@`localhost`*/ /*!50003 trigger tr before insert on t for each row begin if new.a = '' then set new.a = ';'; end if; end \n"
"*/;;\n"
"DELIMITER ;\n"
"/*!50001 CREATE VIEW `v` AS SELECT\n"
" NULL AS `id` */;\n"
"DELIMITER ;;\n"
"/*!50003 SET sql_mode              = 'STRICT_TRANS_TABLES' */ ;;\n"
"/*!50106 CREATE*/ /*!50117 DEFINER=`root`@`localhost`*/ /*!50106 EVENT `e` ON SCHEDULE EVERY 1 DAY STARTS '2030-01-01 00:00:00' ON COMPLETION NOT PRESERVE ENABLE DO begin select 1; select 2; end \n"
"*/ ;;\n"
"DELIMITER ;\n"
"DELIMITER ;;\n"
"CREATE DEFINER=`root`@`localhost` PROCEDURE `p`(inout x int)\n"
"begin select ';'; case x when 1 then select 1; else begin end; end case; end\n"
";;\n"
"DELIMITER ;\n"
"/*!50001 CREATE ALGORITHM=UNDEFINED */\n"
"/*!50013 DEFINER=`root`@`localhost` SQL SECURITY DEFINER */\n"
"/*!50001 VIEW `v` AS select `t`.`id` AS `id` from `t` */;\n"
"/*!40101 SET SQL_MODE=@OLD_SQL_MODE */;\n"
"\n"
"-- Dump completed on 2030-01-01  0:00:00\n";

static const char dumped[] =
"/*!40101 SET NAMES utf8mb4 */|"
"/*!40101 SET @OLD_SQL_MODE=@@SQL_MODE, SQL_MODE='NO_AUTO_VALUE_ON_ZERO' */|"
"CREATE DATABASE /*!32312 IF NOT EXISTS*/ `d` /*!40100 DEFAULT CHARACTER SET latin1 */|"
"USE `d`|"
"DO SETVAL(`s`, 1, 0)|"
"LOCK TABLES `t` WRITE|"
"/*!40000 ALTER TABLE `t` DISABLE KEYS */|"
"INSERT INTO `t` VALUES\n"
"(1,'x;y\\'z','a'),\n"
"(2,'#','--')|"
"UNLOCK TABLES|"
"/*!50003 SET sql_mode              = 'STRICT_TRANS_TABLES' */ |"
"/*!50003 CREATE*/ /*!50017 DEFINER=`root`@`localhost`*/ /*!50003 trigger tr before insert on t for each row begin if new.a = '' then set new.a = ';'; end if; end \n"
"*/|"
"/*!50001 CREATE VIEW `v` AS SELECT\n"
" NULL AS `id` */|"
"/*!50003 SET sql_mode              = 'STRICT_TRANS_TABLES' */ |"
"/*!50106 CREATE*/ /*!50117 DEFINER=`root`@`localhost`*/ /*!50106 EVENT `e` ON SCHEDULE EVERY 1 DAY STARTS '2030-01-01 00:00:00' ON COMPLETION NOT PRESERVE ENABLE DO begin select 1; select 2; end \n"
"*/ |"
"CREATE DEFINER=`root`@`localhost` PROCEDURE `p`(inout x int)\n"
"begin select ';'; case x when 1 then select 1; else begin end; end case; end\n"
"|"
"/*!50001 CREATE ALGORITHM=UNDEFINED */\n"
"/*!50013 DEFINER=`root`@`localhost` SQL SECURITY DEFINER */\n"
"/*!50001 VIEW `v` AS select `t`.`id` AS `id` from `t` */|"
"/*!40101 SET SQL_MODE=@OLD_SQL_MODE */|";

/* Words that leave the lexer inside something come first: OPENERS of them. */
enum { OPENERS = 8 };

static const char *const words[] = {
	"'", "\"", "`", "/*", "--", "#", "delimiter //\n", "\\'", ";", ";",
	";", ";", "//", "/", "*/", "/*!", "/*M!50003 ", "-- ", "\n", "\n",
	"\r", " ", " ", "\t", ".", "@", ":", ":=", "=", ",", "(", ")", "<", ">",
	"-", "*", "1", "a", "$", "é", "\\N", "M", "!", "begin", " begin ",
	" begin ", " BEGIN NOT ATOMIC ", " end ", " end ", ";end;", " end if;",
	" if ", " then ", " else ", "case", " case ", " when ", " loop ",
	" while ", " do ", " repeat ", " until ", " for ", " for each row ",
	" declare ", " continue handler for ", " sqlstate ", " return ",
	" returns int ", " as ", " is ", "create ", " or replace ",
	" definer=a@b ", " procedure p() ", "create procedure p() begin ",
	"create function f() returns int ", "create trigger t ",
	"create event e ", "create package body p as ", " procedure ",
	" function ", "\ndelimiter ;\n", "\nDELIMITER ;;\n",
	"\ndelimiter go\n", " go ", "select ", "'a;'", "`a`", "/* a */",
	"-- a\n", "# ;\n", "/*!50003 begin */",
};
/* clang-format on */

static void join(char *out, size_t size, const struct result *r,
		 const char *text)
{
	size_t len = 0;

	out[0] = '\0';
	for (size_t i = 0; i < r->n; i++)
		len += (size_t)snprintf(out + len, size - len, "%.*s|",
					(int)r->list[i].len,
					text + r->list[i].body);
}

static void expect(const char *text, unsigned modes, enum cut cut,
		   const char *statements, const char *left)
{
	static struct result r;
	size_t len = strlen(text);
	char all[2 * MAX_TEXT];

	split(&r, SQL_MYSQL, modes, text, len, cut);
	join(all, sizeof(all), &r, text);
	if (strcmp(all, statements) != 0)
		fail(all, text, len);
	if (r.rc != 0)
		fail("refused", text, len);
	if (r.blank != (left == NULL))
		fail("blank or not, against expectation", text, len);
	if (left != NULL && strcmp(text + r.body, left) != 0)
		fail("something else is left", text, len);
}

static void test_refused(const char *text, const char *message)
{
	static const enum cut cuts[] = {WHOLE, BYTES, LINES};

	for (size_t i = 0; i < COUNT(cuts); i++) {
		struct err err = {0};

		split_message(&err, SQL_MYSQL, text, cuts[i]);
		if (err.code != EINVAL || strcmp(err.msg, message) != 0)
			fail(err.msg, text, strlen(text));
	}
}

static void test_modes(void)
{
	static const char text[] = "select 'a\\'; select \"b\\\"; select 1;";

	expect(text, 0, BYTES, "", text);
	expect(text, SQL_PLAIN_BACKSLASH, BYTES,
	       "select 'a\\'|select \"b\\\"|select 1|", NULL);
	expect("select \"b\\\"; select '\\';';", SQL_ANSI_QUOTES, BYTES,
	       "select \"b\\\"|select '\\';'|", NULL);
}

/* A DELIMITER outlives what is forgotten, even its own unfinished line. */
static void test_reset(void)
{
	struct sql_splitter *s = sql_splitter_create(SQL_MYSQL);
	struct sql_piece piece = {0};
	struct err err;

	if (s == NULL)
		exit(1);
	if (sql_splitter_next(s, "delimiter //", 12, &piece, &err) != 0 ||
	    !sql_splitter_blank(s))
		fail("a DELIMITER line is blank", "", 0);
	sql_splitter_reset(s);
	if (sql_splitter_next(s, "select ';", 9, &piece, &err) != 0)
		fail("a string is not complete", "", 0);
	sql_splitter_reset(s);
	if (sql_splitter_next(s, "select 1;//", 11, &piece, &err) != 1 ||
	    piece.body != 0 || piece.len != 9 || piece.end != 11)
		fail("the delimiter was forgotten", "", 0);
	sql_splitter_destroy(s);
}

static void random_round(void)
{
	static struct result whole, other;
	size_t skip = OPENERS * random_below(2);
	size_t n = 1 + random_below(MAX_TOKENS), len = 0;
	unsigned modes = (unsigned)random_below(4);
	char text[MAX_TEXT];

	for (size_t i = 0; i < n; i++) {
		const char *word =
			words[skip + random_below(COUNT(words) - skip)];

		if (len + strlen(word) >= sizeof(text))
			break;
		len += (size_t)snprintf(text + len, sizeof(text) - len, "%s",
					word);
	}
	split(&whole, SQL_MYSQL, modes, text, len, WHOLE);
	split(&other, SQL_MYSQL, modes, text, len, BYTES);
	expect_same(&whole, &other, text, len);
	split(&other, SQL_MYSQL, modes, text, len, LINES);
	expect_same(&whole, &other, text, len);
	split(&other, SQL_MYSQL, modes, text, len, PIECES);
	expect_same(&whole, &other, text, len);
}

static void test_all_linear(void)
{
	test_linear(SQL_MYSQL, "select '", ';');
	test_linear(SQL_MYSQL, "select '", '\\');
	test_linear(SQL_MYSQL, "select `", ';');
	test_linear(SQL_MYSQL, "/*", '*');
	test_linear(SQL_MYSQL, "/*!", '1');
	test_linear(SQL_MYSQL, "x", ' ');
	test_linear(SQL_MYSQL, "x", 'x');
	test_linear(SQL_MYSQL, "create procedure p() begin ", ';');
	test_linear(SQL_MYSQL, "delimiter xxxxxxxxxxxxxx;\nselect ", 'x');
}

int main(int argc, char **argv)
{
	static const enum cut cuts[] = {WHOLE, BYTES, LINES, PIECES};
	unsigned long rounds = DEFAULT_ROUNDS;

	if (argc > 1)
		rounds = strtoul(argv[1], NULL, 10);
	for (size_t c = 0; c < COUNT(cuts); c++) {
		for (size_t i = 0; i < COUNT(rows); i++)
			expect(rows[i].text, 0, cuts[c], rows[i].statements,
			       rows[i].left);
		expect(dump, 0, cuts[c], dumped, NULL);
	}
	for (size_t i = 0; i < COUNT(refused); i++)
		test_refused(refused[i].text, refused[i].message);
	test_modes();
	test_reset();
	test_all_linear();
	for (unsigned long i = 0; i < rounds; i++)
		random_round();
	(void)printf("%lu rounds\n", rounds);
	return 0;
}
