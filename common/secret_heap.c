/* SPDX-License-Identifier: MIT */
#include "common/secret_heap.h"

#include <malloc.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "common/secret.h"

static void adopt_jansson(void)
{
	json_set_alloc_funcs(secret_heap_malloc, secret_heap_free);
}

void secret_heap_init(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	(void)pthread_once(&once, adopt_jansson);
}

void *secret_heap_malloc(size_t size)
{
	return malloc(size);
}

void *secret_heap_calloc(size_t n, size_t size)
{
	return calloc(n, size);
}

void *secret_heap_realloc(void *p, size_t size)
{
	size_t old = p != NULL ? malloc_usable_size(p) : 0;
	void *fresh;

	if (p != NULL && size > 0 && size <= old)
		return p;
	/* realloc() would leave a copy where the block was. */
	fresh = malloc(size > 0 ? size : 1);
	if (fresh == NULL)
		return NULL;
	if (p != NULL)
		memcpy(fresh, p, old < size ? old : size);
	secret_heap_free(p);
	return fresh;
}

char *secret_heap_strdup(const char *s)
{
	return strdup(s);
}

void secret_heap_free(void *p)
{
	if (p != NULL)
		secret_wipe(p, malloc_usable_size(p));
	free(p);
}
