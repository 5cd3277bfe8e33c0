/* SPDX-License-Identifier: MIT */
/*
 * The MariaDB server that test_mariadb*.c talk to; the variables are
 * CONNFS_TEST_MARIADB_*, and _SOCKET is the path of its socket. It has
 * performance_schema.
 */
#ifndef CONNFS_TESTS_UNIT_MARIADB_SERVER_H
#define CONNFS_TESTS_UNIT_MARIADB_SERVER_H

#include <stddef.h>

#include "tests/unit/db_client.h"

/* Bytes of the longest message that the server takes: max_allowed_packet. */
size_t server_max_packet(struct db *asks);

#endif
