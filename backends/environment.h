/* SPDX-License-Identifier: MIT */
/* What the clients' libraries read of the environment, taken out of it. */
#ifndef CONNFS_BACKENDS_ENVIRONMENT_H
#define CONNFS_BACKENDS_ENVIRONMENT_H

#include <stddef.h>

/*
 * Removes every variable whose name begins with one of the prefixes. Before
 * the library is used the first time.
 */
void environment_clear(const char *const *prefixes, size_t n);

#endif
