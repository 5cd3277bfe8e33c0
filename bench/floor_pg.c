/* SPDX-License-Identifier: MIT */
/*
 * floor_pg CONNINFO QUERY: the query's rows as CSV on standard output, by
 * libpq in single-row mode and nothing else.
 */
#include <libpq-fe.h>

#include "bench/csv_out.h"

static void header(const PGresult *res, int n_cols)
{
	for (int i = 0; i < n_cols; i++) {
		const char *name = PQfname(res, i);

		csv_cell(name, strlen(name), i + 1 < n_cols ? ',' : '\n');
	}
}

static void row(const PGresult *res, int n_cols)
{
	for (int i = 0; i < n_cols; i++) {
		const char *text = PQgetvalue(res, 0, i);

		if (PQgetisnull(res, 0, i))
			text = NULL;
		csv_cell(text, (size_t)PQgetlength(res, 0, i),
			 i + 1 < n_cols ? ',' : '\n');
	}
}

int main(int argc, char **argv)
{
	PGconn *conn;
	PGresult *res;
	bool first = true;

	if (argc != 3)
		errx(2, "usage: floor_pg CONNINFO QUERY");
	conn = PQconnectdb(argv[1]);
	if (!PQsendQuery(conn, argv[2]) || !PQsetSingleRowMode(conn))
		errx(1, "%s", PQerrorMessage(conn));
	while ((res = PQgetResult(conn))) {
		int n_cols = PQnfields(res);

		if (first)
			header(res, n_cols);
		first = false;
		if (PQresultStatus(res) == PGRES_SINGLE_TUPLE)
			row(res, n_cols);
		else if (PQresultStatus(res) != PGRES_TUPLES_OK)
			errx(1, "%s", PQerrorMessage(conn));
		PQclear(res);
	}
	PQfinish(conn);
	csv_flush();
	return 0;
}
