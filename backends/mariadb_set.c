/* SPDX-License-Identifier: MIT */
#include "backends/mariadb_set.h"

#include <errno.h>
#include <stdlib.h>

#include "common/err.h"

int my_set_init(struct my_set *set, const MYSQL_FIELD *fields, size_t n,
		size_t max_row, struct err *err)
{
	*set = (struct my_set){
		.n_cols = n,
		.max_row = max_row,
		.plain_text = true,
		.cols = calloc(n + 1, sizeof(*set->cols)),
		.cells = calloc(n + 1, sizeof(*set->cells)),
		.forms = calloc(n + 1, sizeof(*set->forms)),
		.types = calloc(n + 1, sizeof(*set->types)),
		.numbers = calloc(n + 1, sizeof(*set->numbers)),
	};
	if (set->cols == NULL || set->cells == NULL || set->forms == NULL ||
	    set->types == NULL || set->numbers == NULL)
		return err_set(err, ENOMEM, "no memory for %zu columns", n);
	for (size_t i = 0; i < n; i++) {
		set->forms[i] = my_column_describe(&set->cols[i], &fields[i],
						   set->types[i]);
		if (set->forms[i] != MY_AS_IT_IS)
			set->plain_text = false;
	}
	return 0;
}

void my_set_finish(struct my_set *set)
{
	free(set->cols);
	free(set->cells);
	free(set->forms);
	free(set->types);
	free(set->numbers);
	free(set->hex);
	*set = (struct my_set){0};
}

int my_set_refuse(const struct my_set *set, struct err *err)
{
	return err_set(err, EFBIG, "a row is longer than max_row, %zu bytes",
		       set->max_row);
}

static bool is_hex(const struct my_set *set, size_t i)
{
	return set->forms[i] == MY_HEX && set->cells[i].data != NULL;
}

/* Turns the cells that are no text into hex, total bytes of it. */
static int put_hex(struct my_set *set, size_t total, struct err *err)
{
	size_t used = 0;

	if (set->hex_cap < total) {
		free(set->hex);
		set->hex = malloc(total);
		set->hex_cap = set->hex != NULL ? total : 0;
		if (set->hex == NULL)
			return err_set(err, ENOMEM,
				       "no memory for a row of %zu bytes",
				       total);
	}
	for (size_t i = 0; i < set->n_cols; i++) {
		struct db_cell *cell = &set->cells[i];

		if (!is_hex(set, i))
			continue;
		my_column_put_hex(set->hex + used, cell->data, cell->len);
		cell->data = set->hex + used;
		cell->len = my_column_hex_len(cell->len);
		used += cell->len;
	}
	return 0;
}

static int put_forms(struct my_set *set, struct err *err)
{
	size_t total = 0, hex = 0, len;

	for (size_t i = 0; i < set->n_cols; i++) {
		struct db_cell *cell = &set->cells[i];

		if (cell->data == NULL)
			continue;
		if (set->forms[i] == MY_DOUBLE)
			cell->data = my_column_double(cell->data, &cell->len,
						      set->numbers[i]);
		len = cell->len;
		if (is_hex(set, i)) {
			len = my_column_hex_len(len);
			hex += len;
		}
		total += len;
	}
	if (total > set->max_row)
		return my_set_refuse(set, err);
	return hex > 0 ? put_hex(set, hex, err) : 0;
}

int my_set_row(struct my_set *set, const struct db_sink *sink, void *arg,
	       struct err *err)
{
	size_t total = 0;
	int rc;

	if (set->plain_text) {
		for (size_t i = 0; i < set->n_cols; i++)
			total += set->cells[i].len;
		if (total > set->max_row)
			return my_set_refuse(set, err);
	} else {
		rc = put_forms(set, err);
		if (rc < 0)
			return rc;
	}
	rc = sink->row(arg, set->cells, err);
	if (rc == 0)
		set->n_rows++;
	return rc;
}

const unsigned char *my_set_length(const unsigned char *p,
				   const unsigned char *end, size_t *len)
{
	size_t n = 0;

	if (p >= end)
		return NULL;
	if (*p < MY_LENGTH_NULL) {
		*len = *p;
		return p + 1;
	}
	if (*p == MY_LENGTH_2)
		n = 2;
	else if (*p == MY_LENGTH_3)
		n = 3;
	else if (*p == MY_LENGTH_8)
		n = 8;
	if (n == 0 || (size_t)(end - p) <= n)
		return NULL;
	*len = 0;
	for (size_t i = n; i > 0; i--)
		*len = *len << 8 | p[i];
	return p + 1 + n;
}
