/* SPDX-License-Identifier: MIT */
/* password_command: the first line that a program prints. */
#include "auth/provider.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "auth/program.h"
#include "common/cleanup.h"
#include "common/trust.h"

unsigned auth_command_limit_ms = 30000;

struct command {
	char **argv;
};

static void command_destroy(void *state)
{
	struct command *c = state;

	for (size_t i = 0; c->argv != NULL && c->argv[i] != NULL; i++)
		free(c->argv[i]);
	free(c->argv);
	free(c);
}

static int copy_argv(struct command *c, const char *const *argv)
{
	size_t n = 0;

	while (argv[n] != NULL)
		n++;
	c->argv = calloc(n + 1, sizeof(*c->argv));
	for (size_t i = 0; c->argv != NULL && i < n; i++) {
		c->argv[i] = strdup(argv[i]);
		if (c->argv[i] == NULL)
			return -ENOMEM;
	}
	return c->argv != NULL ? 0 : -ENOMEM;
}

/* What could be changed by others would run with the daemon's rights. */
static int check_program(const char *path, struct err *err)
{
	auto_close int fd = -1;
	struct err why = {0};
	struct stat st;

	if (path == NULL || path[0] != '/')
		return err_set(err, EINVAL,
			       "password_command: must begin with the absolute "
			       "path of a program");
	fd = trust_open(path, O_PATH, &why);
	if (fd < 0)
		return err_set(err, why.code, "password_command: %s", why.msg);
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) ||
	    faccessat(AT_FDCWD, path, X_OK, AT_EACCESS) < 0)
		return err_set(err, EACCES,
			       "password_command: %s is not a program that can "
			       "be run",
			       path);
	return 0;
}

static int command_create(void **state, const struct auth_config *config,
			  struct err *err)
{
	struct command *c;
	int rc = check_program(config->argv[0], err);

	if (rc < 0)
		return rc;
	c = calloc(1, sizeof(*c));
	if (c == NULL || copy_argv(c, config->argv) < 0) {
		if (c != NULL)
			command_destroy(c);
		return err_set(err, ENOMEM, "password_command: out of memory");
	}
	*state = c;
	return 0;
}

static int command_issue(void *state, struct credential *out, struct err *err)
{
	const struct command *c = state;
	const struct program program = {
		.what = "password_command",
		.argv = c->argv,
		.max = AUTH_LINE_MAX + 2, /* a line too long, and its end */
		.limit_ms = auth_command_limit_ms,
	};
	auto_secret struct secret text = {0};
	int rc = program_run(&text, &program, err);

	if (rc < 0)
		return rc;
	return auth_first_line(&out->password, text.data, text.len,
			       "password_command", err);
}

const struct auth_provider auth_command_provider = {
	.source = "command",
	.create = command_create,
	.issue = command_issue,
	.destroy = command_destroy,
};
