/* SPDX-License-Identifier: MIT */
/*
 * ssl and sslmode into the one word that the driver gets, and what is verified
 * by. "ssl": true promises at least an encrypted session; nothing that was
 * asked for is left out in silence.
 */
#include "fs/config_internal.h"

#include <ctype.h>
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
	VERIFY_FULL,
	N_MODES = sizeof(modes) / sizeof(*modes),
	NOT_GIVEN = -1,
};

enum { FINGERPRINT_LEN = 64 /* hex digits of SHA-256 */ };

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

/* What openssl x509 -fingerprint prints, into spec->tls_fingerprint. */
static int set_fingerprint(struct spec *spec, const json_t *value,
			   struct err *err)
{
	const char *p = json_string_value(value);
	char digits[FINGERPRINT_LEN + 1] = "";
	size_t n = 0;

	if (value == NULL)
		return 0;
	for (; p != NULL && n < FINGERPRINT_LEN; p++) {
		if (*p == ':' && n > 0 && n % 2 == 0)
			continue;
		if (!isxdigit((unsigned char)*p))
			break;
		digits[n++] = (char)(*p | 0x20); /* lower case, if a letter */
	}
	if (p == NULL || *p != '\0' || n != FINGERPRINT_LEN)
		return err_set(err, EINVAL,
			       "tls_fingerprint: must be the SHA-256 of the "
			       "server's certificate, 64 hex digits");
	spec->tls_fingerprint = strdup(digits);
	if (spec->tls_fingerprint == NULL)
		return err_set(err, ENOMEM, "tls_fingerprint: out of memory");
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

/* What the mode verifies the server by. */
static int check_means(const struct spec *spec, int mode, struct err *err)
{
	bool by_ca = mode == VERIFY_CA || mode == VERIFY_FULL;

	if (by_ca && spec->ca_cert == NULL)
		return err_set(err, EINVAL,
			       "sslmode: \"%s\" needs ca_cert, a PEM file (the "
			       "system's: /etc/ssl/certs/ca-certificates.crt)",
			       modes[mode]);
	if (mode < REQUIRE &&
	    (spec->ca_cert != NULL || spec->tls_fingerprint != NULL))
		return err_set(err, EINVAL,
			       "%s: nothing is verified without \"ssl\": true, "
			       "or sslmode require or stronger",
			       spec->ca_cert != NULL ? "ca_cert"
						     : "tls_fingerprint");
	/* libmariadb knows no second name: it verifies the one it dials. */
	if (mode >= REQUIRE && spec->engine->dialect == SQL_MYSQL &&
	    spec->connect_host != NULL && spec->tls_fingerprint == NULL)
		return err_set(err, EINVAL,
			       "connect_to: needs tls_fingerprint with TLS and "
			       "type %s: the name of \"host\" cannot be "
			       "verified while another is dialled",
			       spec->engine->type);
	return spec->ca_cert != NULL ? check_ca(spec->ca_cert, err) : 0;
}

int tls_resolve(struct spec *spec, const json_t *object, struct err *err)
{
	bool ssl = json_is_true(json_object_get(object, "ssl"));
	int mode = NOT_GIVEN, rc;

	rc = parse_mode(&mode, json_object_get(object, "sslmode"), err);
	if (rc == 0)
		rc = set_fingerprint(spec,
				     json_object_get(object, "tls_fingerprint"),
				     err);
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
	if (rc == 0)
		rc = check_means(spec, mode, err);
	if (rc < 0)
		return rc;
	spec->sslmode = strdup(modes[mode]);
	if (spec->sslmode == NULL)
		return err_set(err, ENOMEM, "sslmode: out of memory");
	return 0;
}
