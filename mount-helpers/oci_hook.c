/* SPDX-License-Identifier: MIT */
/*
 * oci-hook [--from MOUNTPOINT]
 *
 * Attaches connfs to a container that is being made, at the place that its
 * annotation "connfs" names. A hook of the OCI runtime specification, for the
 * stage createRuntime: the mount namespace is there, and the container's root
 * is not its root yet. What fails fails the container. Exit status: 0, also
 * without the annotation; 1 usage or input; 2 it cannot be attached.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#include "common/buf.h"
#include "common/cleanup.h"
#include "common/err.h"
#include "common/log.h"
#include "fs/attach.h"

enum {
	EXIT_INPUT = 1,
	EXIT_CANNOT = 2,
	MAX_JSON =
		16 << 20, /* bytes; environment and seccomp rules are there */
};

#define ANNOTATION "connfs"

/* Owned, and what the texts point into. */
struct container {
	json_t *state;
	json_t *config;
	char *root;
	struct attach_target target;
};

static void container_finish(struct container *c)
{
	json_decref(c->state);
	json_decref(c->config);
	free(c->root);
}

static int read_json(json_t **out, int fd, const char *name, struct err *err)
{
	json_error_t error;
	struct buf text;
	int rc;

	buf_init(&text, MAX_JSON + 1);
	rc = buf_read(&text, fd);
	if (rc < 0) {
		(void)err_sys(err, -rc, "%s", name);
	} else if (text.len > MAX_JSON) {
		rc = err_set(err, EFBIG, "%s: too large", name);
	} else {
		*out = json_loadb(buf_cstr(&text), text.len, 0, &error);
		if (*out == NULL)
			rc = err_set(err, EINVAL, "%s: line %d: %s", name,
				     error.line, error.text);
	}
	buf_finish(&text);
	return rc;
}

/* root.path of bundle/config.json: relative to the bundle, or absolute. */
static int read_root(struct container *c, const char *bundle, struct err *err)
{
	char name[PATH_MAX];
	const char *path;
	int rc;

	if (snprintf(name, sizeof(name), "%s/config.json", bundle) >=
	    (int)sizeof(name))
		return err_set(err, ENAMETOOLONG, "%s", bundle);
	auto_close int fd = open(name, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return err_sys(err, errno, "%s", name);
	rc = read_json(&c->config, fd, name, err);
	if (rc < 0)
		return rc;
	path = json_string_value(
		json_object_get(json_object_get(c->config, "root"), "path"));
	if (path == NULL)
		return err_set(err, EINVAL, "%s: no root.path", name);
	if (asprintf(&c->root, "%s%s%s", path[0] == '/' ? "" : bundle,
		     path[0] == '/' ? "" : "/", path) < 0) {
		c->root = NULL;
		return err_set(err, ENOMEM, "out of memory");
	}
	c->target.root = c->root;
	return 0;
}

/* 1: there is an annotation, and the target is filled; 0: there is none. */
static int read_container(struct container *c, struct err *err)
{
	const char *bundle;
	json_t *at;
	json_int_t pid;
	int rc = read_json(&c->state, STDIN_FILENO, "state", err);

	if (rc < 0)
		return rc;
	at = json_object_get(json_object_get(c->state, "annotations"),
			     ANNOTATION);
	if (at == NULL)
		return 0;
	c->target.at = json_string_value(at);
	pid = json_integer_value(json_object_get(c->state, "pid"));
	bundle = json_string_value(json_object_get(c->state, "bundle"));
	if (c->target.at == NULL || c->target.at[0] != '/')
		return err_set(err, EINVAL,
			       "annotation " ANNOTATION
			       ": not an absolute path");
	if (pid <= 0 || pid > INT_MAX || bundle == NULL)
		return err_set(err, EINVAL, "state: no pid or no bundle");
	c->target.pid = (pid_t)pid;
	rc = read_root(c, bundle, err);
	return rc < 0 ? rc : 1;
}

static int parse(const char **from, int argc, char **argv, struct err *err)
{
	static const struct option options[] = {
		{"from", required_argument, NULL, 'f'},
		{0},
	};
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c != 'f')
			return -EINVAL; /* getopt has said it */
		*from = optarg;
	}
	return optind == argc ? 0
			      : err_set(err, EINVAL,
					"usage: oci-hook [--from MOUNTPOINT]");
}

int main(int argc, char **argv)
{
	struct container c = {0};
	const char *from = NULL;
	struct err err = {0};
	int status = EXIT_INPUT;
	int rc = parse(&from, argc, argv, &err);

	if (rc == 0)
		rc = read_container(&c, &err);
	if (rc > 0) {
		status = EXIT_CANNOT;
		rc = attach_mount(from, &c.target, &err);
	}
	if (rc < 0)
		log_error("%s", err.msg);
	container_finish(&c);
	return rc < 0 ? status : EXIT_SUCCESS;
}
