/* SPDX-License-Identifier: MIT */
/*
 * Whether a text is what params.json may hold, a piece at a time: JSON with an
 * array or an object at the top, Unicode without NUL, and within limits. Each
 * byte is looked at once, however the text was cut. Owns nothing.
 */
#ifndef CONNFS_FS_PARAMS_CHECK_H
#define CONNFS_FS_PARAMS_CHECK_H

#include <stdbool.h>
#include <stddef.h>

struct err;

enum {
	PARAMS_MAX = 65535,          /* as many as PostgreSQL's protocol has */
	PARAMS_MAX_VALUES = 1000000, /* with those of arrays */
	PARAMS_MAX_DEPTH = 100,
	PARAMS_MAX_COPIED = 64 * 1024 * 1024,
};

/* All zero at first. */
struct params_check {
	int state; /* enum state in params_check.c */
	size_t depth;
	char open[PARAMS_MAX_DEPTH];      /* '[' or '{' */
	size_t start[PARAMS_MAX_DEPTH];   /* where it was opened */
	size_t document;                  /* depth of an object's value, or 0 */
	size_t offset;                    /* bytes taken */
	bool is_name;                     /* the string is a member's name */
	const char *word;                 /* the rest of true, false or null */
	unsigned unit, high;              /* of \u: this one, and one before */
	unsigned n_hex;                   /* digits of it that were there */
	unsigned char tail_min, tail_max; /* the character's next byte */
	unsigned n_tail;                  /* how many more it has */

	/* What params.c makes of it. */
	size_t n;        /* parameters */
	size_t n_values; /* with those of arrays */
	size_t n_copied; /* bytes: texts of arrays and objects in it */
};

/*
 * Takes more of the text: 0 when it goes on, 1 when it is complete and only
 * white space may follow, -EINVAL or -EFBIG. After a mistake, which is at
 * offset, c is of no use.
 */
int params_check(struct params_check *c, const char *data, size_t len,
		 struct err *err);

/* Nothing but white space until now. */
bool params_check_blank(const struct params_check *c);

/* The text ends here, too early: sets what is missing and returns -EINVAL. */
int params_check_end(const struct params_check *c, struct err *err);

#endif
