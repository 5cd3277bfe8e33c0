/* SPDX-License-Identifier: MIT */
#include "fs/sql_tool.h"

#include <assert.h>
#include <inttypes.h>
#include <stddef.h>
#include <string.h>

#include "common/buf.h"
#include "fs/file.h"

/* Stands once in the script. */
static const char number_mark[] = "@ID@";

static uint64_t last_number; /* thread of the loop */

void text_sql(struct buf *out, const struct view *v)
{
	const char *mark = strstr(sql_script, number_mark);

	(void)v;
	assert(mark != NULL);
	buf_put(out, sql_script, (size_t)(mark - sql_script));
	/* Always of the same length, as the size of a file should be. */
	buf_printf(out, "%012" PRIx64, ++last_number);
	buf_puts(out, mark + strlen(number_mark));
}
