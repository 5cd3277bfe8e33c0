/* SPDX-License-Identifier: MIT */
#include "fs/result.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "fs/cell_kinds.h"
#include "fs/format_index.h"
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

static bool is_number(const void *arg, uint64_t row, size_t col)
{
	return cell_kinds_is_number(arg, row, col);
}

static int add_kinds(struct result *result)
{
	bool varies = false;

	for (size_t i = 0; i < result->head.n_cols; i++)
		varies |= result->head.cols[i].shape == DB_SHAPE_VARIES;
	if (!varies)
		return 0;
	result->kinds = cell_kinds_create(result->n_cols);
	result->head.is_number = is_number;
	result->head.arg = result->kinds;
	return result->kinds != NULL ? 0 : -ENOMEM;
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
	result->has_rows = cols != NULL;
	result->index = format_index_create();
	if (result->spool == NULL || result->columns_json == NULL ||
	    result->plain == NULL || result->index == NULL ||
	    format_head_init(&result->head, cols, n_cols) < 0 ||
	    add_kinds(result) < 0) {
		result_unref(result);
		return NULL;
	}
	for (size_t i = 0; cols != NULL && i < n_cols; i++)
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
	format_index_destroy(result->index);
	format_head_finish(&result->head);
	cell_kinds_destroy(result->kinds);
	free(result->columns_json);
	free(result->plain);
	free(result);
}

int result_end(const struct result *result)
{
	struct spool_state state;

	spool_state(result->spool, &state);
	switch (state.code) {
	case 0:
	case ECANCELED:
	case ETIMEDOUT:
		return -state.code;
	default:
		return -EIO; /* the reason stands in `error` */
	}
}

int result_check_format(const struct result *result, enum format format)
{
	if (format == FORMAT_CSV)
		return 0;
	if (!result->has_rows)
		return -EOPNOTSUPP;
	if ((format == FORMAT_JSON || format == FORMAT_JSONL) &&
	    result->kinds != NULL && cell_kinds_overflowed(result->kinds))
		return -EFBIG;
	return 0;
}
