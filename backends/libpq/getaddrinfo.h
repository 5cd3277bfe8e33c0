/* SPDX-License-Identifier: MIT */
/*
 * Debian's libpq-dev installs libpq-int.h without this header of PostgreSQL's,
 * which on Linux says no more than that. It stands in a directory of its own,
 * so that nothing but <libpq-int.h> finds it.
 */
#include <netdb.h>
#include <sys/socket.h>
