/* SPDX-License-Identifier: MIT */
/*
 * One result set on its way to a sink: its columns, and the row at hand.
 * Private to mariadb*.c; belongs to the worker.
 */
#ifndef CONNFS_BACKENDS_MARIADB_SET_H
#define CONNFS_BACKENDS_MARIADB_SET_H

#include <mysql.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "backends/db.h"
#include "backends/mariadb_column.h"

struct err;

struct my_set {
	size_t n_cols;
	size_t max_row; /* bytes of a row */
	struct db_column *cols;
	struct db_cell *cells; /* of the row at hand */
	enum my_form *forms;
	bool begun;      /* the sink knows of it */
	bool plain_text; /* no column needs another form than the server's */
	int64_t n_rows;  /* that went to the sink */
	char (*types)[MY_TYPE_SIZE];
	char (*numbers)[MY_NUMBER_SIZE];
	char *hex;
	size_t hex_cap;
};

/* 0 or -ENOMEM; finish in both cases. fields must outlive it. */
int my_set_init(struct my_set *set, const MYSQL_FIELD *fields, size_t n,
		size_t max_row, struct err *err);
void my_set_finish(struct my_set *set);

/*
 * Puts the cells, which are as the server sent them, in their form, and hands
 * them on. -EFBIG: the row is larger than max_row; -ENOMEM; or the sink's.
 */
int my_set_row(struct my_set *set, const struct db_sink *sink, void *arg,
	       struct err *err);

/* -EFBIG, in words. */
int my_set_refuse(const struct my_set *set, struct err *err);

/* The first byte of a length, where it is not the length itself. */
enum {
	MY_LENGTH_NULL = 251, /* there is no value */
	MY_LENGTH_2 = 252,    /* the bytes that follow are the length */
	MY_LENGTH_3 = 253,
	MY_LENGTH_8 = 254,
};

/* Reads one. Returns what is behind it, null when it is cut or malformed. */
const unsigned char *my_set_length(const unsigned char *p,
				   const unsigned char *end, size_t *len);

#endif
