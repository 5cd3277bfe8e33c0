/* SPDX-License-Identifier: MIT */
#include "fs/tree_texts.h"

#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "auth/auth.h"
#include "common/buf.h"
#include "common/clock.h"
#include "fs/access.h"
#include "fs/caller.h"
#include "fs/config.h"
#include "fs/connection.h"
#include "fs/conversation.h"
#include "fs/file.h"
#include "fs/mount.h"
#include "fs/pathname.h"
#include "fs/version.h"

/* The path of a directory below the mount point. */
static void put_path(struct buf *out, const struct node *dir)
{
	if (dir->parent == NULL)
		return;
	put_path(out, dir->parent);
	if (dir->parent->parent != NULL)
		buf_putc(out, '/');
	buf_puts(out, dir->name);
}

void text_readme(struct buf *out, const struct view *v)
{
	bool any = false;

	buf_puts(
		out,
		"connfs: each directory here is a database connection.\n"
		"\n"
		"    echo 'select 1 as a;' > NAME/query.sql    run it; an error "
		"is the error of the write\n"
		"    cat NAME/result.csv                       its rows, as "
		"they come\n"
		"    cat NAME/error                            what went wrong, "
		"in the server's words\n"
		"    cat NAME/status.json                      how far it is\n"
		"    echo 1 > NAME/cancel                      stop it\n"
		"    echo '[42]' > NAME/params.json            values for the "
		"next statement's placeholders\n"
		"    mkdir NAME/sessions/mine                  the same files, "
		"with transactions of your own;\n"
		"                                              rmdir ends it\n"
		"\n"
		"results/1.csv, 2.csv .. are the result sets of a script of "
		"several statements; creds/ says\n"
		"which login is used and how it stands; client.json says who "
		"connfs thinks you are. Results\n"
		"are seen in the login session that asked for them, by nobody "
		"else.\n"
		"\n");
	for (struct connection *c = v->mount->connections; c != NULL;
	     c = c->next) {
		if (c->dir == NULL ||
		    !access_allowed(&c->spec->access, v->caller))
			continue;
		if (!any)
			buf_puts(out, "Your connections:\n\n");
		any = true;
		buf_puts(out, "    ");
		put_path(out, c->dir);
		buf_printf(out, "  (%s)", c->spec->engine->type);
		if (c->spec->description != NULL)
			buf_printf(out, "  %s", c->spec->description);
		buf_putc(out, '\n');
	}
	if (!any)
		buf_puts(out, "There is no connection that you may use.\n");
}

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
	char started[CLOCK_TEXT_SIZE];
	size_t n_connections = 0, n_conversations = 0;

	for (const struct connection *c = m->connections; c != NULL;
	     c = c->next) {
		n_connections++;
		for (const struct conversation *conv = c->conversations;
		     conv != NULL; conv = conv->next)
			n_conversations++;
	}
	clock_text(m->started_wall, started);
	buf_printf(out,
		   "{\n  \"version\": \"%s\",\n  \"pid\": %d,\n"
		   "  \"started_at\": \"%s\",\n  \"connections\": %zu,\n"
		   "  \"spec_errors\": %zu,\n  \"conversations\": %zu,\n"
		   "  \"database_sessions\": %zu,\n  \"requests\": %" PRIu64
		   "\n}\n",
		   CONNFS_VERSION, (int)getpid(), started, n_connections,
		   m->config->n_errors, n_conversations, count_sessions(m),
		   m->n_requests);
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
	buf_puts(out, v->conn->spec->connection_json);
}

void text_client(struct buf *out, const struct view *v)
{
	const struct conversation *conv = v->conv;
	bool known = conv != NULL && conv->env_known;
	char app_name[CONVERSATION_NAME_SIZE] = "";
	struct caller_env env = {0};
	struct caller_names names;

	caller_describe(v->caller, &names);
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

void text_creds_error(struct buf *out, const struct view *v)
{
	struct auth_status status;

	auth_status(v->conn->spec->auth, &status);
	if (status.error.code != 0)
		buf_printf(out, "%s\n", status.error.msg);
}

static void put_json(struct buf *out, const char *key, const char *value)
{
	buf_printf(out, "  \"%s\": ", key);
	if (value[0] != '\0')
		buf_json(out, value, strlen(value));
	else
		buf_puts(out, "null");
}

static void put_time(struct buf *out, const char *key, int64_t seconds)
{
	char text[CLOCK_TEXT_SIZE] = "";

	if (seconds != 0)
		clock_text(seconds * 1000, text);
	put_json(out, key, text);
	buf_puts(out, ",\n");
}

void text_creds_status(struct buf *out, const struct view *v)
{
	struct auth_status status;

	auth_status(v->conn->spec->auth, &status);
	buf_puts(out, "{\n");
	put_json(out, "state", auth_state_name(status.state));
	buf_puts(out, ",\n");
	put_json(out, "source", status.source);
	buf_puts(out, ",\n");
	put_json(out, "user", status.user);
	buf_puts(out, ",\n");
	put_time(out, "issued_at", status.issued_at);
	put_time(out, "expires_at", status.expires_at);
	put_json(out, "error", status.error.code != 0 ? status.error.msg : "");
	buf_puts(out, "\n}\n");
}
