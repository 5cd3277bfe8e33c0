/* SPDX-License-Identifier: MIT */
#include "fs/script_text.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "backends/sql.h"
#include "common/cleanup.h"
#include "common/utf8.h"
#include "fs/cgroup.h"
#include "fs/config.h"
#include "fs/connection.h"
#include "fs/conversation.h"
#include "fs/conversation_params.h"
#include "fs/mount.h"
#include "fs/script.h"
#include "fs/session.h"
#include "fs/statement.h"

/* Moves the script's position over len bytes of text. */
static void count_lines(struct script *script, const char *text, size_t len)
{
	const char *end = text + len, *newline;

	while ((newline = memchr(text, '\n', (size_t)(end - text))) != NULL) {
		script->line++;
		script->column = 1;
		text = newline + 1;
	}
	for (; text < end; text++) {
		if (((unsigned char)*text & 0xc0) != 0x80)
			script->column++;
	}
}

static bool is_blank(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

static void queue(struct script *script, struct statement *s)
{
	struct statement **last = &script->pending;

	while (*last != NULL)
		last = &(*last)->next;
	*last = s;
}

/* Why a text of this length and content is not sent, if so. */
static void check_text(struct script *script, const char *text, size_t len,
		       struct err *refusal)
{
	size_t sound;

	if (len > SCRIPT_MAX_STATEMENT) {
		(void)err_set(refusal, EFBIG,
			      "a statement of more than 16 MiB");
		return;
	}
	sound = utf8_span(text, len);
	if (sound == len)
		return;
	count_lines(script, text, sound);
	if (text[sound] == '\0')
		(void)err_set(refusal, EINVAL,
			      "NUL byte in line %u, column %u: a statement is "
			      "UTF-8 text",
			      script->line, script->column);
	else
		(void)err_set(refusal, EINVAL,
			      "byte 0x%02x in line %u, column %u is not UTF-8",
			      (unsigned char)text[sound], script->line,
			      script->column);
}

/* Queues text, the position of which the script is at. */
static int add_statement(struct script *script, const char *text, size_t len,
			 const struct err *refusal)
{
	struct mount *m = script->conv->conn->mount;
	enum sql_dialect dialect = script->conv->conn->spec->engine->dialect;
	size_t kept = len < SCRIPT_MAX_STATEMENT ? len : SCRIPT_MAX_STATEMENT;
	struct statement *s;

	while (kept > 0 && is_blank(text[kept - 1]))
		kept--;
	s = statement_create(m->loop, m->spools, text, kept);
	if (s == NULL)
		return -ENOMEM;
	s->line = script->line;
	s->column = script->column;
	if (refusal != NULL)
		s->refusal = *refusal;
	else
		check_text(script, text, len, &s->refusal);
	if (s->refusal.code == 0) {
		s->traits = sql_traits(dialect, s->sql, kept);
		statement_give(s, conversation_take_params(script->conv,
							   &script->writer));
	}
	queue(script, s);
	return 0;
}

/* A text that mentions the setting may change where the next ones end. */
static bool changes_modes(enum sql_dialect dialect, const char *text,
			  size_t len)
{
	const char *setting = dialect == SQL_MYSQL
				      ? "sql_mode"
				      : "standard_conforming_strings";
	size_t n = strlen(setting);

	for (; len >= n; text++, len--) {
		if (strncasecmp(text, setting, n) == 0)
			return true;
	}
	return false;
}

/* Takes the complete statements off the text. */
static int split(struct script *script)
{
	enum sql_dialect dialect = script->conv->conn->spec->engine->dialect;
	size_t used = 0;
	struct sql_piece piece;
	struct err err = {0};
	int rc, added = 0;

	for (;;) {
		const char *text = script->text.data + used;
		size_t len = script->text.len - used;

		rc = sql_splitter_next(script->splitter, text, len, &piece,
				       &err);
		if (rc != 1)
			break;
		count_lines(script, text, piece.body);
		if (piece.len > 0) {
			/* Refusals move the position: keep our own. */
			unsigned line = script->line, column = script->column;

			added = add_statement(script, text + piece.body,
					      piece.len, NULL);
			script->line = line;
			script->column = column;
		}
		count_lines(script, text + piece.body, piece.end - piece.body);
		used += piece.end;
		script->held =
			len > piece.end &&
			changes_modes(dialect, text + piece.body, piece.len);
		if (added < 0 || script->held)
			break;
	}
	if (rc < 0)
		added = add_statement(script, script->text.data + used,
				      script->text.len - used, &err);
	if (used > 0)
		buf_drop(&script->text, used);
	if (rc < 0)
		script_text_drop(script);
	return added;
}

static int split_all(struct script *script)
{
	struct err err;
	int rc = split(script);

	if (rc == 0 && !script->held &&
	    script->text.len > SCRIPT_MAX_STATEMENT) {
		(void)err_set(&err, EFBIG, "a statement of more than 16 MiB");
		rc = add_statement(script, script->text.data, 256, &err);
		script_text_drop(script);
	}
	return rc;
}

int script_text_add(struct script *script, const char *data, size_t len)
{
	sql_splitter_set_modes(script->splitter, script->conv->sql_modes);
	buf_put(&script->text, data, len);
	if (script->text.failed) {
		script_text_drop(script);
		return -ENOMEM;
	}
	if (script->held || script->text.len == 0)
		return 0;
	return split_all(script);
}

/* The groups are those at OPEN: the writer may have gone, or moved. */
static int copy_groups(struct caller_names *to, const struct caller_names *from)
{
	gid_t *groups = NULL;

	if (from->n_groups > 0) {
		groups = reallocarray(NULL, from->n_groups, sizeof(*groups));
		if (groups == NULL)
			return -ENOMEM;
		memcpy(groups, from->groups, from->n_groups * sizeof(*groups));
	}
	caller_names_finish(to);
	to->groups = groups;
	to->n_groups = from->n_groups;
	to->cgroup = cgroup_ref(from->cgroup);
	return 0;
}

struct script *script_continue(struct script *script)
{
	struct script *next = script_create(script->conv, &script->writer);
	const char *text = script->text.data;
	size_t len = script->rc == 0 ? script->text.len : 0;

	if (next == NULL)
		return NULL;
	/* It knows the DELIMITER that was set. */
	sql_splitter_destroy(next->splitter);
	next->splitter = take_ptr(script->splitter);
	sql_splitter_reset(next->splitter);
	next->interactive = script->interactive;
	/* Lines count from where its first statement begins. */
	for (; len > 0 && is_blank(*text); len--)
		text++;
	if (copy_groups(&next->names, &script->names) < 0 ||
	    script_text_add(next, text, len) < 0) {
		script_unref(next);
		return NULL;
	}
	buf_finish(&script->text);
	return next;
}

int script_text_resume(struct script *script)
{
	struct session_state state = {
		.sql_modes = script->conv->sql_modes,
	};
	bool end = script->held_end;
	int rc;

	if (script->conv->session != NULL)
		session_state(script->conv->session, &state);
	sql_splitter_set_modes(script->splitter, state.sql_modes);
	script->held = false;
	rc = split_all(script);
	return rc == 0 && end ? script_text_end(script) : rc;
}

int script_text_end(struct script *script)
{
	const struct err *refusal = NULL;
	struct err err = {0};
	size_t body;
	int rc = 0;

	script->held_end = script->held;
	if (script->text.len == 0 || script->held)
		return 0;
	if (!sql_splitter_blank(script->splitter)) {
		if (sql_splitter_check_end(script->splitter, script->text.data,
					   script->text.len, &err) < 0)
			refusal = &err;
		body = sql_splitter_body(script->splitter);
		count_lines(script, script->text.data, body);
		rc = add_statement(script, script->text.data + body,
				   script->text.len - body, refusal);
	}
	count_lines(script, script->text.data, script->text.len);
	script_text_drop(script);
	return rc;
}

void script_text_drop(struct script *script)
{
	/* A file is open for long after a large text: give it back. */
	buf_finish(&script->text);
	sql_splitter_reset(script->splitter);
	script->held = false;
	script->held_end = false;
}

void script_note_holders(struct statement *s, struct connection *c)
{
	struct buf holders;
	char *text;

	buf_init(&holders, 16 * 1024UL);
	buf_puts(&holders, "the sessions are held by:\n");
	connection_holders(c, &holders);
	text = buf_take(&holders);
	auto_lock(&s->lock);
	free(s->diagnosis.detail);
	s->diagnosis.detail = text;
}
