/* SPDX-License-Identifier: MIT */
#include "fs/params.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>

#include "common/buf.h"
#include "common/err.h"
#include "fs/params_check.h"
#include "fs/params_values.h"

struct params {
	atomic_uint refs;
	struct params_check check;
	struct buf text;
	struct err err; /* the mistake, code 0: none */
	bool complete;
	bool forgotten; /* the text was freed */
	struct params_values values;
};

/* Line and column of a place in the text, which is UTF-8 until there. */
static int fail_at(const struct params *p, size_t at, struct err *err,
		   const struct err *mistake)
{
	unsigned line = 1, column = 1;

	if (p->forgotten)
		return err_set(err, mistake->code, "params.json: %s",
			       mistake->msg);
	for (size_t i = 0; i < at; i++) {
		if (p->text.data[i] == '\n') {
			line++;
			column = 1;
		} else if (((unsigned char)p->text.data[i] & 0xc0) != 0x80) {
			column++;
		}
	}
	return err_set(err, mistake->code,
		       "params.json, line %u, column %u: %s", line, column,
		       mistake->msg);
}

struct params *params_create(void)
{
	struct params *p = calloc(1, sizeof(*p));

	if (p == NULL)
		return NULL;
	atomic_init(&p->refs, 1);
	buf_init(&p->text, PARAMS_MAX_TEXT);
	return p;
}

struct params *params_ref(struct params *p)
{
	atomic_fetch_add(&p->refs, 1);
	return p;
}

void params_unref(struct params *p)
{
	if (p == NULL || atomic_fetch_sub(&p->refs, 1) != 1)
		return;
	buf_finish(&p->text);
	params_values_finish(&p->values);
	free(p);
}

static int take(struct params *p, const char *data, size_t len, struct err *err)
{
	struct err mistake = {0};
	int rc;

	if (len > p->text.max - p->text.len)
		return err_set(err, EFBIG,
			       "params.json takes 16 MiB of text at most");
	if (!p->forgotten)
		buf_put(&p->text, data, len);
	if (p->text.failed)
		return err_set(err, ENOMEM, "no memory for the parameters");
	rc = params_check(&p->check, data, len, &mistake);
	if (rc < 0)
		return fail_at(p, p->check.offset, err, &mistake);
	if (rc == 0 || p->complete)
		return rc;
	rc = params_values_init(&p->values, p->text.data, p->text.len,
				&p->check, &mistake);
	if (rc == -EINVAL)
		return fail_at(p, p->values.mistake, err, &mistake);
	if (rc < 0)
		return err_set(err, -rc, "%s", mistake.msg);
	p->complete = true;
	return 1;
}

int params_feed(struct params *p, const char *data, size_t len, struct err *err)
{
	int rc = -p->err.code;

	if (rc == 0)
		rc = take(p, data, len, &p->err);
	if (rc < 0) {
		params_forget_text(p);
		*err = p->err;
	}
	return rc;
}

int params_end(const struct params *p, struct err *err)
{
	struct err mistake;

	if (p->complete || p->err.code != 0 || params_check_blank(&p->check))
		return 0;
	(void)params_check_end(&p->check, &mistake);
	return fail_at(p, p->text.len, err, &mistake);
}

const struct db_args *params_args(const struct params *p)
{
	return p != NULL && p->values.args.n > 0 ? &p->values.args : NULL;
}

void params_text(const struct params *p, struct buf *out)
{
	buf_put(out, p->text.data, p->text.len);
}

void params_forget_text(struct params *p)
{
	buf_finish(&p->text);
	p->forgotten = true;
}

size_t params_size(const struct params *p)
{
	return sizeof(*p) + p->text.cap + p->values.size;
}
