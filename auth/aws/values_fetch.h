/* SPDX-License-Identifier: MIT */
/* One value, from AWS; for values.c, which keeps them. Any thread; blocks. */
#ifndef CONNFS_AUTH_AWS_VALUES_FETCH_H
#define CONNFS_AUTH_AWS_VALUES_FETCH_H

#include "auth/aws/values.h"

/*
 * See aws_value_get(); *transient: AWS could not be asked. err begins with the
 * name of the value.
 */
int values_fetch(struct secret *out, const struct aws_value *value,
		 bool *transient, struct err *err);

#endif
