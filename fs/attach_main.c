/* SPDX-License-Identifier: MIT */
/* The commands attach and detach. */
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/err.h"
#include "common/log.h"
#include "fs/attach.h"

enum {
	EXIT_USAGE = 1,
	EXIT_CANNOT = 2,
};

struct command {
	const char *from; /* null: not given */
	struct attach_target target;
};

static int parse(struct command *out, int argc, char **argv, struct err *err)
{
	static const struct option options[] = {
		{"at", required_argument, NULL, 'a'},
		{"from", required_argument, NULL, 'f'},
		{0},
	};
	bool attach = strcmp(argv[0], "attach") == 0;
	char *end = NULL;
	long pid;
	int c;

	*out = (struct command){.target.root = "/"};
	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c == 'a')
			out->target.at = optarg;
		else if (c == 'f' && attach)
			out->from = optarg;
		else
			return err_set(err, EINVAL, "see connfs --help");
	}
	if (out->target.at == NULL)
		return err_set(err, EINVAL,
			       "--at is missing; see connfs --help");
	if (out->target.at[0] != '/')
		return err_set(err, EINVAL, "--at %s: not an absolute path",
			       out->target.at);
	if (optind != argc - 1)
		return err_set(err, EINVAL,
			       "one PID is wanted; see connfs --help");
	pid = strtol(argv[optind], &end, 10);
	if (*end != '\0' || pid <= 0 || pid > INT_MAX)
		return err_set(err, EINVAL, "%s: not a process", argv[optind]);
	out->target.pid = (pid_t)pid;
	return 0;
}

static int run(int argc, char **argv, bool attach)
{
	struct command c;
	struct err err;
	int status = EXIT_USAGE;
	int rc = parse(&c, argc, argv, &err);

	if (rc == 0) {
		status = EXIT_CANNOT;
		rc = attach ? attach_mount(c.from, &c.target, &err)
			    : attach_remove(&c.target, &err);
	}
	if (rc < 0) {
		log_error("%s: %s", argv[0], err.msg);
		return status;
	}
	return EXIT_SUCCESS;
}

int attach_main(int argc, char **argv)
{
	return run(argc, argv, true);
}

int detach_main(int argc, char **argv)
{
	return run(argc, argv, false);
}
