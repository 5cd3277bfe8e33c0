/* SPDX-License-Identifier: MIT */
/*
 * The values of a text that params_check() has found sound: what a driver is
 * given. Belongs to struct params.
 */
#ifndef CONNFS_FS_PARAMS_VALUES_H
#define CONNFS_FS_PARAMS_VALUES_H

#include <stddef.h>

#include "backends/db.h"

struct err;
struct params_check;

struct params_values {
	struct db_args args; /* points into the block */
	void *block;
	size_t size;    /* bytes of it */
	size_t mistake; /* where in the text -EINVAL is about */
};

/*
 * v is all zero. Signs of placeholders in front of names are left out. 0,
 * -EINVAL when a name is empty or comes twice, or -ENOMEM.
 */
int params_values_init(struct params_values *v, const char *text, size_t len,
		       const struct params_check *c, struct err *err);
void params_values_finish(struct params_values *v);

#endif
