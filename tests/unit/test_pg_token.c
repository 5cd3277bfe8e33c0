/* SPDX-License-Identifier: MIT */
/*
 * Tokens, which the PostgreSQL driver sends over TLS only, and servers that
 * are not quite PostgreSQL: Aurora DSQL, Redshift. They are the test's own.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include "backends/db.h"
#include "common/buf.h"
#include "common/err.h"
#include "tests/unit/loopback.h"
#include "tests/unit/pg_sink.h"
#include "tests/unit/tls_server.h"

enum {
	MAX_HEARD = 1024 * 1024,
	MESSAGE_MAX = 65536,
	SSL_REQUEST_CODE = 80877103,
	ASK_PASSWORD = 3,
};

static const char token[] = "db.example:5432/?Action=connect&X-Amz-Signature=1";
static const char cluster[] = "abcdefghijklmnopqrstuvwxyz";

/* One login, and then it says that every statement is complete. */
struct server {
	const struct identity *id; /* null: there is no TLS */
	const char *refusal;       /* SQLSTATE and text; null: it lets in */
	const char *encoding;      /* that it reports */
	int fd;
	uint16_t port;
	pthread_t thread;
	struct buf startup;   /* parameters: name=value, a line each */
	struct buf passwords; /* without TLS or with it */
	struct buf sql;       /* statements, a line each */
	char sni[64];
};

static struct identity good;  /* of db.example */
static struct identity other; /* of somebody else */

static void put(struct buf *b, char type, const void *body, size_t len)
{
	const uint32_t size = htonl((uint32_t)len + 4);

	buf_putc(b, type);
	buf_put(b, &size, sizeof(size));
	buf_put(b, body, len);
}

static bool send_all(struct peer *p, struct buf *b)
{
	bool sent = peer_write(p, b->data, b->len);

	buf_finish(b);
	return sent;
}

static bool send_refusal(struct peer *p, const char *refusal)
{
	struct buf out, body;

	buf_init(&out, MESSAGE_MAX);
	buf_init(&body, MESSAGE_MAX);
	buf_put(&body, "SFATAL\0VFATAL", 14);
	buf_printf(&body, "C%.5s", refusal);
	buf_putc(&body, '\0');
	buf_printf(&body, "M%s", refusal + 6);
	buf_put(&body, "\0", 2);
	put(&out, 'E', body.data, body.len);
	buf_finish(&body);
	return send_all(p, &out);
}

static bool greet(struct peer *p, const char *encoding)
{
	static const char key[8] = {0, 0, 0, 7, 1, 2, 3, 4};
	struct buf out, report;

	buf_init(&out, MESSAGE_MAX);
	buf_init(&report, MESSAGE_MAX);
	put(&out, 'R', "\0\0\0", 4);
	put(&out, 'S',
	    "server_version\0"
	    "16.9",
	    20);
	buf_put(&report, "client_encoding", 16);
	buf_put(&report, encoding, strlen(encoding) + 1);
	put(&out, 'S', report.data, report.len);
	put(&out, 'K', key, sizeof(key));
	put(&out, 'Z', "I", 1);
	buf_finish(&report);
	return send_all(p, &out);
}

/* The length of what follows, which is in body; -1: the client has gone. */
static ssize_t read_body(struct peer *p, char *body)
{
	uint32_t len;

	if (!peer_read(p, &len, sizeof(len)))
		return -1;
	len = ntohl(len) - 4;
	CHECK(len < MESSAGE_MAX);
	return peer_read(p, body, len) ? (ssize_t)len : -1;
}

/* Startup packets, until one that begins a session. */
static bool read_startup(struct server *s, struct peer *p, char *body)
{
	uint32_t code;

	while (read_body(p, body) >= 4) {
		memcpy(&code, body, sizeof(code));
		if (ntohl(code) != SSL_REQUEST_CODE) {
			for (char *at = body + 4; *at != '\0';
			     at += strlen(at) + 1) {
				buf_printf(&s->startup, "%s=", at);
				at += strlen(at) + 1;
				buf_printf(&s->startup, "%s\n", at);
			}
			return true;
		}
		if (!peer_write(p, s->id != NULL ? "S" : "N", 1))
			return false;
		if (s->id != NULL && !peer_start_tls(p, s->id))
			return false;
	}
	return false;
}

static void note_sni(struct server *s, const struct peer *p)
{
	const char *sni = NULL;

	if (p->ssl != NULL)
		sni = SSL_get_servername(p->ssl, TLSEXT_NAMETYPE_host_name);
	(void)snprintf(s->sni, sizeof(s->sni), "%s", sni != NULL ? sni : "");
}

/* The password that it asks for. */
static bool read_password(struct server *s, struct peer *p, char *body)
{
	const uint32_t ask[] = {htonl(ASK_PASSWORD)};
	struct buf out;
	ssize_t len;
	char type;

	buf_init(&out, MESSAGE_MAX);
	put(&out, 'R', ask, sizeof(ask));
	if (!send_all(p, &out) || !peer_read(p, &type, 1))
		return false;
	len = read_body(p, body);
	if (len < 0)
		return false;
	buf_put(&s->passwords, body, (size_t)len);
	return true;
}

static void serve_statements(struct server *s, struct peer *p, char *body)
{
	struct buf out;
	char type;

	while (peer_read(p, &type, 1) && read_body(p, body) >= 0) {
		if (type == 'P') /* behind the name of it, "" */
			buf_printf(&s->sql, "%s\n", body + 1);
		if (type != 'S')
			continue;
		buf_init(&out, MESSAGE_MAX);
		put(&out, '1', NULL, 0);
		put(&out, '2', NULL, 0);
		put(&out, 'n', NULL, 0);
		put(&out, 'C', "DONE", 5);
		put(&out, 'Z', "I", 1);
		if (!send_all(p, &out))
			break;
	}
}

static void *serve(void *arg)
{
	struct server *s = arg;
	struct peer p = {.fd = accept4(s->fd, NULL, NULL, SOCK_CLOEXEC)};
	static char body[MESSAGE_MAX];

	CHECK(p.fd >= 0);
	if (read_startup(s, &p, body)) {
		note_sni(s, &p);
		if (read_password(s, &p, body)) {
			if (s->refusal != NULL)
				(void)send_refusal(&p, s->refusal);
			else if (greet(&p, s->encoding))
				serve_statements(s, &p, body);
		}
	}
	peer_close(&p);
	return NULL;
}

static void start(struct server *s, const struct identity *id)
{
	*s = (struct server){.id = id, .encoding = "UTF8"};
	buf_init(&s->startup, MAX_HEARD);
	buf_init(&s->passwords, MAX_HEARD);
	buf_init(&s->sql, MAX_HEARD);
	s->fd = loopback_socket(true, &s->port);
}

static void go(struct server *s, struct db_params *params)
{
	params->connect_port = s->port;
	CHECK(pthread_create(&s->thread, NULL, serve, s) == 0);
}

static void join(struct server *s)
{
	CHECK(pthread_join(s->thread, NULL) == 0);
	(void)close(s->fd);
}

static void finish(struct server *s)
{
	buf_finish(&s->startup);
	buf_finish(&s->passwords);
	buf_finish(&s->sql);
}

static struct db_params token_params(void)
{
	return (struct db_params){
		.host = "db.example",
		.connect_host = "127.0.0.1",
		.port = 5432,
		.user = "app",
		.database = "d",
		.password = token,
		.password_is_token = true,
		.sslmode = "verify-full",
		.ca_cert = good.path,
		.application_name = "lv-job",
		.connect_timeout_ms = 20000,
		.statement_timeout_ms = 5000,
		.max_row = 65536,
	};
}

static void check_fails(const char *backend, const struct db_params *params,
			int code, const char *words)
{
	struct err err = {0};
	struct db *db;

	CHECK_INT(db_open(&db, backend, params, &err), -code);
	if (strstr(err.msg, words) == NULL)
		CHECK_TEXT(err.msg, words);
}

static void test_refused_before_it_dials(void)
{
	static const char *const modes[] = {NULL, "disable", "allow", "prefer"};
	struct db_params params = token_params();
	int fd = loopback_socket(true, &params.connect_port);
	struct pollfd pfd = {.fd = fd, .events = POLLIN};

	params.ca_cert = NULL;
	for (size_t i = 0; i < COUNT(modes); i++) {
		params.sslmode = modes[i];
		check_fails("postgres", &params, EACCES,
			    "sslmode: a token is sent with verify-full");
	}
	params = token_params();
	params.connect_host = "/nonexistent/socket";
	check_fails("postgres", &params, EACCES, "through a unix socket");
	params.connect_host = NULL;
	params.host = "/nonexistent/socket";
	check_fails("postgres", &params, EACCES, "through a unix socket");

	params = token_params();
	params.host = "10.0.0.1";
	check_fails("dsql", &params, EINVAL, "host: must be the name");
	params.host = "fe80::1";
	check_fails("dsql", &params, EINVAL, "host: must be the name");
	params = token_params();
	params.dsql_id = "abc -c x=y";
	check_fails("dsql", &params, EINVAL, "small letters and digits");
	params.dsql_id = "";
	check_fails("dsql", &params, EINVAL, "small letters and digits");
	CHECK(poll(&pfd, 1, 0) == 0);
	(void)close(fd);
}

/* Whoever it is, it does not get to know the token. */
static void check_stranger(const struct identity *id, const char *backend,
			   struct db_params params, const char *words)
{
	struct server server;

	start(&server, id);
	go(&server, &params);
	check_fails(backend, &params, EHOSTUNREACH, words);
	join(&server);
	CHECK(server.passwords.len == 0);
	finish(&server);
}

static void test_strangers(void)
{
	static const char *const modes[] = {"require", "verify-ca",
					    "verify-full"};
	struct db_params params = token_params();

	for (size_t i = 0; i < COUNT(modes); i++) {
		params.sslmode = modes[i];
		check_stranger(NULL, "postgres", params,
			       "server does not support SSL");
	}
	params = token_params();
	check_stranger(&other, "postgres", params, "certificate verify failed");
	check_stranger(&other, "postgres", params,
		       "rds.amazonaws.com/global/global-bundle.pem as ca_cert");
	check_stranger(&other, "dsql", params, "leave ca_cert out");
	check_stranger(&other, "redshift", params, "leave ca_cert out");
	params.host = "elsewhere.example";
	check_stranger(&good, "postgres", params,
		       "does not match host name \"elsewhere.example\"; host "
		       "must be the server's own name");
}

/* Logs in, and runs what differs; the server is to be joined. */
static struct db *log_in(struct server *s, const char *backend,
			 struct db_params *params)
{
	struct err err = {0};
	struct db *db;

	go(s, params);
	if (db_open(&db, backend, params, &err) < 0)
		CHECK_TEXT(err.msg, "");
	CHECK(db != NULL);
	return db;
}

static void check_known(struct db_params params)
{
	struct server server;

	start(&server, &good);
	db_close(log_in(&server, "postgres", &params));
	join(&server);
	CHECK_TEXT(buf_cstr(&server.passwords), params.password);
	CHECK_TEXT(server.sni, params.host);
	finish(&server);
}

static void test_servers_that_are_known(void)
{
	struct db_params params = token_params();
	char *large = malloc(6001);

	check_known(params);
	params.sslmode = "verify-ca";
	check_known(params);
	params.sslmode = "require";
	params.ca_cert = NULL;
	check_known(params);

	params = token_params();
	CHECK(large != NULL);
	memset(large, 'T', 6000);
	large[6000] = '\0';
	params.password = large;
	check_known(params);
	free(large);
}

static void check_startup(const char *backend, struct db_params params,
			  const char *expected)
{
	struct server server;

	start(&server, &good);
	db_close(log_in(&server, backend, &params));
	join(&server);
	CHECK_TEXT(buf_cstr(&server.startup), expected);
	finish(&server);
}

/* It refuses whoever asks for a setting that it does not know. */
static void test_startup(void)
{
	static const char plain[] = "user=app\ndatabase=d\n"
				    "application_name=lv-job\n"
				    "client_encoding=UTF8\n";
	static const char with_id[] =
		"user=app\ndatabase=d\n"
		"options=-c amzn-cluster-id=abcdefghijklmnopqrstuvwxyz\n"
		"application_name=lv-job\nclient_encoding=UTF8\n";
	static const char options[] =
		"user=app\ndatabase=d\n"
		"options= -c statement_timeout=5000"
		" -c default_transaction_read_only=on\n"
		"application_name=lv-job\nclient_encoding=UTF8\n";
	struct db_params params = token_params();

	params.read_only = true;
	check_startup("dsql", params, plain);
	check_startup("postgres", params, options);
	check_startup("redshift", params, options);
	params.dsql_id = cluster;
	check_startup("dsql", params, with_id);
	/* Of the private link: the address is no name of the cluster's. */
	params.host = "10.0.0.1";
	params.sslmode = "require";
	params.ca_cert = NULL;
	check_startup("dsql", params, with_id);
}

static void test_long_names(void)
{
	struct db_params params = token_params();
	char name[301], expected[512];

	memset(name, 'n', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	params.application_name = name;
	params.statement_timeout_ms = 0;
	(void)snprintf(expected, sizeof(expected),
		       "user=app\ndatabase=d\napplication_name=%.63s\n"
		       "client_encoding=UTF8\n",
		       name);
	check_startup("dsql", params, expected);
	check_startup("postgres", params, expected);
	(void)snprintf(expected, sizeof(expected),
		       "user=app\ndatabase=d\napplication_name=%.250s\n"
		       "client_encoding=UTF8\n",
		       name);
	check_startup("redshift", params, expected);
}

static void check_refusal(const char *refusal, int code, const char *words)
{
	struct db_params params = token_params();
	struct server server;

	start(&server, &good);
	server.refusal = refusal;
	go(&server, &params);
	check_fails("dsql", &params, code, words);
	join(&server);
	finish(&server);
}

static void test_refusals(void)
{
	check_refusal("28000 PAM authentication failed for user \"app\"",
		      EACCES, "PAM authentication failed for user \"app\"");
	check_refusal("08006 unable to accept connection, access denied",
		      EACCES, "access denied");
	check_refusal("08004 unable to accept connection, sni was not received",
		      ECONNREFUSED, "connect_to what is dialled");
}

static void check_run(struct db *db, const char *sql, int code)
{
	struct seen seen;

	seen_init(&seen);
	CHECK_INT(run_sql(db, &seen, sql), -code);
	if (code != 0)
		CHECK_TEXT(seen.err.sqlstate, "25006");
	seen_finish(&seen);
}

/* DSQL has no setting for it: what may write does not get there. */
static void test_read_only_without_settings(void)
{
	struct db_params params = token_params();
	struct server server;
	struct db *db;

	params.read_only = true;
	start(&server, &good);
	db = log_in(&server, "dsql", &params);
	check_run(db, "select 1", 0);
	check_run(db, "insert into t values (1)", EACCES);
	check_run(db, "with x as (delete from t returning *) select * from x",
		  EACCES);
	check_run(db, "create table t (a int)", EACCES);
	check_run(db, "begin", 0);
	check_run(db, "start transaction read only", 0);
	check_run(db, "commit", 0);
	check_run(db, "rollback", 0);
	check_run(db, "set search_path = x", 0);
	check_run(db, "prepare x as delete from t", EACCES);
	check_run(db, "execute x", EACCES);
	db_close(db);
	join(&server);
	CHECK_TEXT(buf_cstr(&server.sql),
		   "select 1\nbegin\nstart transaction read only\ncommit\n"
		   "rollback\nset search_path = x\n");
	finish(&server);
}

/* What connfs would say on its own is unknown to them, or not needed. */
static void test_nothing_of_its_own(const char *backend, const char *encoding)
{
	struct db_params params = token_params();
	struct err err = {0};
	struct server server;
	struct db *db;

	start(&server, &good);
	server.encoding = encoding;
	db = log_in(&server, backend, &params);
	check_run(db, "insert into t values (1)", 0);
	CHECK_INT(db_reset(db, &params, &err), -EOPNOTSUPP);
	CHECK_INT(db_check(db, &err), 0);
	db_close(db);
	join(&server);
	CHECK_TEXT(buf_cstr(&server.sql), "insert into t values (1)\n");
	finish(&server);
}

int main(int argc, char **argv)
{
	check_init(argc, argv);
	identity_create(&good, "db.example", "good.pem");
	identity_create(&other, "db.example", "other.pem");
	test_refused_before_it_dials();
	test_strangers();
	test_servers_that_are_known();
	test_startup();
	test_long_names();
	test_refusals();
	test_read_only_without_settings();
	test_nothing_of_its_own("dsql", "UTF8");
	test_nothing_of_its_own("dsql", "SQL_ASCII");
	test_nothing_of_its_own("redshift", "UNICODE");
	identity_destroy(&good);
	identity_destroy(&other);
	return 0;
}
