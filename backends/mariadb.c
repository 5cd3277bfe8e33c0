/* SPDX-License-Identifier: MIT */
/*
 * The MySQL family, by the MariaDB connector. The session: open, check, reset,
 * cancel, close. mariadb_connect.c logs in, mariadb_run.c runs a statement.
 */
#include <errno.h>
#include <fcntl.h>
#include <mysql.h>
#include <mysqld_error.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "backends/backend.h"
#include "backends/mariadb_connect.h"
#include "backends/mariadb_error.h"
#include "backends/mariadb_session.h"
#include "backends/sql.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "common/err.h"

enum {
	CANCEL_TIMEOUT_MS = 5000,
	CHECK_TIMEOUT_MS = 1000,
	CLOSE_TIMEOUT_MS = 1000,
	RESTORE_TIMEOUT_MS = 5000,
	QUERY_SIZE = 128,
};

static struct my_session *session_of(struct db *db)
{
	return (struct my_session *)db;
}

void my_session_cut(struct my_session *s)
{
	(void)shutdown(s->fd, SHUT_RDWR);
}

static bool is(const char *data, size_t len, const char *text)
{
	return len == strlen(text) && memcmp(data, text, len) == 0;
}

static void note_setting(struct my_session *s, const char *name, size_t n,
			 const char *value, size_t len)
{
	static const char word[] = "ANSI_QUOTES";

	if (is(name, n, "sql_mode"))
		s->ansi_quotes = memmem(value, len, word, strlen(word)) != NULL;
	if (is(name, n, "character_set_client") ||
	    is(name, n, "character_set_results"))
		s->foreign_text |= len < 4 || memcmp(value, "utf8", 4) != 0;
}

/* What the server has told of settings: names and values in turn. */
static void read_settings(struct my_session *s)
{
	enum enum_session_state_type type = SESSION_TRACK_SYSTEM_VARIABLES;
	const char *name = NULL, *data;
	size_t n = 0, len;
	int rc;

	if (s->mysql->net.pvio == NULL)
		return;
	rc = mysql_session_track_get_first(s->mysql, type, &data, &len);
	while (rc == 0) {
		if (name != NULL)
			note_setting(s, name, n, data, len);
		n = len;
		name = name == NULL ? data : NULL;
		rc = mysql_session_track_get_next(s->mysql, type, &data, &len);
	}
}

void my_session_read_state(struct my_session *s)
{
	unsigned status =
		s->mysql->net.pvio != NULL ? s->mysql->server_status : 0;

	s->db.in_transaction =
		(status & (SERVER_STATUS_IN_TRANS |
			   SERVER_STATUS_IN_TRANS_READONLY)) != 0;
	s->db.sql_modes = (status & SERVER_STATUS_NO_BACKSLASH_ESCAPES) != 0
				  ? SQL_PLAIN_BACKSLASH
				  : 0;
	read_settings(s);
	if (s->is_mariadb)
		s->ansi_quotes = (status & SERVER_STATUS_ANSI_QUOTES) != 0;
	if (s->ansi_quotes)
		s->db.sql_modes |= SQL_ANSI_QUOTES;
}

static int last_error(MYSQL *mysql, const char *what, struct err *err)
{
	struct my_error e;

	my_error_make(&e, mysql_errno(mysql), mysql_sqlstate(mysql),
		      mysql_error(mysql));
	(void)err_set(err, e.eno, "%s%s", what, e.text);
	memcpy(err->sqlstate, e.sqlstate, sizeof(err->sqlstate));
	return -e.eno;
}

/* Runs a text that nobody wants the results of. */
static int run_quietly(MYSQL *mysql, const char *sql)
{
	int rc = mysql_real_query(mysql, sql, strlen(sql));

	while (rc == 0) {
		mysql_free_result(mysql_use_result(mysql));
		if (mysql_errno(mysql) != 0)
			return 1;
		rc = mysql_next_result(mysql);
	}
	return rc > 0;
}

static int limit_time(struct my_session *s, unsigned ms, struct err *err)
{
	char sql[QUERY_SIZE];

	if (ms == 0)
		return 0;
	if (s->is_mariadb)
		(void)snprintf(sql, sizeof(sql),
			       "SET SESSION max_statement_time = %u.%03u",
			       ms / 1000, ms % 1000);
	else
		(void)snprintf(sql, sizeof(sql),
			       "SET SESSION max_execution_time = %u", ms);
	if (run_quietly(s->mysql, sql) == 0 ||
	    mysql_errno(s->mysql) == ER_UNKNOWN_SYSTEM_VARIABLE)
		return 0;
	return last_error(s->mysql, "statement_timeout: ", err);
}

/* From now on MySQL tells of these when they are set; MariaDB does so. */
static int ask_for_settings(struct my_session *s, struct err *err)
{
	static const char sql[] =
		"SET SESSION session_track_system_variables = "
		"'sql_mode,character_set_client,character_set_results', "
		"sql_mode = @@sql_mode";

	if (s->is_mariadb || run_quietly(s->mysql, sql) == 0 ||
	    mysql_errno(s->mysql) == ER_UNKNOWN_SYSTEM_VARIABLE)
		return 0;
	return last_error(s->mysql, "sql_mode: ", err);
}

/* May hold several statements, which is allowed for no longer. */
static int run_init_sql(MYSQL *mysql, const char *sql, struct err *err)
{
	if (sql == NULL || *sql == '\0')
		return 0;
	if (mysql_set_server_option(mysql, MYSQL_OPTION_MULTI_STATEMENTS_ON) !=
		    0 ||
	    run_quietly(mysql, sql) != 0 ||
	    mysql_set_server_option(mysql, MYSQL_OPTION_MULTI_STATEMENTS_OFF) !=
		    0)
		return last_error(mysql, "init_sql: ", err);
	return 0;
}

/* What a fresh session of the server gets. */
static int set_up(struct my_session *s, const struct db_params *params,
		  uint64_t deadline, struct err *err)
{
	struct my_wait *former = my_wait_set(&s->wait);
	int rc;

	s->wait.deadline = deadline;
	s->wait.timed_out = false;
	rc = ask_for_settings(s, err);
	read_settings(s);
	if (rc == 0 && params->read_only &&
	    run_quietly(s->mysql, "SET SESSION TRANSACTION READ ONLY") != 0)
		rc = last_error(s->mysql, "read_only: ", err);
	if (rc == 0)
		rc = limit_time(s, params->statement_timeout_ms, err);
	if (rc == 0)
		rc = run_init_sql(s->mysql, params->init_sql, err);
	if (rc < 0 && s->wait.timed_out)
		rc = err_set(err, ETIMEDOUT, "connect to %s: timed out",
			     params->host);
	s->wait.deadline = 0;
	(void)my_wait_set(former);
	my_session_read_state(s);
	return rc;
}

/* A dead peer is noticed within a minute, idle or not. */
static void keep_alive(int fd)
{
	static const struct {
		int name;
		int value;
	} options[] = {
		{TCP_KEEPIDLE, 30},
		{TCP_KEEPINTVL, 10},
		{TCP_KEEPCNT, 3},
		{TCP_USER_TIMEOUT, 60000},
	};

	/* A Unix socket has none of them, and needs none. */
	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++)
		(void)setsockopt(fd, IPPROTO_TCP, options[i].name,
				 &options[i].value, sizeof(options[i].value));
}

static struct my_session *create(const struct db_params *params)
{
	struct my_session *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return NULL;
	s->fd = -1;
	s->max_row = params->max_row;
	cancels_init(&s->cancels);
	return s;
}

static void my_close(struct db *db)
{
	struct my_session *s = session_of(db);
	struct pollfd pfd = {.fd = s->fd, .events = POLLOUT};
	struct my_wait *former = my_wait_set(&s->wait);

	/* Where the connector would have to wait to say good bye. */
	if (s->fd >= 0 && poll(&pfd, 1, 0) != 1)
		my_session_cut(s);
	s->wait.sink = NULL;
	s->wait.deadline = clock_mono_ms() + CLOSE_TIMEOUT_MS;
	if (s->mysql != NULL)
		mysql_close(s->mysql);
	(void)my_wait_set(former);
	my_rows_finish(&s->rows);
	if (s->fd >= 0)
		(void)close(s->fd);
	cancels_finish(&s->cancels);
	free(s);
}

static uint64_t deadline_of(const struct db_params *params)
{
	if (params->connect_timeout_ms == 0)
		return 0;
	return clock_mono_ms() + params->connect_timeout_ms;
}

static int my_open(struct db **out, const struct db_params *params,
		   struct err *err)
{
	uint64_t deadline = deadline_of(params);
	struct my_session *s = create(params);
	int rc;

	if (s == NULL)
		return err_set(err, ENOMEM, "out of memory");
	rc = my_connect_open(&s->mysql, params, deadline, err);
	if (rc < 0)
		goto fail;
	s->wait.mysql = s->mysql;
	s->is_mariadb = mariadb_connection(s->mysql);
	s->fd = fcntl(mysql_get_socket(s->mysql), F_DUPFD_CLOEXEC, 0);
	if (s->fd < 0) {
		rc = err_sys(err, errno, "socket");
		goto fail;
	}
	keep_alive(s->fd);
	s->db.server_pid = (int)mysql_thread_id(s->mysql);
	rc = set_up(s, params, deadline, err);
	if (rc < 0)
		goto fail;
	*out = &s->db;
	return 0;
fail:
	my_close(&s->db);
	return rc;
}

/*
 * A request that came when the statement was complete already: there are
 * servers that would end the next one instead.
 */
static void absorb_cancel(struct my_session *s)
{
	s->wait.deadline = clock_mono_ms() + CANCEL_TIMEOUT_MS;
	(void)run_quietly(s->mysql, "DO 0");
	s->wait.deadline = 0;
}

/* Sessions are always UTF-8: what the statement before has set is set back. */
static void restore_text(struct my_session *s)
{
	static const char sql[] = "SET character_set_client = utf8mb4, "
				  "character_set_results = utf8mb4";

	if (!s->foreign_text)
		return;
	s->wait.deadline = clock_mono_ms() + RESTORE_TIMEOUT_MS;
	s->foreign_text = run_quietly(s->mysql, sql) != 0;
}

static int my_exec(struct db *db, const char *sql, const struct db_args *args,
		   const struct db_sink *sink, void *arg, struct err *err)
{
	struct my_session *s = session_of(db);
	struct my_wait *former = my_wait_set(&s->wait);
	int rc;

	restore_text(s);
	s->wait.sink = sink;
	s->wait.arg = arg;
	s->wait.deadline = 0;
	s->wait.timed_out = false;
	cancels_begin(&s->cancels);
	rc = my_run(s, sql, args, sink, arg, err);
	s->wait.sink = NULL;
	if (!cancels_end(&s->cancels, s->mysql->net.pvio != NULL))
		my_session_cut(s);
	if (rc == 0 && cancels_seen(&s->cancels))
		absorb_cancel(s);
	my_session_read_state(s);
	(void)my_wait_set(former);
	return rc;
}

/*
 * Between two statements the server says nothing, but for the reason why it
 * ends the session: that is the answer to whatever is asked.
 */
static int my_check(struct db *db, struct err *err)
{
	struct my_session *s = session_of(db);
	struct pollfd pfd = {.fd = s->fd, .events = POLLIN};
	struct my_wait *former;
	struct my_error e;
	int failed;

	if (s->mysql->net.pvio == NULL)
		return err_set(err, ENOTCONN, "the connection is lost");
	if (poll(&pfd, 1, 0) <= 0)
		return 0;
	former = my_wait_set(&s->wait);
	s->wait.deadline = clock_mono_ms() + CHECK_TIMEOUT_MS;
	failed = mysql_ping(s->mysql);
	s->wait.deadline = 0;
	(void)my_wait_set(former);
	my_session_read_state(s);
	if (failed == 0)
		return 0;
	if (my_error_is_local(mysql_errno(s->mysql)))
		return err_set(err, ENOTCONN,
			       "the server closed the connection");
	my_error_make(&e, mysql_errno(s->mysql), mysql_sqlstate(s->mysql),
		      mysql_error(s->mysql));
	e.eno = ENOTCONN;
	my_session_cut(s);
	return my_error_set(err, &e);
}

static int my_reset(struct db *db, const struct db_params *params,
		    struct err *err)
{
	struct my_session *s = session_of(db);
	uint64_t deadline = deadline_of(params);
	int rc = my_connect_again(s->mysql, params, deadline, err);

	if (rc < 0)
		return rc;
	return set_up(s, params, deadline, err);
}

static int kill_query(const struct my_session *s,
		      const struct db_params *params, struct err *err)
{
	uint64_t deadline = clock_mono_ms() + CANCEL_TIMEOUT_MS;
	struct my_wait wait = {.deadline = deadline};
	struct db_params without = *params; /* it may have been dropped */
	struct my_wait *former;
	struct err why;
	char sql[QUERY_SIZE];
	MYSQL *mysql;
	int rc;

	without.database = NULL;
	rc = my_connect_open(&mysql, &without, deadline, &why);
	if (rc < 0) {
		(void)err_set(err, why.code, "cancel: %s", why.msg);
		return rc;
	}
	wait.mysql = mysql;
	former = my_wait_set(&wait);
	(void)snprintf(sql, sizeof(sql), "KILL QUERY %d", s->db.server_pid);
	if (run_quietly(mysql, sql) != 0)
		rc = last_error(mysql, "cancel: ", err);
	mysql_close(mysql);
	(void)my_wait_set(former);
	return rc;
}

static int my_cancel(struct db *db, const struct db_params *params,
		     struct err *err)
{
	struct my_session *s = session_of(db);
	int rc;

	if (!cancels_enter(&s->cancels))
		return 0;
	rc = kill_query(s, params, err);
	cancels_leave(&s->cancels);
	return rc;
}

static void my_abort(struct db *db)
{
	my_session_cut(session_of(db));
}

const struct backend mariadb_backend = {
	.name = "mariadb",
	.open = my_open,
	.exec = my_exec,
	.check = my_check,
	.reset = my_reset,
	.cancel = my_cancel,
	.abort = my_abort,
	.close = my_close,
};
