/* SPDX-License-Identifier: MIT */
#include "tests/unit/mariadb_server.h"

#include <stdio.h>
#include <stdlib.h>

const struct server_words server_words = {
	.backend = "mariadb",
	.variables = "CONNFS_TEST_MARIADB_",
	.socket = "SOCKET",
	.alive_tag = "SELECT 1/-1",
	.active = "select count(*) from information_schema.processlist "
		  "where command = 'Query' and id = ",
};

void server_end_session(struct client *by, const struct db *db)
{
	char sql[128];

	(void)snprintf(sql, sizeof(sql), "kill %d", db_server_pid(db));
	CHECK_INT(run(by, sql), 0);
	(void)snprintf(sql, sizeof(sql),
		       "select count(*) from information_schema.processlist "
		       "where id = %d",
		       db_server_pid(db));
	wait_until_answer(by->db, sql, "0");
}

size_t server_max_packet(struct db *asks)
{
	char *limit = ask(asks, "select @@max_allowed_packet");
	size_t size = strtoul(limit, NULL, 10);

	free(limit);
	return size;
}
