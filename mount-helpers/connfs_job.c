/* SPDX-License-Identifier: MIT */
/*
 * connfs-job: runs a command with a mount of its own. The command takes the
 * place of this process, so that its standard input, signals, terminal and
 * exit status are what they would be without.
 */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/err.h"
#include "mount-helpers/job_label.h"
#include "mount-helpers/job_mount.h"

/* As connfs, and beyond them as env(1). */
enum {
	EXIT_USAGE = 1,
	EXIT_MOUNT = 2,
	EXIT_CANNOT_RUN = 126,
	EXIT_NOT_FOUND = 127,
};

static const char help[] =
	"usage: connfs-job [--source SRC] [--at DIRECTORY] "
	"[--label NAME=conn_id]...\n"
	"                  [--] COMMAND [ARGUMENT...]\n"
	"       connfs-job --help | --version\n"
	"\n"
	"Runs COMMAND with the connections of SRC mounted at DIRECTORY, for "
	"it and all\n"
	"that it starts, and for nobody else. The mount ends with COMMAND.\n"
	"\n"
	"  --source SRC     specs, a file or a directory; for root "
	"/etc/connfs,\n"
	"                   else ${XDG_CONFIG_HOME:-~/.config}/connfs\n"
	"  --at DIRECTORY   one that exists; /conn if not given\n"
	"  --label NAME=conn_id\n"
	"                   sets LAVA_CONN_<NAME> to the path of that "
	"connection's `sql`\n"
	"                   and LAVA_CONNID_<NAME> to conn_id; may be given "
	"several times\n"
	"\n"
	"Exit status: that of COMMAND; 1 usage or configuration, 2 cannot "
	"mount,\n"
	"126 COMMAND cannot be run, 127 there is no such command.\n";

struct job {
	char *source; /* owned; null: the default */
	char *at;     /* owned */
	struct job_label *labels;
	size_t n_labels;
	char **command;
	bool help;
	bool version;
};

static int add_label(struct job *job, const char *text, struct err *err)
{
	struct job_label *label = &job->labels[job->n_labels];
	int rc = job_label_init(label, text, err);

	if (rc < 0)
		return rc;
	job->n_labels++;
	for (const struct job_label *l = job->labels; l < label; l++) {
		if (strcmp(l->name, label->name) == 0)
			return err_set(err, EINVAL, "--label %s is given twice",
				       label->name);
	}
	return 0;
}

static int replace(char **out, const char *value, struct err *err)
{
	free(*out);
	*out = strdup(value);
	return *out != NULL ? 0 : err_set(err, ENOMEM, "out of memory");
}

static int parse(struct job *job, int argc, char **argv, struct err *err)
{
	static const struct option options[] = {
		{"source", required_argument, NULL, 's'},
		{"at", required_argument, NULL, 'a'},
		{"label", required_argument, NULL, 'l'},
		{"help", no_argument, NULL, 'h'},
		{"version", no_argument, NULL, 'V'},
		{0},
	};
	int rc = 0;
	int c;

	opterr = 0;
	while (rc == 0 &&
	       (c = getopt_long(argc, argv, "+", options, NULL)) >= 0) {
		if (c == 's')
			rc = replace(&job->source, optarg, err);
		else if (c == 'a')
			rc = replace(&job->at, optarg, err);
		else if (c == 'l')
			rc = add_label(job, optarg, err);
		else if (c == 'h')
			job->help = true;
		else if (c == 'V')
			job->version = true;
		else
			rc = err_set(err, EINVAL,
				     "unknown option or missing value: %s; "
				     "see connfs-job --help",
				     argv[optind - 1]);
	}
	job->command = argv + optind;
	if (rc == 0 && !job->help && !job->version && optind == argc)
		rc = err_set(err, EINVAL,
			     "COMMAND is missing; see connfs-job --help");
	return rc;
}

static int default_source(char **out, struct err *err)
{
	const char *config = getenv("XDG_CONFIG_HOME");
	const char *home = getenv("HOME");
	int n;

	if (geteuid() == 0)
		return replace(out, "/etc/connfs", err);
	/* A relative one is to be ignored, says its specification. */
	if (config != NULL && config[0] == '/')
		n = asprintf(out, "%s/connfs", config);
	else if (home != NULL && home[0] != '\0')
		n = asprintf(out, "%s/.config/connfs", home);
	else
		return err_set(err, EINVAL, "HOME is not set: give --source");
	if (n >= 0)
		return 0;
	*out = NULL;
	return err_set(err, ENOMEM, "out of memory");
}

/* 0, or the exit status; err has why unless connfs has said it. */
static int set_up(struct job *job, struct err *err)
{
	const char *at = job->at != NULL ? job->at : "/conn";
	char *real = realpath(at, NULL);
	int rc;

	if (real == NULL) {
		(void)err_sys(err, errno, "--at %s", at);
		return EXIT_MOUNT;
	}
	free(job->at);
	job->at = real;
	rc = job_mount(job->source, job->at, err);
	if (rc != 0)
		return rc < 0 ? EXIT_MOUNT : rc;
	for (size_t i = 0; i < job->n_labels; i++) {
		if (job_label_set(&job->labels[i], job->at, err) < 0)
			return EXIT_USAGE;
	}
	return 0;
}

static int run(struct job *job)
{
	const struct sigaction normal = {.sa_handler = SIG_DFL};
	struct sigaction given;
	struct err err = {0};
	int rc = EXIT_USAGE;

	/* connfs is waited for; the command gets SIGCHLD as it was. */
	(void)sigaction(SIGCHLD, &normal, &given);
	if (job->source != NULL || default_source(&job->source, &err) == 0)
		rc = set_up(job, &err);
	(void)sigaction(SIGCHLD, &given, NULL);
	if (rc == 0) {
		(void)execvp(job->command[0], job->command);
		rc = errno == ENOENT ? EXIT_NOT_FOUND : EXIT_CANNOT_RUN;
		(void)err_sys(&err, errno, "%s", job->command[0]);
	}
	if (err.code != 0)
		(void)fprintf(stderr, "connfs-job: %s\n", err.msg);
	return rc;
}

static void finish(struct job *job)
{
	for (size_t i = 0; i < job->n_labels; i++)
		free(job->labels[i].name);
	free(job->labels);
	free(job->source);
	free(job->at);
}

int main(int argc, char **argv)
{
	struct job job = {
		.labels = calloc((size_t)argc, sizeof(*job.labels)),
	};
	struct err err = {0};
	int rc = EXIT_USAGE;

	if (job.labels == NULL)
		(void)fputs("connfs-job: out of memory\n", stderr);
	else if (parse(&job, argc, argv, &err) < 0)
		(void)fprintf(stderr, "connfs-job: %s\n", err.msg);
	else if (job.help)
		rc = fputs(help, stdout) < 0;
	else if (job.version)
		rc = puts("connfs-job " CONNFS_VERSION) < 0;
	else
		rc = run(&job);
	finish(&job);
	return rc;
}
