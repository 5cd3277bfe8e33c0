/* SPDX-License-Identifier: MIT */
#include "fs/options.h"

#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/err.h"

const char options_help[] =
	"usage: connfs [-f] [-d] [-o option[,option...]] SOURCE MOUNTPOINT\n"
	"       connfs --check SOURCE\n"
	"       connfs --ready MOUNTPOINT [CONN] [--wait 30s]\n"
	"       connfs attach [--from MOUNTPOINT] --at DIRECTORY PID\n"
	"       connfs detach --at DIRECTORY PID\n"
	"       connfs --help | --version\n"
	"\n"
	"Mounts the database connections of SOURCE, a JSON file or a directory "
	"of *.json,\n"
	"at MOUNTPOINT. Returns when the mount can be used.\n"
	"\n"
	"  -f               stay in the foreground and log to stderr\n"
	"  -d               log more\n"
	"  -o allow_other   let other users in (each spec's `access` says whom)\n"
	"  -o ro            make every connection read-only\n"
	"  -o KEY=VALUE     a setting: realm, conn_app_name, spool_memory, "
	"spool_memory_total,\n"
	"                   spool_disk, spool_dir, max_row, settle_time, "
	"queue_timeout,\n"
	"                   idle_timeout, idle_in_transaction_timeout, "
	"session_timeout,\n"
	"                   connect_timeout, param_cache_ttl, "
	"max_connections\n"
	"  --until PID      end when that process has ended\n"
	"  --fd N           serve the FUSE device N, which that process has "
	"mounted at\n"
	"                   MOUNTPOINT in its own namespaces; with --until\n"
	"  --check SOURCE   validate every spec, one line each; no network\n"
	"\n"
	"Exit status: 0 mounted, 1 usage or configuration error, 2 cannot "
	"mount.\n"
	"SIGHUP reads SOURCE again; umount MOUNTPOINT, SIGTERM and SIGINT "
	"end it.\n";

static int append(char ***list, size_t *n, const char *value)
{
	char **grown = reallocarray(*list, *n + 2, sizeof(*grown));
	char *copy = strdup(value);

	if (grown != NULL)
		*list = grown;
	if (grown == NULL || copy == NULL) {
		free(copy);
		return -ENOMEM;
	}
	grown[(*n)++] = copy;
	grown[*n] = NULL;
	return 0;
}

/* key=value that the mount itself takes; all others are settings. */
static bool is_fuse_value(const char *option)
{
	static const char *const keys[] = {"fsname=", "subtype=", "max_read=",
					   "context="};

	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		if (strncmp(option, keys[i], strlen(keys[i])) == 0)
			return true;
	}
	return false;
}

/* What only mount(8) and systemd mean, or what times of access are kept. */
static bool is_fstab_word(const char *option)
{
	static const char *const words[] = {
		"defaults",    "rw",         "auto",          "noauto",
		"user",        "users",      "owner",         "group",
		"nofail",      "_netdev",    "relatime",      "norelatime",
		"strictatime", "nodiratime", "nostrictatime", "diratime",
		"lazytime",    "nolazytime", "silent",        "loud",
	};
	static const char *const prefixes[] = {"x-", "X-", "comment=", "user="};

	for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++) {
		if (strncmp(option, prefixes[i], strlen(prefixes[i])) == 0)
			return true;
	}
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (strcmp(option, words[i]) == 0)
			return true;
	}
	return false;
}

static int add_options(struct options *o, const char *text)
{
	auto_free char *copy = strdup(text);
	char *rest = copy, *option;
	int rc = copy != NULL ? 0 : -ENOMEM;

	while (rc == 0 && (option = strsep(&rest, ",")) != NULL) {
		if (option[0] == '\0' || is_fstab_word(option))
			continue;
		if (strcmp(option, "ro") == 0 ||
		    (strchr(option, '=') != NULL && !is_fuse_value(option)))
			rc = append(&o->settings, &o->n_settings, option);
		else
			rc = append(&o->fuse, &o->n_fuse, option);
	}
	return rc;
}

/*
 * As it was given: every link on the way to SOURCE is looked at when it is
 * opened.
 */
static char *absolute(const char *path)
{
	auto_free char *cwd = path[0] != '/' ? getcwd(NULL, 0) : NULL;
	char *whole;

	if (cwd == NULL)
		return strdup(path);
	return asprintf(&whole, "%s/%s", cwd, path) < 0 ? NULL : whole;
}

/*
 * One that does not exist stays as it is: whoever mounts says so. A slash at
 * the end would have the file system asked that is mounted there.
 */
static char *resolved(const char *path)
{
	auto_free char *bare = strdup(path);
	size_t len = strlen(path);
	char *real;

	if (bare == NULL)
		return NULL;
	while (len > 1 && bare[len - 1] == '/')
		bare[--len] = '\0';
	real = realpath(bare, NULL);
	return real != NULL ? real : absolute(bare);
}

static int take_paths(struct options *o, int n, char **paths, struct err *err)
{
	int wanted = o->check ? 1 : 2;

	if (n != wanted)
		return err_set(err, EINVAL, "%s; see connfs --help",
			       n < wanted ? (o->check ? "SOURCE is missing"
					     : n == 0 ? "SOURCE and MOUNTPOINT "
							"are missing"
						      : "MOUNTPOINT is missing")
					  : "too many arguments");
	o->source = absolute(paths[0]);
	if (!o->check)
		o->mountpoint = resolved(paths[1]);
	if (o->source == NULL || (!o->check && o->mountpoint == NULL))
		return err_set(err, ENOMEM, "out of memory");
	return 0;
}

/* A process or a descriptor. */
static int take_number(int *out, const char *option, const char *text,
		       int least, struct err *err)
{
	char *end;
	long number = strtol(text, &end, 10);

	if (*end != '\0' || end == text || number < least || number > INT_MAX)
		return err_set(err, EINVAL,
			       "%s %s: must be a number from %d on; see "
			       "connfs --help",
			       option, text, least);
	*out = (int)number;
	return 0;
}

int options_parse(struct options *out, int argc, char **argv, struct err *err)
{
	static const struct option long_options[] = {
		{"check", no_argument, NULL, 'c'},
		{"fd", required_argument, NULL, 'F'},
		{"until", required_argument, NULL, 'u'},
		{"help", no_argument, NULL, 'h'},
		{"version", no_argument, NULL, 'V'},
		{0},
	};
	int c, rc;

	*out = (struct options){.fd = -1};
	opterr = 0;
	while ((c = getopt_long(argc, argv, "dfho:V", long_options, NULL)) >=
	       0) {
		switch (c) {
		case 'c':
			out->check = true;
			break;
		case 'd':
			out->debug = true;
			break;
		case 'f':
			out->foreground = true;
			break;
		case 'h':
			out->help = true;
			return 0;
		case 'V':
			out->version = true;
			return 0;
		case 'u':
			rc = take_number(&out->until, "--until", optarg, 1,
					 err);
			if (rc < 0)
				return rc;
			break;
		case 'F':
			rc = take_number(&out->fd, "--fd", optarg, 0, err);
			if (rc < 0)
				return rc;
			break;
		case 'o':
			rc = add_options(out, optarg);
			if (rc < 0)
				return err_set(err, -rc, "out of memory");
			break;
		default:
			return err_set(err, EINVAL,
				       "unknown option or missing value: %s; "
				       "see connfs --help",
				       argv[optind - 1]);
		}
	}
	if (out->fd >= 0 && out->until == 0)
		return err_set(err, EINVAL,
			       "--fd needs --until; see connfs --help");
	return take_paths(out, argc - optind, argv + optind, err);
}

void options_finish(struct options *options)
{
	for (size_t i = 0; i < options->n_settings; i++)
		free(options->settings[i]);
	for (size_t i = 0; i < options->n_fuse; i++)
		free(options->fuse[i]);
	free(options->settings);
	free(options->fuse);
	free(options->source);
	free(options->mountpoint);
}
