/* SPDX-License-Identifier: MIT */
/*
 * A back end without a server, for tests and benchmarks: it does on request
 * what a real server rarely does. A statement is one of
 *
 *   one                      a row: column "?column?", value 1; no waiting
 *   rows N [cols C] [width W] [delay_ms D]
 *                            N rows of C columns (1): c1, c2, ..; each cell the
 *                            row's number, filled up with x to W bytes (0); D
 *                            milliseconds (0) before each row
 *   cell BYTES               a row with one cell of that many x
 *   fail SQLSTATE after N    N rows, then an error of the server
 *   lose after N             N rows, then the connection is lost
 *   conflict SQLSTATE N      an error of the server, without a row, the first N
 *                            times that one is sent; then a row: N
 *   begin, commit            a transaction, which nothing else knows of
 *   wait                     no answer until it is cancelled
 *   deaf                     no answer, and cancelling does not help either
 *   notice TEXT              a notice, and no result set
 *   tag TEXT affected N      no result set; the tag, and how many rows
 *   name                     a row: the session's application_name
 *   state                    a row: how often the session was reset
 *   login                    a row: the number of the login, of all that were
 *
 * with or without a semicolon. Anything else is a syntax error. All of it goes
 * by the rules of db.h: idle() is asked before waiting, max_row is kept. There
 * are no parameters.
 */
#include "backends/fake_session.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "backends/sqlstate.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "common/err.h"

enum {
	MAX_COLS = 1600,
	NAME_SIZE = 24,
	NUMBER_SIZE = 24,
	TEXT_SIZE = 256,
	SQLSTATE_LEN = 5,
};

struct shape {
	uint64_t n_rows;
	uint64_t n_cols;
	uint64_t width;    /* bytes */
	uint64_t delay_ms; /* before each row */
};

int fake_interrupted(const struct fake_play *p)
{
	if (p->s->aborted)
		return err_set(p->err, ENOTCONN, "the connection was cut");
	if (p->s->cancelled)
		return err_set(p->err, ECANCELED, "cancelled on request");
	return 0;
}

static void wait_until(struct fake_session *s, uint64_t until)
{
	const struct timespec ts = {
		.tv_sec = (time_t)(until / 1000),
		.tv_nsec = (long)(until % 1000) * 1000000,
	};

	if (until == UINT64_MAX)
		(void)pthread_cond_wait(&s->wake, &s->lock);
	else
		(void)pthread_cond_timedwait(&s->wake, &s->lock, &ts);
}

/* end: clock_mono_ms(), UINT64_MAX: never. 0, or why the statement ends. */
static int wait_for_end(struct fake_play *p, uint64_t end)
{
	int rc = 0;

	while (rc == 0 && clock_mono_ms() < end) {
		int idle = p->sink->idle(p->arg);
		uint64_t until = end;
		auto_lock(&p->s->lock);

		if (idle >= 0 && clock_mono_ms() + (uint64_t)idle < end)
			until = clock_mono_ms() + (uint64_t)idle;
		rc = fake_interrupted(p);
		if (rc < 0)
			break;
		wait_until(p->s, until);
		rc = fake_interrupted(p);
	}
	return rc;
}

static bool take_word(struct fake_play *p, const char *word)
{
	const char *text = p->text + strspn(p->text, " \t\n");
	size_t len = strlen(word);

	if (strncmp(text, word, len) != 0)
		return false;
	if (text[len] != '\0' && strchr(" \t\n;", text[len]) == NULL)
		return false;
	p->text = text + len;
	return true;
}

static bool take_number(struct fake_play *p, uint64_t *out)
{
	char *end;

	*out = strtoull(p->text, &end, 10);
	if (end == p->text)
		return false;
	p->text = end;
	return true;
}

/* Up to a semicolon, or the end. */
static bool take_end(struct fake_play *p)
{
	p->text += strspn(p->text, " \t\n");
	p->text += *p->text == ';';
	p->text += strspn(p->text, " \t\n");
	return *p->text == '\0';
}

static int fail(struct fake_play *p, const char *state, const char *message)
{
	const struct db_failure failure = {
		.severity = "ERROR",
		.code = state,
		.message = message,
		.offset = -1,
	};
	int rc = err_set(p->err, sqlstate_errno(state), "%s", message);

	(void)snprintf(p->err->sqlstate, sizeof(p->err->sqlstate), "%s", state);
	p->sink->failure(p->arg, &failure);
	return rc;
}

static int syntax_error(struct fake_play *p)
{
	return fail(p, "42601", "syntax error: see backends/fake_script.c");
}

static void complete(struct fake_play *p, const char *tag, int64_t affected)
{
	p->sink->end(p->arg, tag, affected);
}

static void complete_rows(struct fake_play *p, uint64_t n)
{
	char tag[TEXT_SIZE];

	(void)snprintf(tag, sizeof(tag), "SELECT %" PRIu64, n);
	complete(p, tag, (int64_t)n);
}

static int begin_columns(struct fake_play *p, size_t n_cols)
{
	struct db_column cols[MAX_COLS];
	char names[MAX_COLS][NAME_SIZE];

	for (size_t i = 0; i < n_cols; i++) {
		(void)snprintf(names[i], NAME_SIZE, "c%zu", i + 1);
		cols[i] = (struct db_column){.name = names[i], .type = "text"};
	}
	return p->sink->begin(p->arg, cols, n_cols, p->err);
}

static int send_row(struct fake_play *p, const struct shape *shape,
		    uint64_t number, char *cell)
{
	struct db_cell cells[MAX_COLS];
	int len = snprintf(cell, NUMBER_SIZE, "%" PRIu64, number);
	size_t width = (size_t)shape->width;

	if ((size_t)len < width)
		cell[len] = 'x'; /* over the terminator */
	else
		width = (size_t)len;
	for (size_t i = 0; i < shape->n_cols; i++)
		cells[i] = (struct db_cell){.data = cell, .len = width};
	return p->sink->row(p->arg, cells, p->err);
}

static int send_rows(struct fake_play *p, const struct shape *shape)
{
	char *cell;
	int rc;

	if (shape->n_cols == 0 || shape->n_cols > MAX_COLS)
		return syntax_error(p);
	if (shape->width > p->s->max_row / shape->n_cols)
		return err_set(p->err, EFBIG,
			       "a row is longer than max_row, %zu bytes",
			       p->s->max_row);
	cell = malloc((size_t)shape->width + NUMBER_SIZE);
	if (cell == NULL)
		return err_set(p->err, ENOMEM, "out of memory");
	memset(cell, 'x', (size_t)shape->width + NUMBER_SIZE);
	rc = begin_columns(p, (size_t)shape->n_cols);
	for (uint64_t i = 1; rc == 0 && i <= shape->n_rows; i++) {
		if (shape->delay_ms > 0)
			rc = wait_for_end(p, clock_mono_ms() + shape->delay_ms);
		if (rc == 0) {
			auto_lock(&p->s->lock);

			rc = fake_interrupted(p);
		}
		if (rc == 0)
			rc = send_row(p, shape, i, cell);
	}
	free(cell);
	return rc;
}

static int play_one(struct fake_play *p)
{
	const struct db_column col = {
		.name = "?column?",
		.type = "int4",
		.plain = true,
		.shape = DB_SHAPE_NUMBER,
	};
	const struct db_cell cell = {.data = "1", .len = 1};
	int rc = p->sink->begin(p->arg, &col, 1, p->err);

	if (rc == 0)
		rc = p->sink->row(p->arg, &cell, p->err);
	if (rc == 0)
		complete(p, "SELECT 1", 1);
	return rc;
}

static int play_rows(struct fake_play *p)
{
	struct shape shape = {.n_cols = 1};
	int rc;

	if (!take_number(p, &shape.n_rows))
		return syntax_error(p);
	if (take_word(p, "cols") && !take_number(p, &shape.n_cols))
		return syntax_error(p);
	if (take_word(p, "width") && !take_number(p, &shape.width))
		return syntax_error(p);
	if (take_word(p, "delay_ms") && !take_number(p, &shape.delay_ms))
		return syntax_error(p);
	if (!take_end(p))
		return syntax_error(p);
	rc = send_rows(p, &shape);
	if (rc == 0)
		complete_rows(p, shape.n_rows);
	return rc;
}

/* A result set of one row of one column. */
static int send_cell(struct fake_play *p, const char *column, const char *data,
		     size_t len)
{
	const struct db_column col = {.name = column, .type = "text"};
	const struct db_cell cell = {.data = data, .len = len};
	int rc = p->sink->begin(p->arg, &col, 1, p->err);

	if (rc == 0)
		rc = p->sink->row(p->arg, &cell, p->err);
	if (rc == 0)
		complete_rows(p, 1);
	return rc;
}

static int play_cell(struct fake_play *p)
{
	uint64_t len;
	char *data;
	int rc;

	if (!take_number(p, &len) || !take_end(p))
		return syntax_error(p);
	if (len > p->s->max_row)
		return err_set(p->err, EFBIG,
			       "a row is longer than max_row, %zu bytes",
			       p->s->max_row);
	data = malloc((size_t)len + 1);
	if (data == NULL)
		return err_set(p->err, ENOMEM, "out of memory");
	memset(data, 'x', (size_t)len);
	rc = send_cell(p, "c1", data, (size_t)len);
	free(data);
	return rc;
}

static bool take_state(struct fake_play *p, char state[SQLSTATE_LEN + 1])
{
	p->text += strspn(p->text, " ");
	(void)snprintf(state, SQLSTATE_LEN + 1, "%s", p->text);
	if (strlen(state) != SQLSTATE_LEN)
		return false;
	p->text += SQLSTATE_LEN;
	return true;
}

static int play_fail(struct fake_play *p)
{
	char state[SQLSTATE_LEN + 1];
	struct shape shape = {.n_cols = 1};
	int rc;

	if (!take_state(p, state) || !take_word(p, "after") ||
	    !take_number(p, &shape.n_rows) || !take_end(p))
		return syntax_error(p);
	rc = send_rows(p, &shape);
	return rc < 0 ? rc : fail(p, state, "failed on request");
}

/* A result set of one row of one column, a number. */
static int send_number(struct fake_play *p, const char *column, uint64_t n)
{
	char text[NUMBER_SIZE];
	int len = snprintf(text, sizeof(text), "%" PRIu64, n);

	return send_cell(p, column, text, (size_t)len);
}

static int play_conflict(struct fake_play *p)
{
	char state[SQLSTATE_LEN + 1];
	uint64_t n;

	if (!take_state(p, state) || !take_number(p, &n) || !take_end(p))
		return syntax_error(p);
	if (p->s->n_conflicts == n) {
		p->s->n_conflicts = 0;
		return send_number(p, "conflicts", n);
	}
	p->s->n_conflicts++;
	p->sink->notice(p->arg, "in conflict");
	return fail(p, state, "in conflict on request");
}

static int play_begin(struct fake_play *p)
{
	if (!take_end(p))
		return syntax_error(p);
	p->s->db.in_transaction = true;
	complete(p, "BEGIN", -1);
	return 0;
}

static int play_commit(struct fake_play *p)
{
	if (!take_end(p))
		return syntax_error(p);
	p->s->db.in_transaction = false;
	complete(p, "COMMIT", -1);
	return 0;
}

static int play_lose(struct fake_play *p)
{
	struct shape shape = {.n_cols = 1};
	int rc;

	if (!take_word(p, "after") || !take_number(p, &shape.n_rows) ||
	    !take_end(p))
		return syntax_error(p);
	rc = send_rows(p, &shape);
	if (rc < 0)
		return rc;
	p->s->db.backend->abort(&p->s->db);
	return err_set(p->err, ENOTCONN, "lost on request");
}

static int play_wait(struct fake_play *p)
{
	return take_end(p) ? wait_for_end(p, UINT64_MAX) : syntax_error(p);
}

static int play_deaf(struct fake_play *p)
{
	(void)pthread_mutex_lock(&p->s->lock);
	p->s->deaf = true;
	p->s->cancelled = false;
	(void)pthread_mutex_unlock(&p->s->lock);
	return play_wait(p);
}

static int play_notice(struct fake_play *p)
{
	char text[TEXT_SIZE];

	p->text += strspn(p->text, " ");
	(void)snprintf(text, sizeof(text), "%.*s", (int)strcspn(p->text, ";\n"),
		       p->text);
	p->sink->notice(p->arg, text);
	complete(p, "NOTICE", -1);
	return 0;
}

static int play_tag(struct fake_play *p)
{
	char tag[TEXT_SIZE];
	const char *end = strstr(p->text, " affected");
	uint64_t n;

	p->text += strspn(p->text, " ");
	if (end == NULL || end < p->text)
		return syntax_error(p);
	(void)snprintf(tag, sizeof(tag), "%.*s", (int)(end - p->text), p->text);
	p->text = end;
	if (!take_word(p, "affected") || !take_number(p, &n) || !take_end(p))
		return syntax_error(p);
	complete(p, tag, (int64_t)n);
	return 0;
}

static int play_name(struct fake_play *p)
{
	const char *name = p->s->app_name;

	return take_end(p) ? send_cell(p, "name", name, strlen(name))
			   : syntax_error(p);
}

static int play_state(struct fake_play *p)
{
	return take_end(p) ? send_number(p, "state", p->s->n_resets)
			   : syntax_error(p);
}

static int play_login(struct fake_play *p)
{
	return take_end(p) ? send_number(p, "login", p->s->login)
			   : syntax_error(p);
}

static const struct {
	const char *word;
	int (*play)(struct fake_play *p);
} commands[] = {
	{"one", play_one},           {"rows", play_rows},
	{"cell", play_cell},         {"fail", play_fail},
	{"lose", play_lose},         {"wait", play_wait},
	{"deaf", play_deaf},         {"tag", play_tag},
	{"notice", play_notice},     {"name", play_name},
	{"state", play_state},       {"login", play_login},
	{"conflict", play_conflict}, {"begin", play_begin},
	{"commit", play_commit},
};

int fake_play(struct fake_play *p)
{
	if (take_end(p))
		return 0; /* an empty statement */
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		if (take_word(p, commands[i].word))
			return commands[i].play(p);
	}
	return syntax_error(p);
}
