/* SPDX-License-Identifier: MIT */
#include "fs/readme.h"

#include <stdio.h>
#include <string.h>

#include "auth/auth.h"
#include "backends/sql.h"
#include "common/buf.h"
#include "common/cleanup.h"
#include "common/utf8.h"
#include "fs/access.h"
#include "fs/caller.h"
#include "fs/config.h"
#include "fs/connection.h"
#include "fs/file.h"
#include "fs/mount.h"
#include "fs/pathname.h"

enum {
	MAX_SHOWN = 100,
	COLUMNS = 100,
	MAX_WORD = 64 * 1024, /* a mount point, and a conn_id encoded */
};

/*
 * {FILE} is the path of that file of the connection, as a word of the shell;
 * {} is a placeholder of its SQL. Lines that are indented are for the shell.
 */
static const char how[] =
	"A statement ends with a semicolon. What is wrong with it is the error "
	"of the write:\n"
	"    echo 'select 1 as a;' > {query.sql} && cat {result.csv}\n"
	"The same rows are in result.json, result.jsonl, result.tsv, and "
	"aligned in result.txt:\n"
	"    echo 'select 1 as a;' > {query.sql} && cat {result.json}\n"
	"In one command and apart from all others, as csv, tsv, json, jsonl or "
	"txt:\n"
	"    {sql} -f json 'select 1 as a'\n"
	"Values are bound and never pasted into the text:\n"
	"    {sql} 'select {} as a' -- \"O'Brien\"\n"
	"    echo '[42]' > {params.json} && echo 'select {} as a;' > "
	"{query.sql} && cat {result.csv}\n";

static const char saved[] =
	"A saved query runs anew whenever its result is opened, in any of the "
	"formats:\n"
	"    echo 'select 1 as a;' > {queries/one.sql} && cat "
	"{queries/one.json}\n";

/* For programs that cannot read what has no size before it is opened. */
static const char saved_for_busybox[] =
	"A saved query can be run at any time:\n"
	"    echo 'select 1 as a;' > {queries/one.sql} && {sql} -f json < "
	"{queries/one.sql}\n";

static const char more[] =
	"A directory in sessions/ is a database session of your own, for "
	"transactions; rmdir ends it:\n"
	"    S=$(mktemp -d {sessions/XXXXXX})\n"
	"    echo 'begin; select 1 as a;' > \"$S\"/query.sql && cat "
	"\"$S\"/result.csv\n"
	"    echo 'commit;' > \"$S\"/query.sql; rmdir \"$S\"\n"
	"What went wrong, in the server's words; and why no login can be "
	"had:\n"
	"    cat {error} {creds/error}\n"
	"How far it is; done, as soon as it has ended; stop it:\n"
	"    cat {status.json}; cat {wait}\n"
	"    echo 1 > {cancel}\n";

static const char files[] =
	"Results are seen in the shell that asked and by what it starts, by "
	"nobody else. Where each command\n"
	"has a shell of its own (docker exec, cron, agents), put both on one "
	"line as above, or use sql.\n"
	"\n"
	"query.sql         write: run it; read: the last statement; opened for "
	"both: a private session\n"
	"params.json       the values of the next statement, as a JSON array\n"
	"result.csv ..     its rows: .csv .tsv .json .jsonl .txt\n"
	"results/          1.csv, 2.csv ..: of a script of several "
	"statements\n"
	"status.json       state, rows, bytes, milliseconds, columns\n"
	"wait              can be read when the statement has ended; fails as "
	"it did\n"
	"error             the last failure; empty when there is none\n"
	"cancel            write anything: cancel the statement\n"
	"sql               runs its argument, or what it is piped\n"
	"sessions/         mkdir NAME: the same files, a session of your "
	"own\n"
	"queries/          write NAME.sql; opening NAME.csv runs it\n"
	"creds/            the login: its state, until when, why it failed\n"
	"client.json       who connfs thinks you are\n"
	"connection.json   where it leads, without secrets\n"
	".connfs/          beside this file: statements, what of yours runs in "
	"any shell; cancel, by its id\n";

struct readme {
	struct buf *out;
	const struct view *v;
	struct access_check access;
	bool absolute;
	const struct connection *first;
	size_t n_shown;
	size_t n_more;
};

static void put_path(struct buf *out, const struct node *dir)
{
	if (dir->parent == NULL)
		return;
	put_path(out, dir->parent);
	buf_putc(out, '/');
	buf_puts(out, dir->name);
}

/* Means itself in every shell. */
static bool is_plain(const char *word)
{
	return word[strspn(word, "abcdefghijklmnopqrstuvwxyz"
				 "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				 "0123456789/._-+:@%,")] == '\0';
}

static void put_quoted(struct buf *out, const char *word)
{
	buf_putc(out, '\'');
	for (; *word != '\0'; word++) {
		if (*word == '\'')
			buf_puts(out, "'\\''");
		else
			buf_putc(out, *word);
	}
	buf_putc(out, '\'');
}

/* A file of the connection, as a word of the shell. */
static void put_word(const struct readme *r, const struct connection *c,
		     const char *file)
{
	struct buf word;
	const char *text;

	buf_init(&word, MAX_WORD);
	buf_puts(&word, r->absolute ? r->v->mount->mountpoint : ".");
	put_path(&word, c->dir);
	buf_putc(&word, '/');
	buf_puts(&word, file);
	text = buf_cstr(&word);
	if (text == NULL)
		r->out->failed = true;
	else if (is_plain(text))
		buf_puts(r->out, text);
	else
		put_quoted(r->out, text);
	buf_finish(&word);
}

static void put_lines(const struct readme *r, const char *text)
{
	bool numbered = r->first->spec->engine->dialect == SQL_POSTGRES;
	char file[32];

	while (*text != '\0') {
		size_t len = strcspn(text, "{");

		buf_put(r->out, text, len);
		text += len;
		if (*text == '\0')
			break;
		len = strcspn(++text, "}");
		(void)snprintf(file, sizeof(file), "%.*s", (int)len, text);
		if (len == 0)
			buf_puts(r->out, numbered ? "$1" : "?");
		else
			put_word(r, r->first, file);
		text += len + 1;
	}
}

/* One line of it, whatever stands in the spec. */
static void put_title(struct buf *out, const struct spec *spec)
{
	struct auth_status status;
	char line[COLUMNS - 1];
	struct buf title;

	auth_status(spec->auth, &status);
	buf_init(&title, MAX_WORD);
	buf_printf(&title, "%s: %s", spec->conn_id, spec->engine->type);
	if (spec->engine->is_file)
		buf_printf(&title, ", file %s", basename(spec->host));
	else if (spec->database != NULL)
		buf_printf(&title, ", database %s", spec->database);
	else if (status.database[0] != '\0')
		buf_printf(&title, ", database %s", status.database);
	if (spec->description != NULL)
		buf_printf(&title, ": %s", spec->description);
	utf8_line(line, sizeof(line), title.data, title.len);
	buf_printf(out, "%s%s\n", line, strlen(line) < title.len ? ".." : "");
	buf_finish(&title);
}

static void put_connection(struct readme *r, const struct connection *c)
{
	put_title(r->out, c->spec);
	buf_puts(r->out, "    ");
	put_word(r, c, "sql");
	buf_puts(r->out, " 'select 1 as a'\n");
}

static void put_connections(struct readme *r)
{
	for (const struct connection *c = r->v->mount->connections; c != NULL;
	     c = c->next) {
		if (c->dir == NULL ||
		    !access_check(&r->access, &c->spec->access))
			continue;
		if (r->first == NULL) {
			r->first = c;
			buf_puts(r->out,
				 "You may use these, each with a line that "
				 "runs a query:\n\n");
		}
		if (r->n_shown < MAX_SHOWN) {
			put_connection(r, c);
			r->n_shown++;
		} else {
			r->n_more++;
		}
	}
	if (r->n_more > 0)
		buf_printf(r->out,
			   ".. and %zu more: they are the directories "
			   "here.\n",
			   r->n_more);
}

static void put_none(const struct readme *r)
{
	if (caller_is_owner(r->v->caller))
		buf_puts(r->out, "There is none: SOURCE has no connection with "
				 "\"enabled\": true that is right.\n"
				 ".connfs/errors says what is wrong with the "
				 "others.\n");
	else
		buf_printf(r->out,
			   "There is none that you, uid %u, may use. Whom a "
			   "connection is for stands under \"access\"\n"
			   "in its spec, which the owner of the mount "
			   "writes.\n",
			   (unsigned)r->v->caller->uid);
}

static void put_how(const struct readme *r)
{
	char conn_id[PATHNAME_MAX];

	utf8_line(conn_id, sizeof(conn_id), r->first->spec->conn_id,
		  strlen(r->first->spec->conn_id));
	buf_printf(r->out, "\nHow, here with %s. %s\n\n", conn_id,
		   r->absolute ? "Indented lines can be pasted into a shell."
			       : "Indented lines can be pasted into a shell, "
				 "in the directory of this file.");
	put_lines(r, how);
	put_lines(r,
		  caller_trusts_size(r->v->caller) ? saved_for_busybox : saved);
	put_lines(r, more);
	buf_puts(r->out, "\n");
	buf_puts(r->out, files);
}

void text_readme(struct buf *out, const struct view *v)
{
	struct readme r = {
		.out = out,
		.v = v,
		.access = {.caller = v->caller},
		.absolute = caller_in_own_mount_ns(v->caller),
	};

	buf_puts(out, "connfs: databases as files. Write SQL to the query.sql "
		      "of a connection, read the rows from its\n"
		      "result.csv. There is no driver to install and no "
		      "password to know: connfs logs in for you.\n\n");
	put_connections(&r);
	if (r.first != NULL)
		put_how(&r);
	else
		put_none(&r);
	access_check_finish(&r.access);
}
