/* SPDX-License-Identifier: MIT */
#include "fs/tree_texts.h"

#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "auth/auth.h"
#include "common/buf.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "fs/access.h"
#include "fs/caller.h"
#include "fs/cgroup.h"
#include "fs/config.h"
#include "fs/connection.h"
#include "fs/conversation.h"
#include "fs/file.h"
#include "fs/mount.h"
#include "fs/version.h"

void text_version(struct buf *out, const struct view *v)
{
	(void)v;
	buf_puts(out, CONNFS_VERSION "\n");
}

void text_ready(struct buf *out, const struct view *v)
{
	(void)v;
	buf_puts(out, "ready\n"); /* the specs are read before the mount is */
}

static size_t count_sessions(const struct mount *m)
{
	size_t n = 0;

	for (const struct connection *c = m->connections; c != NULL;
	     c = c->next)
		n += c->n_sessions;
	return n;
}

void text_mount_status(struct buf *out, const struct view *v)
{
	const struct mount *m = v->mount;
	int64_t read_wall =
		m->refused_wall > 0 ? m->refused_wall : m->read_wall;
	char started[CLOCK_TEXT_SIZE], read[CLOCK_TEXT_SIZE];
	size_t n_connections = 0, n_conversations = 0;

	for (const struct connection *c = m->connections; c != NULL;
	     c = c->next) {
		n_connections += !c->removed;
		for (const struct conversation *conv = c->conversations;
		     conv != NULL; conv = conv->next)
			n_conversations++;
	}
	clock_text(m->started_wall, started);
	clock_text(read_wall, read);
	buf_printf(out,
		   "{\n  \"version\": \"%s\",\n  \"pid\": %d,\n"
		   "  \"started_at\": \"%s\",\n  \"connections\": %zu,\n"
		   "  \"spec_errors\": %zu,\n  \"source_read_at\": \"%s\",\n"
		   "  \"source_ok\": %s,\n  \"reloads\": %" PRIu64 ",\n"
		   "  \"conversations\": %zu,\n"
		   "  \"database_sessions\": %zu,\n  \"requests\": %" PRIu64
		   "\n}\n",
		   CONNFS_VERSION, (int)getpid(), started, n_connections,
		   m->config->n_errors, read,
		   reload_is_ok(m) ? "true" : "false", m->reload.n_done,
		   n_conversations, count_sessions(m), m->n_requests);
}

void text_errors(struct buf *out, const struct view *v)
{
	const struct config *config = v->mount->config;

	for (size_t i = 0; i < config->n_errors; i++)
		buf_printf(out, "%s\n", config->errors[i].text);
	if (v->mount->reload_error.code != 0)
		buf_printf(out, "%s: not read again: %s\n", v->mount->source,
			   v->mount->reload_error.msg);
}

void text_connection(struct buf *out, const struct view *v)
{
	auto_free char *text = spec_text(v->conn->spec);

	if (text != NULL)
		buf_puts(out, text);
	else
		out->failed = true;
}

void text_client(struct buf *out, const struct view *v)
{
	const struct conversation *conv = v->conv;
	bool known = conv != NULL && conv->env_known;
	char app_name[CONVERSATION_NAME_SIZE] = "";
	struct caller_env env = {0};
	struct caller_names names;

	caller_describe(v->caller, &names);
	names.cgroup = cgroup_read(v->caller->tid);
	if (known) {
		env = conv->env;
		conversation_app_name(conv, app_name, &names);
	}
	if (access_identity_json(out, v->caller, &names, &env,
				 known && conv->app_name[0] != '\0'
					 ? conv->app_name
					 : app_name) < 0)
		out->failed = true;
	caller_names_finish(&names);
}

void text_creds_state(struct buf *out, const struct view *v)
{
	struct auth_status status;

	auth_status(v->conn->spec->auth, &status);
	buf_printf(out, "%s\n", auth_state_name(status.state));
}

void text_creds_source(struct buf *out, const struct view *v)
{
	struct auth_status status;

	auth_status(v->conn->spec->auth, &status);
	if (status.source[0] != '\0')
		buf_printf(out, "%s\n", status.source);
}

void text_creds_user(struct buf *out, const struct view *v)
{
	struct auth_status status;

	auth_status(v->conn->spec->auth, &status);
	if (status.user[0] != '\0')
		buf_printf(out, "%s\n", status.user);
}

static void put_time_line(struct buf *out, int64_t seconds)
{
	char text[CLOCK_TEXT_SIZE];

	if (seconds == 0)
		return;
	clock_text(seconds * 1000, text);
	buf_printf(out, "%s\n", text);
}

void text_creds_issued(struct buf *out, const struct view *v)
{
	struct auth_status status;

	auth_status(v->conn->spec->auth, &status);
	put_time_line(out, status.issued_at);
}

void text_creds_expires(struct buf *out, const struct view *v)
{
	struct auth_status status;

	auth_status(v->conn->spec->auth, &status);
	put_time_line(out, status.expires_at);
}

/* Of what expires: expires_at is by AWS's clock. */
static int64_t seconds_left(const struct auth_status *status)
{
	int64_t left = status->expires_at - status->clock_offset -
		       clock_wall_ms() / 1000;

	return left > 0 ? left : 0;
}

void text_creds_ttl(struct buf *out, const struct view *v)
{
	struct auth_status status;

	auth_status(v->conn->spec->auth, &status);
	if (status.expires_at != 0)
		buf_printf(out, "%" PRId64 "\n", seconds_left(&status));
}

void text_creds_error(struct buf *out, const struct view *v)
{
	struct auth_status status;

	auth_status(v->conn->spec->auth, &status);
	if (status.error.code != 0)
		buf_printf(out, "%s\n", status.error.msg);
}

static void put_key(struct buf *out, const char *key)
{
	buf_printf(out, "%s  \"%s\": ", out->len > 0 ? ",\n" : "{\n", key);
}

static void put_text(struct buf *out, const char *key, const char *value)
{
	put_key(out, key);
	if (value[0] != '\0')
		buf_json(out, value, strlen(value));
	else
		buf_puts(out, "null");
}

static void put_number(struct buf *out, const char *key, bool known,
		       int64_t value)
{
	put_key(out, key);
	if (known)
		buf_printf(out, "%" PRId64, value);
	else
		buf_puts(out, "null");
}

static void put_time(struct buf *out, const char *key, int64_t seconds)
{
	char text[CLOCK_TEXT_SIZE] = "";

	if (seconds != 0)
		clock_text(seconds * 1000, text);
	put_text(out, key, text);
}

void text_creds_status(struct buf *out, const struct view *v)
{
	struct auth_status s;

	auth_status(v->conn->spec->auth, &s);
	put_text(out, "state", auth_state_name(s.state));
	put_text(out, "source", s.source);
	put_text(out, "user", s.user);
	put_text(out, "host", s.host);
	put_number(out, "port", s.port != 0, s.port);
	put_text(out, "database", s.database);
	put_time(out, "issued_at", s.issued_at);
	put_time(out, "expires_at", s.expires_at);
	put_number(out, "ttl", s.expires_at != 0, seconds_left(&s));
	put_text(out, "keys_source", s.keys_source);
	put_time(out, "keys_expire_at", s.keys_expire_at);
	put_number(out, "clock_offset_s", true, s.clock_offset);
	put_text(out, "error", s.error.code != 0 ? s.error.msg : "");
	buf_puts(out, "\n}\n");
}
