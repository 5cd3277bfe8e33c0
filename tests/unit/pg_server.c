/* SPDX-License-Identifier: MIT */
#include "tests/unit/pg_server.h"

#include <libpq-fe.h>
#include <stdio.h>

bool other_libpq;

const struct server_words server_words = {
	.backend = "postgres",
	.variables = "CONNFS_TEST_PG_",
	.socket = "HOST",
	.alive_tag = "SELECT 1/1",
	.active = "select count(*) from pg_stat_activity "
		  "where state = 'active' and pid = ",
};

/* The linker puts it in front of libpq's (--wrap). */
int __wrap_PQlibVersion(void);
int __real_PQlibVersion(void);

int __wrap_PQlibVersion(void)
{
	return other_libpq ? 10000 : __real_PQlibVersion();
}

void server_end_session(struct client *by, const struct db *db)
{
	char sql[64];

	(void)snprintf(sql, sizeof(sql),
		       "select pg_terminate_backend(%d, 20000)",
		       db_server_pid(db));
	CHECK_ROWS(by, sql, "t\n");
}
