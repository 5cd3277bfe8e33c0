/* SPDX-License-Identifier: MIT */
/* One statement: its results, its warnings and its end. */
#include "backends/mariadb_run.h"

#include <errmsg.h>
#include <errno.h>
#include <mysql.h>
#include <mysqld_error.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backends/command_tag.h"
#include "backends/mariadb_error.h"
#include "common/clock.h"
#include "common/err.h"

enum {
	/* For what still comes of a statement that failed here. */
	DRAIN_MS = 5000,
	MAX_WARNINGS = 64,
	LENGTH_SIZE = 9, /* bytes, at most */
	/* Any server takes as much; and what a packet has beside the text. */
	SMALL_PACKET = 512 * 1024,
	PACKET_SLACK = 16,
	NOTICE_MAX = 4096,
};

void my_run_fail(struct my_run *r, int rc)
{
	if (r->drain)
		return;
	r->rc = rc;
	r->drain = true;
	r->s->wait.deadline = clock_mono_ms() + DRAIN_MS;
}

void my_run_server_failed(struct my_run *r, unsigned number,
			  const char *sqlstate, const char *text)
{
	struct db_failure f = {.severity = "ERROR"};
	struct my_error e;

	if (r->rc < 0)
		return;
	my_error_make(&e, number, sqlstate, text);
	if (my_error_is_local(number)) {
		e.sqlstate[0] = '\0';
		if (r->s->mysql->net.pvio == NULL)
			e.eno = ENOTCONN;
		r->rc = my_error_set(r->err, &e);
		return;
	}
	f.code = e.code;
	f.message = e.text;
	f.offset =
		number == ER_PARSE_ERROR ? my_error_offset(r->sql, e.text) : -1;
	r->rc = my_error_set(r->err, &e);
	r->sink->failure(r->arg, &f);
}

static void connection_failed(struct my_run *r)
{
	MYSQL *mysql = r->s->mysql;

	my_run_server_failed(r, mysql_errno(mysql), mysql_sqlstate(mysql),
			     mysql_error(mysql));
}

void my_run_take_columns(struct my_run *r, struct my_set *set,
			 const MYSQL_FIELD *fields, size_t n)
{
	int rc;

	if (r->drain)
		return;
	rc = my_set_init(set, fields, n, r->s->max_row, r->err);
	if (rc < 0)
		my_run_fail(r, rc);
}

static void begin_set(struct my_run *r, struct my_set *set)
{
	int rc;

	if (r->drain || set->begun)
		return;
	set->begun = true;
	rc = r->sink->begin(r->arg, set->cols, set->n_cols, r->err);
	if (rc < 0)
		my_run_fail(r, rc);
}

/*
 * Whoever asks the server to end the statement does so by a login of its own,
 * and it may be nobody: what does not end is cut off.
 */
static void keep_deadline(struct my_run *r)
{
	if (clock_coarse_ms() >= r->s->wait.deadline)
		my_session_cut(r->s);
}

bool my_run_next_row(struct my_run *r, struct my_set *set, unsigned char **row,
		     size_t *len)
{
	struct my_session *s = r->s;
	/* Each cell has its length before it. */
	size_t max = s->max_row + LENGTH_SIZE * set->n_cols;

	for (;;) {
		switch (my_rows_next(&s->rows, s->mysql, r->drain ? 0 : max,
				     row, len)) {
		case MY_NEXT_ROW:
			begin_set(r, set);
			if (!r->drain)
				return true;
			keep_deadline(r);
			break;
		case MY_NEXT_LONG:
			if (!r->drain)
				my_run_fail(r, my_set_refuse(set, r->err));
			keep_deadline(r);
			break;
		case MY_NEXT_END:
			begin_set(r, set);
			return false;
		default:
			connection_failed(r);
			return false;
		}
	}
}

/* The cells of a row, each behind its length; -1 when that is malformed. */
static int find_cells(struct my_set *set, const unsigned char *p, size_t len)
{
	const unsigned char *end = p + len;

	for (size_t i = 0; i < set->n_cols; i++) {
		struct db_cell *cell = &set->cells[i];

		if (p < end && *p < MY_LENGTH_NULL) {
			cell->len = *p++;
		} else if (p < end && *p == MY_LENGTH_NULL) {
			*cell = (struct db_cell){0};
			p++;
			continue;
		} else {
			p = my_set_length(p, end, &cell->len);
			if (p == NULL)
				return -1;
		}
		if (cell->len > (size_t)(end - p))
			return -1;
		cell->data = (const char *)p;
		p += cell->len;
	}
	return 0;
}

/* Lends the rows to the sink, as they lie in the buffer. */
static void take_rows(struct my_run *r, struct my_set *set)
{
	unsigned char *row;
	size_t len;
	int rc;

	my_rows_begin(&r->s->rows, r->s->mysql);
	while (my_run_next_row(r, set, &row, &len)) {
		if (find_cells(set, row, len) < 0)
			rc = err_set(r->err, EIO,
				     "the server sent a malformed row");
		else
			rc = my_set_row(set, r->sink, r->arg, r->err);
		if (rc < 0)
			my_run_fail(r, rc);
	}
}

/* Returns how many rows it had. */
static int64_t take_set(struct my_run *r)
{
	MYSQL_RES *res = mysql_use_result(r->s->mysql);
	struct my_set set = {0};
	int64_t n_rows;

	if (res == NULL) {
		connection_failed(r);
		return 0;
	}
	my_run_take_columns(r, &set, mysql_fetch_fields(res),
			    mysql_num_fields(res));
	take_rows(r, &set);
	n_rows = set.n_rows;
	my_set_finish(&set);
	/* Or it would read what was read already. */
	res->eof = 1;
	res->handle = NULL;
	mysql_free_result(res);
	return n_rows;
}

static void notice(struct my_run *r, MYSQL_ROW row,
		   const unsigned long *lengths)
{
	char level[16];
	char text[NOTICE_MAX];
	struct my_error e;

	if (lengths == NULL || row[0] == NULL || row[1] == NULL ||
	    row[2] == NULL)
		return;
	(void)snprintf(level, sizeof(level), "%s", row[0]);
	for (char *p = level; *p != '\0'; p++) {
		if (*p >= 'a' && *p <= 'z')
			*p = (char)(*p - 'a' + 'A');
	}
	my_error_make(&e, (unsigned)strtoul(row[1], NULL, 10), "", row[2]);
	(void)snprintf(text, sizeof(text), "%s:  %s (%u)", level, e.text,
		       e.number);
	r->sink->notice(r->arg, text);
}

/*
 * The server only counts them; they are asked for when there are any. What
 * they are asked with leaves them where they are, for SHOW WARNINGS of the
 * user's own.
 */
static void take_warnings(struct my_run *r)
{
	MYSQL *mysql = r->s->mysql;
	char words[SQL_COMMAND_SIZE];
	char sql[64];
	MYSQL_RES *res;
	MYSQL_ROW row;

	sql_command(SQL_MYSQL, r->sql, strlen(r->sql), words);
	if (mysql_warning_count(mysql) == 0 || strcmp(words, "SHOW") == 0)
		return;
	(void)snprintf(sql, sizeof(sql), "SHOW WARNINGS LIMIT %d",
		       MAX_WARNINGS);
	if (mysql_real_query(mysql, sql, strlen(sql)) != 0)
		return;
	res = mysql_store_result(mysql);
	while (res != NULL && (row = mysql_fetch_row(res)) != NULL)
		notice(r, row, mysql_fetch_lengths(res));
	mysql_free_result(res);
}

void my_run_end_result(struct my_run *r, bool last, int64_t n_rows,
		       int64_t n_changes)
{
	char tag[COMMAND_TAG_SIZE];
	int64_t affected;

	if (r->rc < 0)
		return;
	if (last)
		take_warnings(r);
	affected = command_tag(tag, SQL_MYSQL, r->sql, n_rows, n_changes);
	r->sink->end(r->arg, *tag != '\0' ? tag : NULL, affected);
}

/* What mysql_affected_rows() says where there was no result set. */
static int64_t changes(my_ulonglong n)
{
	return n != MYSQL_COUNT_ERROR ? (int64_t)n : 0;
}

int my_run_check_size(struct my_run *r, size_t size)
{
	struct my_session *s = r->s;
	static const char sql[] = "SELECT @@max_allowed_packet";
	MYSQL_RES *res;
	MYSQL_ROW row;

	if (size < SMALL_PACKET)
		return 0;
	if (s->max_packet == 0) {
		if (mysql_real_query(s->mysql, sql, strlen(sql)) != 0) {
			connection_failed(r);
			return r->rc;
		}
		res = mysql_store_result(s->mysql);
		row = res != NULL ? mysql_fetch_row(res) : NULL;
		if (row != NULL && row[0] != NULL)
			s->max_packet = strtoul(row[0], NULL, 10);
		mysql_free_result(res);
	}
	if (size + PACKET_SLACK <= s->max_packet)
		return 0;
	r->rc = err_set(r->err, EFBIG,
			"the statement takes %zu bytes, and the server's "
			"max_allowed_packet is %zu",
			size, s->max_packet);
	return r->rc;
}

static void run_text(struct my_run *r)
{
	MYSQL *mysql = r->s->mysql;
	size_t len = strlen(r->sql);
	int64_t n;
	bool last;
	int next;

	if (my_run_check_size(r, len) < 0)
		return;
	next = mysql_real_query(mysql, r->sql, len);
	/* Nothing but white space: nothing happens. */
	if (next != 0 && mysql_errno(mysql) == ER_EMPTY_QUERY)
		return;
	while (next == 0) {
		n = mysql_field_count(mysql) > 0
			    ? take_set(r)
			    : changes(mysql_affected_rows(mysql));
		if (mysql->net.pvio == NULL)
			return;
		last = !mysql_more_results(mysql);
		my_run_end_result(r, last, n, n);
		if (last)
			return;
		next = mysql_next_result(mysql);
	}
	connection_failed(r);
}

/*
 * An error says nothing of the transaction, which it may have ended: the
 * server is asked. The connector does not look at the answer, which is OK, no
 * rows, no id, and the status.
 */
static void ask_state(struct my_run *r)
{
	enum { STATUS = 3, LEN = 5 };
	MYSQL *mysql = r->s->mysql;
	const unsigned char *answer;

	if (mysql->net.pvio == NULL)
		return;
	r->s->wait.deadline = clock_mono_ms() + DRAIN_MS;
	if (mysql_ping(mysql) != 0 || mysql->packet_length < LEN)
		return;
	answer = mysql->net.read_pos;
	mysql->server_status = answer[STATUS] | (unsigned)answer[STATUS + 1]
							<< 8;
}

static int conclude(struct my_run *r)
{
	MYSQL *mysql = r->s->mysql;

	if (r->rc == 0)
		return 0;
	/* The server's last words. */
	if (r->err->code == ENOTCONN)
		my_session_cut(r->s);
	else
		ask_state(r);
	if (mysql->net.pvio == NULL)
		my_session_cut(r->s);
	return r->rc;
}

int my_run(struct my_session *s, const char *sql, const struct db_args *args,
	   const struct db_sink *sink, void *arg, struct err *err)
{
	struct my_run r = {
		.s = s,
		.sql = sql,
		.sink = sink,
		.arg = arg,
		.err = err,
	};
	int rc;

	if (args->n > 0)
		my_stmt_run(&r, args);
	else
		run_text(&r);
	rc = conclude(&r);
	s->wait.deadline = 0;
	my_rows_trim(&s->rows);
	return rc;
}
