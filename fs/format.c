/* SPDX-License-Identifier: MIT */
#include "fs/format.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const char *const names[FORMATS] = {
	[FORMAT_CSV] = "csv",   [FORMAT_TSV] = "tsv", [FORMAT_JSONL] = "jsonl",
	[FORMAT_JSON] = "json", [FORMAT_TXT] = "txt",
};

const char *format_name(enum format format)
{
	return names[format];
}

bool format_by_name(const char *name, enum format *out)
{
	for (int i = 0; i < FORMATS; i++) {
		if (strcmp(names[i], name) == 0) {
			*out = (enum format)i;
			return true;
		}
	}
	return false;
}

int format_head_init(struct format_head *head, const struct db_column *cols,
		     size_t n_cols)
{
	*head = (struct format_head){0};
	head->cols = calloc(n_cols + 1, sizeof(*head->cols));
	if (head->cols == NULL)
		return -ENOMEM;
	for (; head->n_cols < n_cols; head->n_cols++) {
		struct format_column *col = &head->cols[head->n_cols];

		col->shape = cols[head->n_cols].shape;
		col->name = strdup(cols[head->n_cols].name);
		if (col->name == NULL) {
			format_head_finish(head);
			return -ENOMEM;
		}
	}
	return 0;
}

void format_head_finish(struct format_head *head)
{
	for (size_t i = 0; i < head->n_cols; i++)
		free(head->cols[i].name);
	free(head->cols);
	*head = (struct format_head){0};
}
