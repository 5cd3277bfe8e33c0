/* SPDX-License-Identifier: MIT */
/*
 * What a SQLSTATE means to a program that knows errno only. Any thread.
 *
 *   EINVAL        22, 42 but for 42501: syntax, unknown table or column, bad
 *                 value; 26000, 34000, 3D000, 3F000: unknown statement, cursor,
 *                 database, schema; 08P01: a $1 that got no value
 *   EACCES        42501, 25006 (read-only), 28: login refused
 *   EEXIST        23, 40002, 44: a constraint
 *   EHOSTUNREACH  08, as when one server cannot reach another
 *   ECONNREFUSED  08004, 57P03: the server does not take the login
 *   ENOTCONN      25P03, 57P01, 57P02, 57P04, 57P05: the session was ended
 *   ECANCELED     57014; the server says so of its own time limits as well,
 *                 which the caller tells apart
 *   EAGAIN        40, 53300, 55P03, 55006, OC000, OC001: deadlock,
 *                 serialization (the last two are Aurora DSQL's), locked, in
 *                 use, too many connections
 *   ENOSPC        53100, 53400: the server's disk, its limit on temporary files
 *   EFBIG         54: beyond a limit of the server's
 *   EOPNOTSUPP    0A: a feature the server does not have
 *   EIO           everything else
 */
#ifndef CONNFS_BACKENDS_SQLSTATE_H
#define CONNFS_BACKENDS_SQLSTATE_H

/* A positive errno. state may be null or of any length. */
int sqlstate_errno(const char *state);

#endif
