/* SPDX-License-Identifier: MIT */
/*
 * A heap for libraries that are handed secrets: malloc() and its kin, except
 * that blocks are wiped before they are given back. Its pointers are good for
 * free(), which then does not wipe. Any thread.
 */
#ifndef CONNFS_COMMON_SECRET_HEAP_H
#define CONNFS_COMMON_SECRET_HEAP_H

#include <stddef.h>

/*
 * Makes jansson take its memory from here. Before the first use of jansson;
 * again is fine.
 */
void secret_heap_init(void);

void *secret_heap_malloc(size_t size) __attribute__((malloc));
void *secret_heap_calloc(size_t n, size_t size) __attribute__((malloc));
void *secret_heap_realloc(void *p, size_t size);
char *secret_heap_strdup(const char *s) __attribute__((malloc));
void secret_heap_free(void *p); /* null is allowed */

#endif
