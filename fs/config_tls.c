/* SPDX-License-Identifier: MIT */
/*
 * ssl and sslmode into the one word that the driver gets, and what is verified
 * by. "ssl": true promises at least an encrypted session; nothing that was
 * asked for is left out in silence. A token is sent as it is, so that it asks
 * for more than a password.
 */
#include "fs/config_internal.h"

#include <assert.h>
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

static const char *mode_name(int mode)
{
	assert(mode >= 0 && mode < N_MODES);
	return modes[mode];
}

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
			       mode_name(*mode));
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

/*
 * What a token is sent with; NOT_GIVEN when given does not do. libmariadb
 * verifies the name with verify-ca as well, and with require nothing.
 */
static int token_mode(const struct spec *spec, int given)
{
	bool is_mysql = spec->engine->dialect == SQL_MYSQL;

	if (spec->tls_fingerprint != NULL && given == NOT_GIVEN)
		return REQUIRE;
	if (given == NOT_GIVEN)
		return aws_is_private_link(spec) ? VERIFY_CA : VERIFY_FULL;
	if (given < REQUIRE)
		return NOT_GIVEN;
	if (!is_mysql || spec->tls_fingerprint != NULL)
		return given;
	return given == REQUIRE ? NOT_GIVEN : VERIFY_FULL;
}

/* Sets *mode to what logins by token get; use is not TOKEN_NEVER. */
static int over_tcp_by_token(int *mode, const struct spec *spec, int given,
			     enum token_use use, struct err *err)
{
	bool is_mysql = spec->engine->dialect == SQL_MYSQL;

	*mode = token_mode(spec, given);
	if (given == VERIFY_FULL && aws_is_private_link(spec))
		return err_set(err, EINVAL,
			       "sslmode: \"verify-full\" cannot be kept: the "
			       "certificate of the cluster does not have the "
			       "name of the PrivateLink endpoint in \"host\"; "
			       "verify-ca can");
	if (*mode == NOT_GIVEN && use == TOKEN_ALWAYS)
		return err_set(err, EINVAL,
			       "sslmode: \"%s\" is too weak for the token that "
			       "type %s logs in with: verify-full is the "
			       "default%s",
			       mode_name(given), spec->engine->type,
			       is_mysql ? ", tls_fingerprint does too" : "");
	return 0;
}

/* What the mode verifies the server by. */
static int check_means(const struct spec *spec, int mode, enum token_use use,
		       struct err *err)
{
	bool by_ca = mode == VERIFY_CA || mode == VERIFY_FULL;

	/* Where a token may travel, it is the system's by default. */
	if (by_ca && spec->ca_cert == NULL && use == TOKEN_NEVER)
		return err_set(err, EINVAL,
			       "sslmode: \"%s\" needs ca_cert, a PEM file (the "
			       "system's: /etc/ssl/certs/ca-certificates.crt)",
			       mode_name(mode));
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

static int set_mode(char **member, int mode, struct err *err)
{
	*member = strdup(mode_name(mode));
	return *member != NULL ? 0
			       : err_set(err, ENOMEM, "sslmode: out of memory");
}

/* For passwords and for tokens; the latter's may stay NOT_GIVEN. */
static int find_modes(int *mode, int *by_token, const struct spec *spec,
		      bool ssl, enum token_use use, struct err *err)
{
	int given = *mode, rc;

	if (spec->host != NULL && spec->host[0] == '/') {
		*mode = DISABLE;
		return without_tls(given, ssl, "a unix socket", err);
	}
	rc = over_tcp(mode, ssl, err);
	if (rc == 0 && use != TOKEN_NEVER)
		rc = over_tcp_by_token(by_token, spec, given, use, err);
	if (rc == 0 && use == TOKEN_ALWAYS)
		*mode = *by_token;
	return rc;
}

int tls_resolve(struct spec *spec, const json_t *object, struct err *err)
{
	bool ssl = json_is_true(json_object_get(object, "ssl"));
	enum token_use use = aws_token_use(spec, object);
	int mode = NOT_GIVEN, by_token = NOT_GIVEN, rc;

	rc = parse_mode(&mode, json_object_get(object, "sslmode"), err);
	if (rc == 0)
		rc = set_fingerprint(spec,
				     json_object_get(object, "tls_fingerprint"),
				     err);
	if (rc < 0)
		return rc;
	if (spec->engine->is_file)
		return without_tls(mode, ssl, "a file", err);
	/* Wherever it comes from: what opens a cluster of DSQL is a token. */
	if (spec->engine->token == AUTH_TOKEN_DSQL)
		use = TOKEN_ALWAYS;
	rc = find_modes(&mode, &by_token, spec, ssl, use, err);
	if (rc == 0)
		rc = check_means(spec, mode, use, err);
	if (rc == 0)
		rc = set_mode(&spec->sslmode, mode, err);
	if (rc == 0 && by_token != NOT_GIVEN)
		rc = set_mode(&spec->token_sslmode, by_token, err);
	return rc;
}
