/* SPDX-License-Identifier: MIT */
/* Logging in to a server of the MySQL family. Any thread; blocks. */
#ifndef CONNFS_BACKENDS_MARIADB_CONNECT_H
#define CONNFS_BACKENDS_MARIADB_CONNECT_H

#include <mysql.h>
#include <stdint.h>

struct db_params;
struct err;

/*
 * Gives a connection that is logged in to the caller. Nothing but params has a
 * say in how: no option file, no variable of the environment. A host that
 * begins with a slash is the path of a Unix socket, and has no TLS. Before the
 * server has shown what sslmode asks for, the connector does not even have the
 * password. deadline: clock_mono_ms(), 0: none.
 *
 * -EHOSTUNREACH, -ECONNREFUSED, -ETIMEDOUT, -EACCES or what the server's error
 * means.
 */
int my_connect_open(MYSQL **out, const struct db_params *params,
		    uint64_t deadline, struct err *err);

/*
 * Logs in again on the same connection, with params' application_name and
 * password: the server forgets everything of the session.
 */
int my_connect_again(MYSQL *mysql, const struct db_params *params,
		     uint64_t deadline, struct err *err);

#endif
