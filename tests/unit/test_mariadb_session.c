/* SPDX-License-Identifier: MIT */
/*
 * The sessions of the MariaDB driver: logging in, handing over, and what they
 * share with others. With a real server: see mariadb_server.h.
 */
#include <errno.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backends/db.h"
#include "backends/sql.h"
#include "common/err.h"
#include "tests/unit/mariadb_server.h"
#include "tests/unit/pg_sink.h"
#include "tests/unit/session_cases.h"

static const char my_name[] =
	"select attr_value from performance_schema.session_connect_attrs "
	"where attr_name = 'program_name' and processlist_id = connection_id()";

/* A sleep that is cancelled does not fail. */
static const struct session_words words = {
	.busy = "select sum(a.seq * b.seq) from "
		"seq_1_to_1000000 a, seq_1_to_1000000 b",
	.sleep = "select sleep(600)",
	.brief = "select 1",
	.rows = "select seq from seq_1_to_1000000000",
	.reads = "select count(*) from mysql.user",
	.cancelled = "70100",
};

static void test_settings_of_a_session(void)
{
	struct db_params params = server_params();
	struct client c;
	char *id;

	params.read_only = true;
	params.statement_timeout_ms = 50;
	params.init_sql = "set @a = ';', @b = 2; select 1; set sql_mode = ''";
	c = client_with(&params);
	CHECK_ROWS(&c, my_name, "connfs-test\n");
	CHECK_ROWS(&c, "select @a, @b, @@sql_mode, @@character_set_client",
		   ";|2||utf8mb4\n");
	CHECK_INT(run(&c, "create table never (a int)"), -EACCES);
	CHECK_TEXT(c.seen.err.sqlstate, "25006");
	CHECK_INT(run(&c, "select sleep(600)"), -ETIMEDOUT);
	CHECK_INT(run(&c, "select 1; select 2"), -EINVAL);
	id = ask(c.db, "select connection_id()");
	CHECK_INT(db_server_pid(c.db), strtol(id, NULL, 10));
	free(id);
	client_close(&c);
}

static void test_name_is_cut_between_characters(void)
{
	struct db_params params = server_params();
	char name[257];
	struct client c;

	memset(name, 'x', 254);
	memcpy(name + 254, "\xc3\xa4", 3);
	params.application_name = name;
	c = client_with(&params);
	name[254] = '\n';
	name[255] = '\0';
	CHECK_ROWS(&c, my_name, name);
	client_close(&c);
}

static void test_init_sql_that_fails(void)
{
	struct db_params params = server_params();

	params.init_sql = "set @a = 1; selec";
	CHECK_OPEN_FAILS(&params, EINVAL, "init_sql: You have an error");
}

static void test_login_refused(void)
{
	struct db_params params = server_params();

	params.password = "wrong";
	CHECK_OPEN_FAILS(&params, EACCES, "Access denied");
	params = server_tls_params("127.0.0.1", "require");
	params.password = NULL;
	CHECK_OPEN_FAILS(&params, EACCES, "Access denied");
	params.user = "nobody";
	CHECK_OPEN_FAILS(&params, EACCES, "Access denied");
	params = server_params();
	params.database = "no_such_database";
	CHECK_OPEN_FAILS(&params, EINVAL, "Unknown database");
}

static char *cipher(struct client *c)
{
	return ask(c->db, "select variable_value from "
			  "information_schema.session_status "
			  "where variable_name = 'SSL_CIPHER'");
}

static void check_tls(const char *host, const char *sslmode, const char *ca,
		      bool encrypted)
{
	struct db_params params = server_tls_params(host, sslmode);
	struct client c;
	char *text;

	params.ca_cert = ca;
	c = client_with(&params);
	text = cipher(&c);
	CHECK_INT(*text != '\0', encrypted);
	free(text);
	client_close(&c);
}

static void test_sslmode(void)
{
	struct db_params params;

	check_tls("127.0.0.1", "disable", NULL, false);
	check_tls("127.0.0.1", NULL, NULL, true);
	check_tls("127.0.0.1", "prefer", NULL, true);
	check_tls("127.0.0.1", "require", NULL, true);
	check_tls("127.0.0.1", "verify-ca", server_ca(), true);
	check_tls("localhost", "verify-full", server_ca(), true);

	params = server_tls_params("other.example", "verify-full");
	params.connect_host = "127.0.0.1";
	params.connect_port = params.port;
	params.ca_cert = server_ca();
	CHECK_OPEN_FAILS(&params, EHOSTUNREACH, "is not for other.example");
	params.ca_cert = NULL; /* the system's */
	CHECK_OPEN_FAILS(&params, EHOSTUNREACH, "certificate");
	params.sslmode = "verify-ca";
	CHECK_OPEN_FAILS(&params, EHOSTUNREACH, "certificate");
	params.ca_cert = "/nonexistent";
	CHECK_OPEN_FAILS(&params, ENOENT, "ca_cert /nonexistent");
	params.sslmode = "loud";
	CHECK_OPEN_FAILS(&params, EINVAL, "sslmode loud");
}

static void test_name_is_verified_where_another_is_dialled(void)
{
	struct db_params params = server_tls_params("localhost", "verify-full");
	struct client c;

	params.ca_cert = server_ca();
	params.connect_host = "127.0.0.1";
	params.connect_port = params.port;
	params.port = 1;
	c = client_with(&params);
	check_alive(&c);
	client_close(&c);
	params.host = "db.example";
	CHECK_OPEN_FAILS(&params, EHOSTUNREACH, "is not for db.example");
}

/* Of the certificate in the file that the server has it from. */
static void read_fingerprint(char hex[2 * EVP_MAX_MD_SIZE + 1])
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	struct client c = client_open();
	char *path = ask(c.db, "select @@ssl_cert");
	FILE *f = fopen(path, "re");
	unsigned len = 0;
	X509 *cert;

	CHECK(f != NULL);
	cert = PEM_read_X509(f, NULL, NULL, NULL);
	CHECK(cert != NULL);
	CHECK(X509_digest(cert, EVP_sha256(), digest, &len) == 1);
	for (unsigned i = 0; i < len; i++)
		(void)snprintf(hex + (size_t)2 * i, 3, "%02x", digest[i]);
	X509_free(cert);
	(void)fclose(f);
	free(path);
	client_close(&c);
}

static void test_fingerprint(void)
{
	struct db_params params = server_tls_params("db.example", "require");
	char fingerprint[2 * EVP_MAX_MD_SIZE + 1];
	struct client c;

	read_fingerprint(fingerprint);
	params.connect_host = "127.0.0.1";
	params.tls_fingerprint = fingerprint;
	c = client_with(&params);
	check_alive(&c);
	client_close(&c);
	params.tls_fingerprint = "0123456789abcdef0123456789abcdef"
				 "0123456789abcdef0123456789abcdef";
	CHECK_OPEN_FAILS(&params, EHOSTUNREACH, "tls_fingerprint");
	params.sslmode = "prefer";
	CHECK_OPEN_FAILS(&params, EHOSTUNREACH, "tls_fingerprint");
}

static void test_environment_has_no_say(void)
{
	CHECK(getenv("MYSQL_PWD") == NULL);
	CHECK(getenv("LIBMYSQL_PLUGINS") == NULL);
	CHECK(getenv("CONNFS_TEST_MARIADB_USER") != NULL);
}

static void test_no_host_and_no_user(void)
{
	struct db_params params = server_params();

	params.host = "";
	CHECK_OPEN_FAILS(&params, EINVAL, "no host");
	params.host = "127.0.0.1";
	params.user = "";
	CHECK_OPEN_FAILS(&params, EINVAL, "no user");
}

static void test_reset_of_a_session_that_is_lost(void)
{
	const struct db_params params = server_params();
	struct client c = client_open();
	struct client lost = client_open();

	server_end_session(&c, lost.db);
	CHECK_INT(run(&lost, "select 1"), -ENOTCONN);
	CHECK_INT(db_reset(lost.db, &params, &lost.seen.err), -ENOTCONN);
	client_close(&lost);
	client_close(&c);
}

static void leave_things_behind(struct client *c)
{
	CHECK_INT(run(c, "set @a = 1"), 0);
	CHECK_INT(run(c, "set sql_mode = 'NO_BACKSLASH_ESCAPES,ANSI_QUOTES'"),
		  0);
	CHECK_INT(run(c, "create temporary table left_behind (a int)"), 0);
	CHECK_INT(run(c, "prepare p from 'select 1'"), 0);
	CHECK_INT(run(c, "select get_lock('left_behind', 0)"), 0);
	CHECK_INT(run(c, "start transaction"), 0);
	CHECK_INT(run(c, "insert into kept values (1)"), 0);
	CHECK_INT(run(c, "use information_schema"), 0);
	CHECK(db_in_transaction(c->db));
	CHECK_INT((long)db_sql_modes(c->db),
		  SQL_PLAIN_BACKSLASH | SQL_ANSI_QUOTES);
}

static void test_reset_leaves_nothing(void)
{
	struct db_params params = server_params();
	struct client c = client_with(&params);
	int pid = db_server_pid(c.db);

	CHECK_INT(run(&c, "create or replace table kept (a int)"), 0);
	leave_things_behind(&c);
	params.application_name = "another";
	params.init_sql = "set @b = 2";
	params.statement_timeout_ms = 100;
	params.read_only = true;
	CHECK_INT(db_reset(c.db, &params, &c.seen.err), 0);
	CHECK(!db_in_transaction(c.db) && db_sql_modes(c.db) == 0);
	CHECK_INT(db_server_pid(c.db), pid);
	CHECK_ROWS(&c, my_name, "another\n");
	CHECK_ROWS(&c,
		   "select database() = 'information_schema', @a, @b, "
		   "is_free_lock('left_behind'), @@character_set_client",
		   "0|<null>|2|1|utf8mb4\n");
	CHECK_INT(run(&c, "select * from left_behind"), -EINVAL);
	CHECK_INT(run(&c, "execute p"), -EINVAL);
	CHECK_ROWS(&c, "select count(*) from kept", "0\n");
	CHECK_INT(run(&c, "insert into kept values (1)"), -EACCES);
	CHECK_INT(run(&c, "select sleep(600)"), -ETIMEDOUT);
	check_alive(&c);

	params = server_params();
	CHECK_INT(db_reset(c.db, &params, &c.seen.err), 0);
	CHECK_INT(run(&c, "drop table kept"), 0);
	client_close(&c);
}

static void test_reset_with_a_wrong_password(void)
{
	struct db_params params = server_tls_params("127.0.0.1", "require");
	struct client c = client_with(&params);
	struct err err = {0};

	params.password = "wrong";
	CHECK_INT(db_reset(c.db, &params, &err), -EACCES);
	CHECK(strstr(err.msg, "Access denied") != NULL);
	client_close(&c);
}

static void test_all(void)
{
	test_settings_of_a_session();
	test_environment_has_no_say();
	test_name_is_cut_between_characters();
	test_init_sql_that_fails();
	test_login_refused();
	test_sslmode();
	test_name_is_verified_where_another_is_dialled();
	test_fingerprint();
	test_no_host_and_no_user();
	test_reset_of_a_session_that_is_lost();
	test_reset_leaves_nothing();
	test_reset_with_a_wrong_password();
	session_cases(&words);
}

int main(void)
{
	CHECK(setenv("MYSQL_PWD", "wrong", 1) == 0);
	CHECK(setenv("LIBMYSQL_PLUGINS", "dialog", 1) == 0);
	test_all();
	return 0;
}
