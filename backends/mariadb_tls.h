/* SPDX-License-Identifier: MIT */
/*
 * What sslmode asks for, and whether a connection has it. The words are
 * libpq's; "allow" is taken for "prefer", and "require" with a ca_cert for
 * "verify-ca", as libpq does. Private to mariadb*.c.
 */
#ifndef CONNFS_BACKENDS_MARIADB_TLS_H
#define CONNFS_BACKENDS_MARIADB_TLS_H

#include <mysql.h>
#include <stdbool.h>

struct db_params;
struct err;
struct step_tls;

/*
 * Before the connection is made. 0, -EINVAL for an sslmode not known, -EACCES
 * for a token where nothing would tell whose server it is.
 */
int my_tls_set_options(MYSQL *mysql, const struct db_params *params,
		       struct err *err);

/*
 * Of one that is made, and encrypted or not: 0 or -EHOSTUNREACH. With a token 0
 * says that the server is the one that is meant.
 */
int my_tls_check(const MYSQL *mysql, const struct db_params *params,
		 struct err *err);

/* Of one that passed the check: false when it has no TLS. */
bool my_tls_describe(const MYSQL *mysql, const struct db_params *params,
		     struct step_tls *out);

#endif
