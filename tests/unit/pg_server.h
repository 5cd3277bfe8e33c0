/* SPDX-License-Identifier: MIT */
/*
 * The PostgreSQL server that test_pg*.c talk to; the variables are
 * CONNFS_TEST_PG_*, and _HOST is the directory of its socket.
 */
#ifndef CONNFS_TESTS_UNIT_PG_SERVER_H
#define CONNFS_TESTS_UNIT_PG_SERVER_H

#include <stdbool.h>

#include "tests/unit/db_client.h"

/*
 * Whether the driver finds a libpq whose insides it does not know, and must do
 * without its own way of reading rows. Programs are linked with
 * --wrap=PQlibVersion for it.
 */
extern bool other_libpq;

#endif
