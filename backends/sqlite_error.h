/* SPDX-License-Identifier: MIT */
/* SQLite's result codes by name, and as errno of design.md section 5. */
#ifndef CONNFS_BACKENDS_SQLITE_ERROR_H
#define CONNFS_BACKENDS_SQLITE_ERROR_H

/* "SQLITE_CONSTRAINT_UNIQUE"; of an extended code not known, the primary's. */
const char *sqlite_error_name(int code);

/* A positive errno. */
int sqlite_error_errno(int code);

#endif
