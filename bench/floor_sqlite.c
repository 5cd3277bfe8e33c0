/* SPDX-License-Identifier: MIT */
/*
 * floor_sqlite FILE QUERY: the query's rows as CSV on standard output, by
 * sqlite3_step() and nothing else. SQLite itself prints the doubles.
 */
#include <sqlite3.h>

#include "bench/csv_out.h"

int main(int argc, char **argv)
{
	sqlite3 *db;
	sqlite3_stmt *stmt;
	int n_cols;
	int rc;

	if (argc != 3)
		errx(2, "usage: floor_sqlite FILE QUERY");
	if (sqlite3_open_v2(argv[1], &db, SQLITE_OPEN_READONLY, NULL) ||
	    sqlite3_prepare_v2(db, argv[2], -1, &stmt, NULL))
		errx(1, "%s", sqlite3_errmsg(db));

	n_cols = sqlite3_column_count(stmt);
	for (int i = 0; i < n_cols; i++) {
		const char *name = sqlite3_column_name(stmt, i);

		csv_cell(name, strlen(name), i + 1 < n_cols ? ',' : '\n');
	}
	while ((rc = sqlite3_step(stmt)) == SQLITE_ROW) {
		for (int i = 0; i < n_cols; i++) {
			const void *text = sqlite3_column_text(stmt, i);

			csv_cell(text, (size_t)sqlite3_column_bytes(stmt, i),
				 i + 1 < n_cols ? ',' : '\n');
		}
	}
	if (rc != SQLITE_DONE)
		errx(1, "%s", sqlite3_errmsg(db));
	sqlite3_finalize(stmt);
	sqlite3_close(db);
	csv_flush();
	return 0;
}
