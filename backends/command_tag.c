/* SPDX-License-Identifier: MIT */
#include "backends/command_tag.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

int64_t command_tag(char out[COMMAND_TAG_SIZE], enum sql_dialect dialect,
		    const char *sql, int64_t n_rows, int64_t n_changes)
{
	char words[SQL_COMMAND_SIZE];
	int64_t affected = -1;

	sql_command(dialect, sql, strlen(sql), words);
	(void)snprintf(out, COMMAND_TAG_SIZE, "%s", words);
	if (strcmp(words, "INSERT") == 0 || strcmp(words, "REPLACE") == 0) {
		affected = n_changes;
		(void)snprintf(out, COMMAND_TAG_SIZE, "INSERT 0 %" PRId64,
			       n_changes);
	} else if (strcmp(words, "UPDATE") == 0 ||
		   strcmp(words, "DELETE") == 0) {
		affected = n_changes;
		(void)snprintf(out, COMMAND_TAG_SIZE, "%s %" PRId64, words,
			       n_changes);
	} else if (strcmp(words, "SELECT") == 0 ||
		   strcmp(words, "VALUES") == 0) {
		(void)snprintf(out, COMMAND_TAG_SIZE, "SELECT %" PRId64,
			       n_rows);
	} else if (strcmp(words, "END") == 0) {
		(void)snprintf(out, COMMAND_TAG_SIZE, "COMMIT");
	}
	return affected;
}
