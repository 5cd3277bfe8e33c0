/* SPDX-License-Identifier: MIT */
/*
 * floor_mariadb SOCKET USER DATABASE QUERY: the query's rows as CSV on standard
 * output, by mysql_use_result() and nothing else. The password is in
 * MYSQL_PWD; the server itself prints the doubles.
 */
#include <mysql.h>
#include <stdlib.h>

#include "bench/csv_out.h"

static void header(MYSQL_RES *res, unsigned n_cols)
{
	const MYSQL_FIELD *fields = mysql_fetch_fields(res);

	for (unsigned i = 0; i < n_cols; i++)
		csv_cell(fields[i].name, fields[i].name_length,
			 i + 1 < n_cols ? ',' : '\n');
}

int main(int argc, char **argv)
{
	MYSQL *conn = mysql_init(NULL);
	MYSQL_RES *res;
	MYSQL_ROW row;
	unsigned n_cols;

	if (argc != 5)
		errx(2, "usage: floor_mariadb SOCKET USER DATABASE QUERY");
	if (!conn || mysql_options(conn, MYSQL_SET_CHARSET_NAME, "utf8mb4") ||
	    !mysql_real_connect(conn, NULL, argv[2], getenv("MYSQL_PWD"),
				argv[3], 0, argv[1], 0) ||
	    mysql_query(conn, argv[4]) || !(res = mysql_use_result(conn)))
		errx(1, "%s", conn ? mysql_error(conn) : "out of memory");

	n_cols = mysql_num_fields(res);
	header(res, n_cols);
	while ((row = mysql_fetch_row(res))) {
		const unsigned long *lengths = mysql_fetch_lengths(res);

		for (unsigned i = 0; i < n_cols; i++)
			csv_cell(row[i], lengths[i],
				 i + 1 < n_cols ? ',' : '\n');
	}
	if (mysql_errno(conn))
		errx(1, "%s", mysql_error(conn));
	mysql_free_result(res);
	mysql_close(conn);
	csv_flush();
	return 0;
}
