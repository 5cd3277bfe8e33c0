/* SPDX-License-Identifier: MIT */
/*
 * A statement with parameters, as a prepared statement of the server's. Its
 * rows come in binary. The connector prints what is of a fixed size just as
 * the server does in the text protocol; strings are lent from its buffer.
 */
#include <errno.h>
#include <mysql.h>
#include <stdlib.h>
#include <string.h>

#include "backends/mariadb_run.h"
#include "common/err.h"

enum {
	/* Of a DOUBLE in full, and of everything else of a fixed size. */
	TEXT_SIZE = 512,
	MAX_DIGITS = 65, /* of a DECIMAL */
};

/* The value of one placeholder, where the connector needs it to be. */
struct slot {
	long long integer;
	double real;
	unsigned long len;
	my_bool is_null;
	char truth;
};

struct prepared {
	struct my_run *r;
	MYSQL_STMT *stmt;
	struct slot *slots; /* of the placeholders */
	MYSQL_BIND *values;
	/* Of the result set at hand. */
	struct my_set set;
	const unsigned char *row_end;
	MYSQL_BIND *columns;
	unsigned long *lengths;
	my_bool *nulls;
	char (*texts)[TEXT_SIZE];
};

static void failed(const struct prepared *p)
{
	my_run_server_failed(p->r, mysql_stmt_errno(p->stmt),
			     mysql_stmt_sqlstate(p->stmt),
			     mysql_stmt_error(p->stmt));
}

static void no_memory(const struct prepared *p)
{
	my_run_fail(p->r, err_set(p->r->err, ENOMEM, "out of memory"));
}

static void bind_text(MYSQL_BIND *bind, struct slot *slot,
		      enum enum_field_types type, const struct db_value *value)
{
	bind->buffer_type = type;
	/* It is only read. */
	bind->buffer = (void *)(uintptr_t)value->data;
	slot->len = value->len;
	bind->buffer_length = value->len;
	bind->length = &slot->len;
}

/* As the server takes a number that is written in a statement. */
static int bind_number(MYSQL_BIND *bind, struct slot *slot,
		       const struct db_value *value, struct err *err)
{
	bool negative = *value->data == '-';
	size_t digits = 0;
	char *end;

	if (strpbrk(value->data, "eE") != NULL) {
		slot->real = strtod(value->data, NULL);
		bind->buffer_type = MYSQL_TYPE_DOUBLE;
		bind->buffer = &slot->real;
		return 0;
	}
	errno = 0;
	if (negative)
		slot->integer = strtoll(value->data, &end, 10);
	else
		slot->integer = (long long)strtoull(value->data, &end, 10);
	if (errno == 0 && *end == '\0') {
		bind->buffer_type = MYSQL_TYPE_LONGLONG;
		bind->buffer = &slot->integer;
		bind->is_unsigned = (my_bool)(!negative && slot->integer < 0);
		return 0;
	}
	for (const char *c = value->data; *c != '\0'; c++)
		digits += *c >= '0' && *c <= '9';
	if (digits > MAX_DIGITS)
		return err_set(err, EINVAL,
			       "a number has %zu digits, the server's have %d",
			       digits, MAX_DIGITS);
	bind_text(bind, slot, MYSQL_TYPE_NEWDECIMAL, value);
	return 0;
}

static int bind_value(MYSQL_BIND *bind, struct slot *slot,
		      const struct db_value *value, struct err *err)
{
	switch (value->kind) {
	case DB_NULL:
		slot->is_null = 1;
		bind->buffer_type = MYSQL_TYPE_NULL;
		bind->is_null = &slot->is_null;
		return 0;
	case DB_BOOL:
		slot->truth = (char)(*value->data == 't');
		bind->buffer_type = MYSQL_TYPE_TINY;
		bind->buffer = &slot->truth;
		return 0;
	case DB_NUMBER:
		return bind_number(bind, slot, value, err);
	default: /* there are no arrays and objects but as JSON text */
		bind_text(bind, slot, MYSQL_TYPE_STRING, value);
		return 0;
	}
}

static void bind_values(struct prepared *p, const struct db_args *args)
{
	struct my_run *r = p->r;
	unsigned long expected = mysql_stmt_param_count(p->stmt);
	int rc = 0;

	if (expected != args->n) {
		my_run_fail(r, err_set(r->err, EINVAL,
				       "the statement has %lu placeholders, "
				       "and there are %zu values",
				       expected, args->n));
		return;
	}
	p->slots = calloc(args->n, sizeof(*p->slots));
	p->values = calloc(args->n, sizeof(*p->values));
	if (p->slots == NULL || p->values == NULL) {
		no_memory(p);
		return;
	}
	for (size_t i = 0; i < args->n && rc == 0; i++)
		rc = bind_value(&p->values[i], &p->slots[i], &args->values[i],
				r->err);
	if (rc < 0)
		my_run_fail(r, rc);
	else if (mysql_stmt_bind_param(p->stmt, p->values) != 0)
		failed(p);
}

/* Its text is in the row as it is, behind its length. */
static bool is_lent(enum enum_field_types type)
{
	switch (type) {
	case MYSQL_TYPE_DECIMAL:
	case MYSQL_TYPE_NEWDECIMAL:
	case MYSQL_TYPE_VARCHAR:
	case MYSQL_TYPE_BIT:
	case MYSQL_TYPE_JSON:
	case MYSQL_TYPE_ENUM:
	case MYSQL_TYPE_SET:
	case MYSQL_TYPE_TINY_BLOB:
	case MYSQL_TYPE_MEDIUM_BLOB:
	case MYSQL_TYPE_LONG_BLOB:
	case MYSQL_TYPE_BLOB:
	case MYSQL_TYPE_VAR_STRING:
	case MYSQL_TYPE_STRING:
	case MYSQL_TYPE_GEOMETRY:
		return true;
	default:
		return false;
	}
}

static void release_columns(struct prepared *p)
{
	free(p->columns);
	free(p->lengths);
	free(p->nulls);
	free(p->texts);
	p->columns = NULL;
	p->lengths = NULL;
	p->nulls = NULL;
	p->texts = NULL;
}

static void bind_columns(struct prepared *p, const MYSQL_FIELD *fields,
			 size_t n)
{
	release_columns(p);
	p->columns = calloc(n, sizeof(*p->columns));
	p->lengths = calloc(n, sizeof(*p->lengths));
	p->nulls = calloc(n, sizeof(*p->nulls));
	p->texts = calloc(n, sizeof(*p->texts));
	if (p->columns == NULL || p->lengths == NULL || p->nulls == NULL ||
	    p->texts == NULL) {
		no_memory(p);
		return;
	}
	for (size_t i = 0; i < n; i++) {
		MYSQL_BIND *bind = &p->columns[i];

		bind->buffer_type = MYSQL_TYPE_STRING;
		bind->buffer = p->texts[i];
		bind->buffer_length = is_lent(fields[i].type) ? 0 : TEXT_SIZE;
		bind->length = &p->lengths[i];
		bind->is_null = &p->nulls[i];
	}
	if (mysql_stmt_bind_result(p->stmt, p->columns) != 0)
		failed(p);
}

/* Called by mysql_stmt_fetch(), in the place of the connector's own. */
static int fetch(MYSQL_STMT *stmt, unsigned char **row, unsigned long *len)
{
	struct prepared *p = stmt->user_data;
	size_t size;

	if (!my_run_next_row(p->r, &p->set, row, &size))
		return MYSQL_NO_DATA;
	*len = size;
	p->row_end = *row + size;
	return 0;
}

static int take_row(struct prepared *p)
{
	struct my_run *r = p->r;
	struct my_set *set = &p->set;

	for (size_t i = 0; i < set->n_cols; i++) {
		struct db_cell *cell = &set->cells[i];
		const unsigned char *from;

		*cell = (struct db_cell){0};
		if (p->nulls[i])
			continue;
		cell->len = p->lengths[i];
		cell->data = p->texts[i];
		if (p->columns[i].buffer_length > 0)
			continue;
		from = my_set_length(p->stmt->bind[i].u.row_ptr, p->row_end,
				     &cell->len);
		if (from == NULL || cell->len > (size_t)(p->row_end - from))
			return err_set(r->err, EIO,
				       "the server sent a malformed row");
		cell->data = (const char *)from;
	}
	return my_set_row(set, r->sink, r->arg, r->err);
}

/* Returns how many rows it had. */
static int64_t take_set(struct prepared *p)
{
	MYSQL_RES *meta = mysql_stmt_result_metadata(p->stmt);
	struct my_run *r = p->r;
	int64_t n_rows;
	int rc;

	if (meta == NULL) {
		failed(p);
		return 0;
	}
	my_run_take_columns(r, &p->set, mysql_fetch_fields(meta),
			    mysql_num_fields(meta));
	if (!r->drain)
		bind_columns(p, mysql_fetch_fields(meta), p->set.n_cols);
	my_rows_begin(&r->s->rows, r->s->mysql);
	p->stmt->user_data = p;
	/* The first call of it decides where rows come from. */
	p->stmt->fetch_row_func = fetch;
	p->stmt->state = MYSQL_STMT_USE_OR_STORE_CALLED;
	while ((rc = mysql_stmt_fetch(p->stmt)) == 0) {
		rc = take_row(p);
		if (rc < 0)
			my_run_fail(r, rc);
	}
	if (rc != MYSQL_NO_DATA)
		failed(p);
	n_rows = p->set.n_rows;
	my_set_finish(&p->set);
	mysql_free_result(meta);
	return n_rows;
}

static void take_results(struct prepared *p)
{
	MYSQL *mysql = p->r->s->mysql;
	int next = mysql_stmt_execute(p->stmt);
	my_ulonglong changes;
	bool last;
	int64_t n;

	while (next == 0) {
		changes = mysql_stmt_affected_rows(p->stmt);
		n = changes != MYSQL_COUNT_ERROR ? (int64_t)changes : 0;
		if (mysql_stmt_field_count(p->stmt) > 0)
			n = take_set(p);
		if (mysql->net.pvio == NULL)
			return;
		last = !mysql_stmt_more_results(p->stmt);
		my_run_end_result(p->r, last, n, n);
		if (last)
			return;
		next = mysql_stmt_next_result(p->stmt);
	}
	failed(p);
}

static size_t size_of(const struct my_run *r, const struct db_args *args)
{
	size_t size = strlen(r->sql);

	for (size_t i = 0; i < args->n; i++)
		size += args->values[i].len;
	return size;
}

void my_stmt_run(struct my_run *r, const struct db_args *args)
{
	struct prepared p = {.r = r};

	if (args->named) {
		r->rc = err_set(r->err, EINVAL,
				"this engine's placeholders have no names: "
				"an array has their values, in order");
		return;
	}
	if (my_run_check_size(r, size_of(r, args)) < 0)
		return;
	p.stmt = mysql_stmt_init(r->s->mysql);
	if (p.stmt == NULL) {
		r->rc = err_set(r->err, ENOMEM, "out of memory");
		return;
	}
	if (mysql_stmt_prepare(p.stmt, r->sql, strlen(r->sql)) != 0)
		failed(&p);
	else
		bind_values(&p, args);
	if (r->rc == 0)
		take_results(&p);
	(void)mysql_stmt_close(p.stmt);
	release_columns(&p);
	free(p.slots);
	free(p.values);
}
