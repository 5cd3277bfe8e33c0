/* SPDX-License-Identifier: MIT */
#include "mount-helpers/job_label.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/err.h"
#include "fs/pathname.h"

static const char name_bytes[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				 "abcdefghijklmnopqrstuvwxyz"
				 "0123456789_";

int job_label_init(struct job_label *out, const char *text, struct err *err)
{
	size_t len = strcspn(text, "=");
	struct err why;
	int rc;

	*out = (struct job_label){0};
	if (text[len] != '=')
		return err_set(err, EINVAL, "--label %s: must be NAME=conn_id",
			       text);
	if (len == 0 || strspn(text, name_bytes) != len)
		return err_set(err, EINVAL,
			       "--label %s: the name must be of letters, "
			       "digits and _",
			       text);
	rc = pathname_check(text + len + 1, &why);
	if (rc < 0)
		return err_set(err, -rc, "--label %s: conn_id: %s", text,
			       why.msg);
	out->name = strndup(text, len);
	if (out->name == NULL)
		return err_set(err, ENOMEM, "out of memory");
	for (char *c = out->name; *c != '\0'; c++)
		*c = (char)toupper((unsigned char)*c);
	out->conn_id = text + len + 1;
	return 0;
}

/* at/conn_id/sql, as the tree has it; null: out of memory. */
static char *sql_path(const char *at, const char *conn_id)
{
	char *path = strdup(at);
	const char *component;
	char name[PATHNAME_MAX + 1];
	size_t len;

	while (path != NULL && pathname_next(&conn_id, &component, &len)) {
		char *longer = NULL;

		/* pathname_check() has seen that it is not too long. */
		(void)pathname_encode(name, component, len);
		if (asprintf(&longer, "%s/%s", path, name) < 0)
			longer = NULL;
		free(path);
		path = longer;
	}
	return path;
}

static int set(const char *prefix, const char *name, const char *value)
{
	auto_free char *variable = NULL;

	if (asprintf(&variable, "%s%s", prefix, name) < 0) {
		variable = NULL;
		return -ENOMEM;
	}
	return setenv(variable, value, 1) < 0 ? -errno : 0;
}

int job_label_set(const struct job_label *label, const char *at,
		  struct err *err)
{
	auto_free char *directory = sql_path(at, label->conn_id);
	auto_free char *sql = NULL;
	auto_close int fd = -1;
	int rc;

	if (directory == NULL || asprintf(&sql, "%s/sql", directory) < 0) {
		sql = NULL;
		return err_set(err, ENOMEM, "out of memory");
	}
	/* It is OPEN that decides who may use a connection. */
	fd = open(sql, O_RDONLY | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT)
		return err_set(err, ENOENT,
			       "--label %s: there is no connection %s that "
			       "this user may use",
			       label->name, label->conn_id);
	if (fd < 0)
		return err_sys(err, errno, "--label %s: %s", label->name, sql);
	rc = set("LAVA_CONN_", label->name, sql);
	if (rc == 0)
		rc = set("LAVA_CONNID_", label->name, label->conn_id);
	return rc < 0 ? err_sys(err, -rc, "--label %s", label->name) : 0;
}
