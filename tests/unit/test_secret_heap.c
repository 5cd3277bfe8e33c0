/* SPDX-License-Identifier: MIT */
/* A heap that leaves nothing behind, and jansson upon it. */
#include "common/secret_heap.h"

#include <malloc.h>

#include <jansson.h>

#include "tests/unit/check.h"

static const char password[] = "correct horse battery staple";

/* What is being freed: how often there, and how often with the password. */
static size_t n_freed, n_unwiped;

void __real_free(void *p);
/* The linker puts it in front of libc's (--wrap). */
void __wrap_free(void *p);

void __wrap_free(void *p)
{
	if (p != NULL) {
		n_freed++;
		if (malloc_usable_size(p) >= sizeof(password) &&
		    memcmp(p, password, sizeof(password)) == 0)
			n_unwiped++;
	}
	__real_free(p);
}

static void watch(void)
{
	n_freed = 0;
	n_unwiped = 0;
}

static void test_freed_blocks_are_wiped(void)
{
	char *p = secret_heap_strdup(password);

	CHECK_TEXT(p, password);
	watch();
	secret_heap_free(p);
	CHECK(n_freed == 1 && n_unwiped == 0);
	secret_heap_free(NULL);
	CHECK(n_freed == 1);
}

/* Else the block that was too small would stay as it is. */
static void test_moved_blocks_are_wiped(void)
{
	char *p = secret_heap_malloc(sizeof(password));

	CHECK(p != NULL);
	memcpy(p, password, sizeof(password));
	watch();
	p = secret_heap_realloc(p, 100000);
	CHECK(p != NULL);
	CHECK_TEXT(p, password);
	CHECK(n_freed == 1 && n_unwiped == 0);
	p = secret_heap_realloc(p, sizeof(password));
	CHECK_TEXT(p, password);
	secret_heap_free(p);
	CHECK(n_unwiped == 0);
}

static void test_new_blocks_are_as_malloc_has_them(void)
{
	char *p = secret_heap_calloc(3, 7);
	char *q = secret_heap_realloc(NULL, 5);

	CHECK(p != NULL && q != NULL);
	for (size_t i = 0; i < 21; i++)
		CHECK(p[i] == 0);
	secret_heap_free(p);
	secret_heap_free(q);
}

static void test_what_jansson_parses_is_wiped(void)
{
	char text[128];
	json_t *json;

	secret_heap_init();
	secret_heap_init();
	(void)snprintf(text, sizeof(text), "{\"password\":\"%s\"}", password);
	json = json_loads(text, 0, NULL);
	CHECK_TEXT(json_string_value(json_object_get(json, "password")),
		   password);
	watch();
	json_decref(json);
	CHECK(n_freed > 0 && n_unwiped == 0);
}

int main(void)
{
	test_freed_blocks_are_wiped();
	test_moved_blocks_are_wiped();
	test_new_blocks_are_as_malloc_has_them();
	test_what_jansson_parses_is_wiped();
	return 0;
}
