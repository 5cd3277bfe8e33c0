/* SPDX-License-Identifier: MIT */
#include "fs/report.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "common/buf.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "fs/caller.h"
#include "fs/config.h"
#include "fs/connection.h"
#include "fs/conversation.h"
#include "fs/conversation_params.h"
#include "fs/file.h"
#include "fs/file_run.h"
#include "fs/mount.h"
#include "fs/params.h"
#include "fs/result.h"
#include "fs/script.h"
#include "fs/statement.h"
#include "fs/timing.h"
#include "fs/trail.h"

static struct script *picked(const struct view *v, bool refused)
{
	return v->conv != NULL ? conversation_pick(v->conv, v->caller, refused)
			       : NULL;
}

static void json_text(struct buf *out, const char *key, const char *value)
{
	buf_printf(out, "  \"%s\": ", key);
	if (value != NULL)
		buf_json(out, value, strlen(value));
	else
		buf_puts(out, "null");
	buf_puts(out, ",\n");
}

static void json_notices(struct buf *out, const struct buf *notices)
{
	const char *p = notices->data, *end = p + notices->len;

	buf_puts(out, "  \"notices\": [");
	while (p < end) {
		const char *newline = memchr(p, '\n', (size_t)(end - p));
		const char *stop = newline != NULL ? newline : end;

		buf_json(out, p, (size_t)(stop - p));
		p = newline != NULL ? newline + 1 : end;
		if (p < end)
			buf_puts(out, ", ");
	}
	buf_puts(out, "],\n");
}

static uint64_t count_bytes(const struct statement *s)
{
	uint64_t bytes = 0;

	for (size_t i = 0; i < s->n_results; i++) {
		struct spool_state state;

		spool_state(s->results[i]->spool, &state);
		bytes += state.end;
	}
	return bytes;
}

static uint64_t elapsed_ms(const struct statement *s)
{
	uint64_t end = s->state >= STATEMENT_DONE ? s->ended : clock_mono_ms();

	return end - s->created;
}

static void status_of(struct buf *out, const struct script *script,
		      struct statement *s)
{
	char started[CLOCK_TEXT_SIZE];
	auto_lock(&s->lock);

	clock_text(s->created_wall, started);
	json_text(out, "state", statement_state_name(s->state));
	buf_printf(out, "  \"id\": %" PRIu64 ",\n", s->id);
	json_text(out, "statement", s->sql);
	if (s->n_params > 0)
		buf_printf(out, "  \"parameters\": %zu,\n", s->n_params);
	json_text(out, "started_at", started);
	buf_printf(out, "  \"elapsed_ms\": %" PRIu64 ",\n", elapsed_ms(s));
	buf_puts(out, "  \"timing\": ");
	timing_json(&s->timing, out);
	buf_printf(out, ",\n  \"rows\": %" PRIu64 ",\n",
		   (uint64_t)atomic_load(&s->rows));
	buf_printf(out, "  \"bytes\": %" PRIu64 ",\n", count_bytes(s));
	buf_printf(out, "  \"complete\": %s,\n",
		   s->state == STATEMENT_DONE ? "true" : "false");
	json_text(out, "command", s->tag);
	if (s->affected >= 0)
		buf_printf(out, "  \"rows_affected\": %" PRId64 ",\n",
			   s->affected);
	else
		buf_puts(out, "  \"rows_affected\": null,\n");
	buf_printf(out, "  \"result_sets\": %" PRIu64 ",\n",
		   script->first_result - 1 + script->n_results);
	buf_printf(out, "  \"columns\": %s,\n",
		   s->n_results > 0 ? s->results[s->n_results - 1]->columns_json
				    : "[]");
	json_notices(out, &s->notices);
	json_text(out, "sqlstate",
		  s->diagnosis.code != NULL    ? s->diagnosis.code
		  : s->err.sqlstate[0] != '\0' ? s->err.sqlstate
					       : NULL);
	json_text(out, "message",
		  s->state > STATEMENT_DONE ? s->err.msg : NULL);
	if (s->server_pid > 0)
		buf_printf(out, "  \"server_pid\": %d,\n", s->server_pid);
	else
		buf_puts(out, "  \"server_pid\": null,\n");
	buf_puts(out, "  \"application_name\": ");
	buf_json(out, s->app_name, strlen(s->app_name));
}

/* The statement a script is at: sent last, or waiting to be. */
static struct statement *statement_at(const struct script *script)
{
	return script->running || script->pending == NULL ? script->current
							  : script->pending;
}

struct statement *report_statement(const struct view *v)
{
	const struct script *script = picked(v, false);

	return script != NULL ? statement_at(script) : NULL;
}

void report_status(struct buf *out, const struct view *v)
{
	struct script *script = picked(v, false);
	struct statement *s = script != NULL ? statement_at(script) : NULL;

	buf_puts(out, "{\n");
	if (s != NULL)
		status_of(out, script, s);
	else
		buf_puts(out, "  \"state\": \"idle\",\n  \"complete\": false");
	buf_puts(out, "\n}\n");
}

static void error_field(struct buf *out, const char *name, const char *value)
{
	if (value != NULL && value[0] != '\0')
		buf_printf(out, "%s:  %s\n", name, value);
}

/* The line of the statement the server means, and a caret below. */
static void error_position(struct buf *out, const struct statement *s)
{
	const char *at, *start, *end;
	unsigned line = s->line, column = 1;

	if (s->diagnosis.offset < 0 ||
	    (size_t)s->diagnosis.offset > strlen(s->sql))
		return;
	at = s->sql + s->diagnosis.offset;
	start = s->sql;
	for (const char *p = s->sql; p < at; p++) {
		if (*p == '\n') {
			line++;
			start = p + 1;
		}
	}
	end = start + strcspn(start, "\n");
	for (const char *p = start; p < at; p++)
		column += ((unsigned char)*p & 0xc0) != 0x80;
	/* Before its first line there may be more of the user's text. */
	buf_printf(out, "LINE %u, column %u:\n  ", line,
		   start == s->sql ? column + s->column - 1 : column);
	buf_put(out, start, (size_t)(end - start));
	buf_puts(out, "\n  ");
	for (const char *p = start; p < at; p++) {
		if (*p == '\t')
			buf_putc(out, '\t');
		else if (((unsigned char)*p & 0xc0) != 0x80)
			buf_putc(out, ' ');
	}
	buf_puts(out, "^\n");
}

void report_failure(struct buf *out, struct statement *s)
{
	const struct diagnosis *d = &s->diagnosis;
	auto_lock(&s->lock);

	if (s->state <= STATEMENT_DONE)
		return;
	buf_printf(out, "%s:  %s%s%s\n",
		   d->severity != NULL ? d->severity : "ERROR",
		   d->code != NULL ? d->code : s->err.sqlstate,
		   d->code != NULL || s->err.sqlstate[0] != '\0' ? ": " : "",
		   d->message != NULL ? d->message : s->err.msg);
	if (d->message != NULL && atomic_load(&s->stop) != STOP_NONE)
		buf_printf(out, "CONNFS:  %s\n", s->err.msg);
	error_position(out, s);
	error_field(out, "DETAIL", d->detail);
	error_field(out, "HINT", d->hint);
	error_field(out, "CONTEXT", d->context);
	error_field(out, "ERRNO", strerrorname_np(s->err.code));
	if (s->unknown_outcome)
		buf_puts(out, "The server did not confirm that it stopped: it "
			      "may still be working on the statement.\n");
	if (s->trail != NULL) {
		buf_puts(out, "EVENTS:\n");
		trail_text(s->trail, out);
	}
}

/* Those for the next statement were refused: the last thing that failed. */
static bool error_of_params(struct buf *out, const struct view *v)
{
	const struct err *err =
		v->conv != NULL ? conversation_params_error(v->conv, v->caller)
				: NULL;

	if (err == NULL)
		return false;
	buf_printf(out, "ERROR:  %s\n", err->msg);
	error_field(out, "ERRNO", strerrorname_np(err->code));
	return true;
}

void report_error(struct buf *out, const struct view *v)
{
	struct script *script = picked(v, true);
	bool refused = error_of_params(out, v);
	bool ran = script != NULL && script->current != NULL;

	if (v->conv != NULL &&
	    run_failure_is_newer(v->conv->run_failure,
				 ran ? script->current->id : 0)) {
		run_failure_text(v->conv->run_failure, out);
		return;
	}
	if (ran)
		report_failure(out, script->current);
	/* One in sessions/ is found by its name, from everywhere. */
	if (script == NULL && !refused && v->dir->session == NULL)
		buf_puts(out,
			 "No statement has been run here in this session.\n"
			 "A session is one login shell, one `docker exec`, one "
			 "cron line: results are seen in the session that\n"
			 "asked for them. Put both commands into one: sh -c "
			 "'echo \"select 1;\" > query.sql; cat result.csv'\n");
}

void report_params(struct buf *out, const struct view *v)
{
	const struct params *params =
		v->conv != NULL ? conversation_params(v->conv, v->caller)
				: NULL;

	if (params != NULL)
		params_text(params, out);
}

void report_query(struct buf *out, const struct view *v)
{
	const struct statement *s = report_statement(v);

	if (s == NULL)
		return;
	buf_puts(out, s->sql);
	buf_puts(out, ";\n");
}

/* One line of text, without what would break the line. */
static void one_line(struct buf *out, const char *text)
{
	for (size_t i = 0; i < 200 && text[i] != '\0'; i++)
		buf_puts(out, (unsigned char)text[i] < 0x20
				      ? " "
				      : (char[]){text[i], '\0'});
}

static void list_statement(struct buf *out, const struct connection *c,
			   const struct conversation *conv, struct statement *s)
{
	auto_lock(&s->lock);

	buf_printf(out,
		   "%" PRIu64 "\t%s\t%u\t%d\t%s\t%" PRIu64 "\t%" PRIu64 "\t",
		   s->id, c->spec->conn_id, (unsigned)conv->key.uid,
		   (int)conv->key.self.pid, statement_state_name(s->state),
		   elapsed_ms(s), (uint64_t)atomic_load(&s->rows));
	one_line(out, s->sql);
	buf_putc(out, '\n');
}

bool report_may_see(const struct conversation *conv,
		    const struct caller *caller)
{
	return caller_is_owner(caller) || conversation_is_of(conv, caller);
}

static void list_conversation(struct buf *out, const struct connection *c,
			      const struct conversation *conv)
{
	for (struct script *s = conv->scripts; s != NULL; s = s->next) {
		if (s->running)
			list_statement(out, c, conv, s->current);
		if (s->pending != NULL)
			list_statement(out, c, conv, s->pending);
	}
}

void report_statements(struct buf *out, const struct view *v)
{
	buf_puts(out, "id\tconnection\tuid\tpid\tstate\telapsed_ms\trows\t"
		      "statement\n");
	for (struct connection *c = v->mount->connections; c != NULL;
	     c = c->next) {
		for (struct conversation *conv = c->conversations; conv != NULL;
		     conv = conv->next) {
			if (report_may_see(conv, v->caller))
				list_conversation(out, c, conv);
		}
	}
}
