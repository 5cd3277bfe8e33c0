/* SPDX-License-Identifier: MIT */
/*
 * The connector's own header about what it reads from and writes to, which
 * shows what TLS is only when it is told that there is any. Private to
 * mariadb*.c.
 */
#ifndef CONNFS_BACKENDS_MARIADB_PVIO_H
#define CONNFS_BACKENDS_MARIADB_PVIO_H

#include <mysql.h>
#include <sys/types.h>

#ifndef HAVE_TLS
#define HAVE_TLS
#endif
typedef unsigned char uchar;

/* Behind all of these. */
#include <ma_pvio.h>

#endif
