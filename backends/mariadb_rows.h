/* SPDX-License-Identifier: MIT */
/*
 * The rows of a result set, read from the socket as they are. Private to
 * mariadb*.c; belongs to the worker.
 *
 * The connector copies each row once more, and closes the connection over one
 * that is too long. So its rows are read past it, in large pieces: what it had
 * read ahead is taken out of its cache, and what was read too much is put back
 * at the end of the set.
 */
#ifndef CONNFS_BACKENDS_MARIADB_ROWS_H
#define CONNFS_BACKENDS_MARIADB_ROWS_H

#include <mysql.h>
#include <stddef.h>

/* In the session, zeroed at first. */
struct my_rows {
	unsigned char *data;
	size_t cap;
	size_t start; /* of what was not looked at yet */
	size_t end;
};

enum my_next {
	MY_NEXT_ROW,
	MY_NEXT_LONG, /* a row beyond the limit, which was dropped */
	MY_NEXT_END,  /* of the set; the connector has its state and warnings */
	MY_NEXT_ERROR, /* the server's; the connector has it */
	MY_NEXT_LOST,  /* the connection; or out of memory, which is as bad */
};

/* Behind mysql_use_result() or mysql_stmt_execute(). */
void my_rows_begin(struct my_rows *rows, MYSQL *mysql);

/*
 * The next row, lent until the next call. What is longer than max bytes is
 * dropped as it comes. After anything but a row or a long one, the set is
 * over.
 */
enum my_next my_rows_next(struct my_rows *rows, MYSQL *mysql, size_t max,
			  unsigned char **row, size_t *len);

/* Gives back what a large row took. */
void my_rows_trim(struct my_rows *rows);
void my_rows_finish(struct my_rows *rows);

#endif
