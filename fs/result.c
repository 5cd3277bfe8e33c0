/* SPDX-License-Identifier: MIT */
#include "fs/result.h"

#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "fs/statement.h"

enum { MAX_COLUMNS_JSON = 4 * 1024 * 1024 };

static void on_spool(void *arg)
{
	statement_changed(arg);
}

static char *columns_json(const struct db_column *cols, size_t n_cols)
{
	struct buf b;

	buf_init(&b, MAX_COLUMNS_JSON);
	buf_putc(&b, '[');
	for (size_t i = 0; i < n_cols; i++) {
		buf_puts(&b, i > 0 ? ", {\"name\": " : "{\"name\": ");
		buf_json(&b, cols[i].name, strlen(cols[i].name));
		buf_puts(&b, ", \"type\": ");
		buf_json(&b, cols[i].type, strlen(cols[i].type));
		buf_putc(&b, '}');
	}
	buf_putc(&b, ']');
	return buf_take(&b);
}

struct result *result_create(struct spool_pool *pool,
			     struct statement *statement,
			     const struct db_column *cols, size_t n_cols)
{
	struct result *result = calloc(1, sizeof(*result));

	if (result == NULL)
		return NULL;
	atomic_init(&result->refs, 1);
	result->statement = statement;
	result->n_cols = n_cols;
	result->spool = spool_create(pool, on_spool, statement);
	result->columns_json = columns_json(cols, n_cols);
	result->plain = calloc(n_cols + 1, sizeof(*result->plain));
	if (result->spool == NULL || result->columns_json == NULL ||
	    result->plain == NULL) {
		result_unref(result);
		return NULL;
	}
	for (size_t i = 0; i < n_cols; i++)
		result->plain[i] = cols[i].plain;
	return result;
}

struct result *result_ref(struct result *result)
{
	atomic_fetch_add(&result->refs, 1);
	return result;
}

void result_unref(struct result *result)
{
	if (result == NULL || atomic_fetch_sub(&result->refs, 1) != 1)
		return;
	spool_unref(result->spool);
	free(result->columns_json);
	free(result->plain);
	free(result);
}
