/* SPDX-License-Identifier: MIT */
/*
 * ssl and sslmode into the one word that the driver gets. "ssl": true promises
 * at least an encrypted session; nothing that was asked for is left out in
 * silence.
 */
#include "fs/config_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/cleanup.h"
#include "common/err.h"
#include "common/trust.h"

/* In the order of what they promise. */
static const char *const modes[] = {
	"disable", "allow", "prefer", "require", "verify-ca", "verify-full",
};

enum {
	DISABLE,
	PREFER = 2,
	REQUIRE,
	VERIFY_CA,
	N_MODES = sizeof(modes) / sizeof(*modes),
	NOT_GIVEN = -1,
};

/* Leaves *out alone when there is none. */
static int parse_mode(int *out, const json_t *value, struct err *err)
{
	const char *text = json_string_value(value);

	if (value == NULL)
		return 0;
	for (int i = 0; text != NULL && i < N_MODES; i++) {
		if (strcmp(modes[i], text) == 0) {
			*out = i;
			return 0;
		}
	}
	return err_set(err, EINVAL,
		       "sslmode: must be one of disable, allow, prefer, "
		       "require, verify-ca, verify-full");
}

/* Who can write it decides which servers are believed. */
static int check_ca(const char *path, struct err *err)
{
	auto_close int fd = -1;
	struct err why = {0};
	struct stat st;

	fd = trust_open(path, O_RDONLY, &why);
	if (fd < 0)
		return err_set(err, why.code, "ca_cert: %s", why.msg);
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return err_set(err, EINVAL, "ca_cert: %s is not a regular file",
			       path);
	return 0;
}

static int over_tcp(int *mode, bool ssl, struct err *err)
{
	if (*mode == NOT_GIVEN) {
		*mode = ssl ? REQUIRE : PREFER;
		return 0;
	}
	if (ssl && *mode < REQUIRE)
		return err_set(err, EINVAL,
			       "sslmode: \"%s\" is weaker than \"ssl\": true "
			       "promises",
			       modes[*mode]);
	return 0;
}

/* A file, or a unix socket: neither has TLS. */
static int without_tls(int mode, bool ssl, const char *where, struct err *err)
{
	if (ssl)
		return err_set(err, EINVAL, "ssl: there is no TLS with %s",
			       where);
	if (mode >= REQUIRE)
		return err_set(err, EINVAL, "sslmode: there is no TLS with %s",
			       where);
	return 0;
}

int tls_resolve(struct spec *spec, const json_t *object, struct err *err)
{
	bool ssl = json_is_true(json_object_get(object, "ssl"));
	int mode = NOT_GIVEN, rc;

	rc = parse_mode(&mode, json_object_get(object, "sslmode"), err);
	if (rc < 0)
		return rc;
	if (spec->engine->is_file)
		return without_tls(mode, ssl, "a file", err);
	if (spec->host != NULL && spec->host[0] == '/') {
		rc = without_tls(mode, ssl, "a unix socket", err);
		mode = DISABLE;
	} else {
		rc = over_tcp(&mode, ssl, err);
	}
	if (rc < 0)
		return rc;
	if (mode >= VERIFY_CA && spec->ca_cert == NULL)
		return err_set(err, EINVAL,
			       "sslmode: \"%s\" needs ca_cert, a PEM file (the "
			       "system's: /etc/ssl/certs/ca-certificates.crt)",
			       modes[mode]);
	if (mode < REQUIRE && spec->ca_cert != NULL)
		return err_set(err, EINVAL,
			       "ca_cert: nothing is verified without \"ssl\": "
			       "true, or sslmode require or stronger");
	if (spec->ca_cert != NULL)
		rc = check_ca(spec->ca_cert, err);
	if (rc < 0)
		return rc;
	spec->sslmode = strdup(modes[mode]);
	if (spec->sslmode == NULL)
		return err_set(err, ENOMEM, "sslmode: out of memory");
	return 0;
}
