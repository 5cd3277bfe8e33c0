/* SPDX-License-Identifier: MIT */
/*
 * What a MySQL or MariaDB server, or the connector, says of a failure. Private
 * to mariadb*.c.
 */
#ifndef CONNFS_BACKENDS_MARIADB_ERROR_H
#define CONNFS_BACKENDS_MARIADB_ERROR_H

#include <stdbool.h>
#include <stddef.h>

struct err;

enum { MY_TEXT_SIZE = 1024, MY_CODE_SIZE = 32 };

struct my_error {
	unsigned number; /* 1064; 2000 to 2999 and 5000 on: connector's */
	char code[MY_CODE_SIZE]; /* "1064 (42000)" */
	char sqlstate[6];
	char text[MY_TEXT_SIZE]; /* UTF-8, whatever the server sent */
	int eno;                 /* positive, by design of the file system */
};

/* number and sqlstate as the connector gives them. */
void my_error_make(struct my_error *e, unsigned number, const char *sqlstate,
		   const char *text);

/* Records it, and returns the negative errno. */
int my_error_set(struct err *err, const struct my_error *e);

/* It is the connector's own, not the server's. */
bool my_error_is_local(unsigned number);

/* The connection is of no use after it. */
bool my_error_is_loss(unsigned number);

/*
 * The byte of sql that a message of the parser is about ("near '..' at line
 * 3"), -1 when that cannot be told.
 */
long my_error_offset(const char *sql, const char *message);

#endif
