/* SPDX-License-Identifier: MIT */
/* password_file: the first line of a file, as it is at each login. */
#include "auth/provider.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/cleanup.h"
#include "common/log.h"
#include "common/trust.h"

/* The open file, or a negative errno; err begins with the key. */
static int open_file(const char *path, struct stat *st, struct err *err)
{
	auto_close int fd = -1;
	struct err why = {0};

	fd = trust_open(path, O_RDONLY, &why);
	if (fd < 0)
		return err_set(err, why.code, "password_file: %s", why.msg);
	if (fstat(fd, st) < 0)
		return err_sys(err, errno, "password_file: %s", path);
	if (!S_ISREG(st->st_mode))
		return err_set(err, EINVAL,
			       "password_file: %s is not a regular file", path);
	return take_fd(&fd);
}

static void file_destroy(void *state)
{
	free(state);
}

static int file_create(void **state, const struct auth_config *config,
		       struct err *err)
{
	auto_close int fd = -1;
	struct err why = {0};
	struct stat st = {0};

	if (config->value[0] != '/')
		return err_set(err, EINVAL,
			       "password_file: must be an absolute path");
	fd = open_file(config->value, &st, &why);
	if (fd < 0 && why.code != ENOENT) {
		*err = why;
		return fd;
	}
	/* What writes it (an agent, a volume) may start after the mount. */
	if (fd < 0)
		log_warn("%s", why.msg);
	else if ((st.st_mode & (S_IRGRP | S_IROTH)) != 0)
		log_warn("password_file: %s can be read by others than its "
			 "owner",
			 config->value);
	*state = strdup(config->value);
	if (*state == NULL)
		return err_set(err, ENOMEM, "password_file: out of memory");
	return 0;
}

static int file_issue(void *state, struct credential *out, struct err *err)
{
	enum { ROOM = AUTH_LINE_MAX + 2 }; /* a line too long, and its end */
	const char *path = state;
	auto_secret struct secret text = {0};
	auto_close int fd = -1;
	struct stat st;
	ssize_t n;

	fd = open_file(path, &st, err);
	if (fd < 0)
		return fd;
	if (secret_alloc(&text, ROOM) < 0)
		return err_set(err, ENOMEM, "password_file: out of memory");
	n = secret_read(&text, fd);
	if (n < 0)
		return err_sys(err, (int)-n, "password_file: %s", path);
	return auth_first_line(&out->password, text.data, (size_t)n,
			       "password_file", err);
}

const struct auth_provider auth_file_provider = {
	.source = "file",
	.reread = true,
	.create = file_create,
	.issue = file_issue,
	.destroy = file_destroy,
};
