/* SPDX-License-Identifier: MIT */
/* Bytes that must not leak: where they are kept, and what is left of them. */
#include "common/secret.h"

#include <pthread.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "tests/unit/check.h"

static size_t locked_kib(void)
{
	FILE *f = fopen("/proc/self/status", "re");
	char line[256];
	size_t kib = 0;

	CHECK(f != NULL);
	while (fgets(line, sizeof(line), f) != NULL)
		if (strncmp(line, "VmLck:", 6) == 0)
			kib = strtoul(line + 6, NULL, 10);
	CHECK(fclose(f) == 0);
	return kib;
}

/* A sanitizer makes a no-op of it, which says that it has worked. */
static bool mlock_works(void)
{
	static _Alignas(4096) char page[4096];
	bool works;

	CHECK(mlock(page, sizeof(page)) == 0);
	works = locked_kib() > 0;
	CHECK(munlock(page, sizeof(page)) == 0);
	return works;
}

/* The VmFlags of the mapping that p is in. */
static void mapping_flags(const void *p, char out[1024])
{
	FILE *f = fopen("/proc/self/smaps", "re");
	unsigned long start = 0, end = 0;
	bool inside = false;
	char line[1024];

	CHECK(f != NULL);
	out[0] = '\0';
	while (fgets(line, sizeof(line), f) != NULL) {
		if (check_mapping(line, &start, &end))
			inside = (unsigned long)p >= start &&
				 (unsigned long)p < end;
		if (inside && strncmp(line, "VmFlags:", 8) == 0)
			memcpy(out, line, sizeof(line));
	}
	CHECK(fclose(f) == 0);
}

static void check_protected(const struct secret *s)
{
	char flags[1024];

	mapping_flags(s->data, flags);
	CHECK(strstr(flags, " dd") != NULL);
	CHECK(strstr(flags, " wf") != NULL);
	CHECK(!mlock_works() || strstr(flags, " lo") != NULL);
}

static void test_secret_is_locked_and_wiped(void)
{
	static const size_t sizes[] = {1, 63, 64, 8191, 8192, 70000};
	char text[70000];

	memset(text, 'x', sizeof(text));
	for (size_t i = 0; i < COUNT(sizes); i++) {
		struct secret s = {0};

		CHECK(secret_set(&s, text, sizes[i]) == 0);
		CHECK(s.len == sizes[i] && s.cap > s.len);
		CHECK(memcmp(s.data, text, s.len) == 0);
		CHECK(s.data[s.len] == '\0');
		check_protected(&s);
		secret_finish(&s);
		CHECK(s.data == NULL && s.len == 0 && s.cap == 0);
	}
}

static void test_small_secret_leaves_nothing(void)
{
	struct secret s = {0};
	char *where;

	CHECK(secret_set(&s, "hunter2", 7) == 0);
	where = s.data;
	secret_finish(&s);
	for (size_t i = 0; i < 64; i++)
		CHECK(where[i] == '\0');
}

static void test_secret_may_be_empty_or_its_own_part(void)
{
	struct secret s = {0};

	CHECK(secret_set(&s, "", 0) == 0);
	CHECK(s.data == NULL);
	CHECK(secret_set(&s, "abcdef", 6) == 0);
	CHECK(secret_set(&s, s.data + 2, 3) == 0);
	CHECK_TEXT(s.data, "cde");
	CHECK(secret_set(&s, NULL, 0) == 0);
	CHECK(s.data == NULL);
	secret_finish(&s);
}

/* As many as there can be specs, within a small limit on locked memory. */
static void test_secrets_share_pages(void)
{
	enum { N = 10000 };
	static struct secret secrets[N];

	for (size_t i = 0; i < N; i++) {
		char text[32];
		int len = snprintf(text, sizeof(text), "password %zu", i);

		CHECK(secret_set(&secrets[i], text, (size_t)len) == 0);
	}
	CHECK(locked_kib() <= 1024);
	for (size_t i = 0; i < N; i += 2)
		secret_finish(&secrets[i]);
	for (size_t i = 0; i < N; i += 2)
		CHECK(secret_set(&secrets[i], "again", 5) == 0);
	CHECK(locked_kib() <= 1024);
	for (size_t i = 0; i < N; i++) {
		char text[32];

		(void)snprintf(text, sizeof(text), "password %zu", i);
		CHECK_TEXT(secrets[i].data, i % 2 == 0 ? "again" : text);
		secret_finish(&secrets[i]);
	}
}

static void test_child_of_fork_finds_zeros(void)
{
	struct secret s = {0};
	pid_t pid;
	int status;

	CHECK(secret_set(&s, "hunter2", 7) == 0);
	pid = fork();
	CHECK(pid >= 0);
	if (pid == 0)
		_exit(s.data[0] == '\0' && s.data[6] == '\0' ? 0 : 1);
	CHECK(waitpid(pid, &status, 0) == pid && status == 0);
	CHECK_TEXT(s.data, "hunter2");
	secret_finish(&s);
}

enum { STACK = 2 * 1024 * 1024, DEEP = 200 * 1024, NEAR = 1000 };

/* Sanitizers would put the arrays somewhere else. */
__attribute__((noinline, no_sanitize_address)) static void leave_deep(void)
{
	volatile char text[DEEP];

	for (size_t i = 0; i < sizeof(text); i++)
		text[i] = 'S';
}

__attribute__((noinline, no_sanitize_address)) static void leave_near(void)
{
	volatile char text[NEAR];

	for (size_t i = 0; i < sizeof(text); i++)
		text[i] = 'S';
}

static void *leave_and_wipe(void *arg)
{
	const bool *wipes = arg;

	leave_deep();
	leave_near();
	if (*wipes)
		secret_wipe_stack();
	return NULL;
}

/* How much of that stands on the stack of a thread that has ended. */
static size_t left_on_stack(bool wipes)
{
	char *stack = mmap(NULL, STACK, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	pthread_attr_t attr;
	pthread_t thread;
	size_t n = 0;

	CHECK(stack != MAP_FAILED);
	CHECK(pthread_attr_init(&attr) == 0);
	CHECK(pthread_attr_setstack(&attr, stack, STACK) == 0);
	CHECK(pthread_create(&thread, &attr, leave_and_wipe, &wipes) == 0);
	CHECK(pthread_join(thread, NULL) == 0);
	CHECK(pthread_attr_destroy(&attr) == 0);
	for (size_t i = 4; i < STACK; i++)
		n += memcmp(stack + i - 4, "SSSS", 4) == 0;
	CHECK(munmap(stack, STACK) == 0);
	return n;
}

static void test_stack_is_emptied(void)
{
	CHECK(left_on_stack(false) > DEEP / 2);
	CHECK(left_on_stack(true) == 0);
}

int main(void)
{
	test_secret_is_locked_and_wiped();
	test_small_secret_leaves_nothing();
	test_secret_may_be_empty_or_its_own_part();
	test_secrets_share_pages();
	test_child_of_fork_finds_zeros();
	test_stack_is_emptied();
	return 0;
}
