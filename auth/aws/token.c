/* SPDX-License-Identifier: MIT */
#include "auth/aws/token.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "auth/aws/sigv4.h"
#include "auth/aws/text.h"
#include "common/cleanup.h"

enum { HTTPS_PORT = 443 };

/* Lower case, without a final dot, an IPv6 address in brackets; for free(). */
static char *signed_host(const char *host, const char *port)
{
	size_t len = strlen(host);
	bool bare = host[0] != '[' && strchr(host, ':') != NULL;
	char *text;

	if (len > 1 && host[len - 1] == '.')
		len--;
	if (asprintf(&text, "%s%.*s%s%s", bare ? "[" : "", (int)len, host,
		     bare ? "]" : "", port) < 0)
		return NULL;
	for (char *p = text; *p != '\0'; p++)
		*p = aws_lower(*p);
	return text;
}

int rds_token(struct secret *out, const struct aws_keys *keys,
	      const struct token_login *login, struct err *err)
{
	const struct sigv4_scope scope = {login->region, "rds-db", login->now};
	const struct sigv4_pair params[] = {
		{"Action", "connect"},
		{"DBUser", login->user},
	};
	struct sigv4_presign presign = {
		.params = params,
		.n_params = sizeof(params) / sizeof(*params),
		.expires = RDS_TOKEN_LIFE,
	};
	auto_free char *host = NULL;
	char port[8];

	if (login->port == HTTPS_PORT)
		return err_set(err, EINVAL,
			       "port: no token can be signed for 443, on which "
			       "AWS's own tools disagree");
	(void)snprintf(port, sizeof(port), ":%u", login->port);
	host = signed_host(login->host, port);
	if (host == NULL)
		return err_sys(err, ENOMEM, "cannot sign a token");
	presign.host = host;
	return sigv4_presign(out, keys, &scope, &presign, err);
}

int dsql_token(struct secret *out, const struct aws_keys *keys,
	       const struct token_login *login, unsigned expires,
	       struct err *err)
{
	const struct sigv4_scope scope = {login->region, "dsql", login->now};
	bool is_admin = strcmp(login->user, "admin") == 0;
	const struct sigv4_pair action = {
		"Action",
		is_admin ? "DbConnectAdmin" : "DbConnect",
	};
	struct sigv4_presign presign = {
		.params = &action,
		.n_params = 1,
		.expires = expires,
	};
	auto_free char *host = NULL;

	if (expires < 1 || expires > DSQL_TOKEN_MAX)
		return err_set(err, EINVAL,
			       "token_duration: must be 1 to %d seconds",
			       DSQL_TOKEN_MAX);
	host = signed_host(login->host, "");
	if (host == NULL)
		return err_sys(err, ENOMEM, "cannot sign a token");
	presign.host = host;
	return sigv4_presign(out, keys, &scope, &presign, err);
}
