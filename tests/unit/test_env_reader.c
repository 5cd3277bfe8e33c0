/* SPDX-License-Identifier: MIT */
/*
 * Reading the environment of processes, some of which do not let themselves be
 * read: they are inside exec, which closes a file of a filesystem that does
 * not answer.
 */
#include "fs/caller.h"

#include <fcntl.h>
#include <pthread.h>

#include "common/clock.h"
#include "tests/unit/check.h"
#include "tests/unit/children.h"
#include "tests/unit/stuck.h"

enum { MOST = 200, N_LOST = 8 };

/* What done() was told; one for each request. */
struct answers {
	pthread_mutex_t mutex;
	pthread_cond_t more;
	size_t n;              /* mutex */
	size_t counts[MOST];   /* mutex; how often for each */
	struct caller_env env; /* mutex; the last one */
};

static struct answers answers = {
	.mutex = PTHREAD_MUTEX_INITIALIZER,
	.more = PTHREAD_COND_INITIALIZER,
};

static void on_done(void *arg, const struct caller_env *env)
{
	size_t *count = arg;

	(void)pthread_mutex_lock(&answers.mutex);
	(*count)++;
	answers.n++;
	answers.env = *env;
	(void)pthread_cond_signal(&answers.more);
	(void)pthread_mutex_unlock(&answers.mutex);
}

static void reset_answers(void)
{
	answers.n = 0;
	memset(answers.counts, 0, sizeof(answers.counts));
}

static void wait_for_answers(size_t n)
{
	(void)pthread_mutex_lock(&answers.mutex);
	while (answers.n < n)
		(void)pthread_cond_wait(&answers.more, &answers.mutex);
	CHECK(answers.n == n);
	for (size_t i = 0; i < n; i++)
		CHECK(answers.counts[i] == 1);
	(void)pthread_mutex_unlock(&answers.mutex);
}

static struct caller_env ask(struct env_reader *r, pid_t pid)
{
	reset_answers();
	env_reader_request(r, pid, on_done, &answers.counts[0]);
	wait_for_answers(1);
	return answers.env;
}

/* A cat that waits for input, with this environment. */
static pid_t start_with(char *const *envp)
{
	int started[2];
	int silent[2];
	char none;
	pid_t child;

	CHECK(pipe2(started, O_CLOEXEC) == 0);
	CHECK(pipe2(silent, O_CLOEXEC) == 0);
	child = fork();
	CHECK(child >= 0);
	if (child == 0) {
		CHECK(prctl(PR_SET_PDEATHSIG, SIGKILL) == 0);
		CHECK(dup2(silent[0], 0) == 0);
		/* So that it does not see the end of it. */
		CHECK(fcntl(silent[1], F_SETFD, 0) == 0);
		(void)execle("/bin/cat", "cat", NULL, envp);
		_exit(1);
	}
	(void)close(started[1]);
	/* Closed by the exec. */
	CHECK(read(started[0], &none, 1) == 0);
	(void)close(started[0]);
	(void)close(silent[0]);
	(void)close(silent[1]);
	return child;
}

static void check_env(struct env_reader *r, char *const *envp,
		      const char *realm, const char *job_id)
{
	pid_t child = start_with(envp);
	struct caller_env env = ask(r, child);

	CHECK_TEXT(env.realm, realm);
	CHECK_TEXT(env.job_id, job_id);
	child_end(child);
}

static char *repeat(const char *head, char c, size_t n)
{
	size_t len = strlen(head);
	char *text = malloc(len + n + 1);

	CHECK(text != NULL);
	memcpy(text, head, len);
	memset(text + len, c, n);
	text[len + n] = '\0';
	return text;
}

static void test_values(void)
{
	struct env_reader *r = env_reader_create();
	char realm[] = "LAVA_REALM=prod";
	char other_realm[] = "LAVA_REALM=dev";
	char job[] = "LAVA_JOB_ID=nightly/orders";
	char near[] = "XLAVA_REALM=no";
	char longer[] = "LAVA_REALM_X=no";
	char dirty[] = "LAVA_JOB_ID=a\nb\tc\xff"
		       "d";
	char empty[] = "LAVA_JOB_ID=";

	CHECK(r != NULL);
	check_env(r, (char *[]){realm, job, NULL}, "prod", "nightly/orders");
	check_env(r, (char *[]){near, job, longer, NULL}, "", "nightly/orders");
	check_env(r, (char *[]){realm, other_realm, NULL}, "prod", "");
	check_env(r, (char *[]){dirty, NULL}, "", "abcd");
	check_env(r, (char *[]){empty, NULL}, "", "");
	check_env(r, (char *[]){NULL}, "", "");
	env_reader_destroy(r);
}

static void test_bounds(void)
{
	struct env_reader *r = env_reader_create();
	char realm[] = "LAVA_REALM=prod";
	char *value = repeat("LAVA_JOB_ID=", 'j', 5000);
	char *cut = repeat("", 'j', sizeof(answers.env.job_id) - 1);
	char *half = repeat("A=", 'x', 60000);
	char *over = repeat("LAVA_JOB_ID=", 'x', 20000);

	CHECK(r != NULL);
	check_env(r, (char *[]){value, realm, NULL}, "prod", cut);
	/* Beyond 128 KiB nothing is looked at, half a value neither. */
	check_env(r, (char *[]){realm, half, half, over, NULL}, "prod", "");
	check_env(r, (char *[]){half, half, half, realm, NULL}, "", "");
	env_reader_destroy(r);
	free(value);
	free(cut);
	free(half);
	free(over);
}

static void test_gone(void)
{
	struct env_reader *r = env_reader_create();
	pid_t child = child_start(run_staying, NULL);
	struct caller_env env;

	CHECK(r != NULL);
	child_end(child);
	env = ask(r, child);
	CHECK_TEXT(env.realm, "");
	CHECK_TEXT(env.job_id, "");
	env_reader_destroy(r);
}

static void test_many_at_once(void)
{
	struct env_reader *r = env_reader_create();
	char realm[] = "LAVA_REALM=prod";
	pid_t child = start_with((char *[]){realm, NULL});

	CHECK(r != NULL);
	reset_answers();
	for (size_t i = 0; i < MOST; i++)
		env_reader_request(r, child, on_done, &answers.counts[i]);
	wait_for_answers(MOST);
	env_reader_destroy(r);
	child_end(child);
}

/* What was asked is answered, in the worst case by the end itself. */
static void test_destroy_answers(void)
{
	pid_t child = child_start(run_staying, NULL);

	for (int round = 0; round < 50; round++) {
		struct env_reader *r = env_reader_create();

		CHECK(r != NULL);
		reset_answers();
		for (size_t i = 0; i < 20; i++)
			env_reader_request(r, child, on_done,
					   &answers.counts[i]);
		env_reader_destroy(r);
		CHECK(answers.n == 20);
		wait_for_answers(20);
	}
	env_reader_destroy(NULL);
	child_end(child);
}

/* One is given up after the limit, and the others go on; then none is left. */
static void test_no_answer(void)
{
	struct env_reader *r = env_reader_create();
	char realm[] = "LAVA_REALM=prod";
	pid_t good = start_with((char *[]){realm, NULL});
	pid_t server = stuck_mount();
	pid_t bad[N_LOST];
	uint64_t before;

	CHECK(r != NULL);
	for (size_t i = 0; i < N_LOST; i++)
		bad[i] = stuck_start(run_stuck_in_exec);
	before = clock_mono_ms();
	CHECK_TEXT(ask(r, bad[0]).realm, "");
	CHECK(clock_mono_ms() - before >= 50);
	CHECK_TEXT(ask(r, good).realm, "prod");
	reset_answers();
	for (size_t i = 1; i < N_LOST; i++)
		env_reader_request(r, bad[i], on_done, &answers.counts[i - 1]);
	wait_for_answers(N_LOST - 1);
	CHECK_TEXT(ask(r, good).realm, "");

	/* They come back. */
	stuck_unmount();
	while (strcmp(ask(r, good).realm, "prod") != 0)
		continue;
	env_reader_destroy(r);
	for (size_t i = 0; i < N_LOST; i++)
		child_end(bad[i]);
	child_end(good);
	stuck_end(server);
}

/* The end does not wait for threads that hang. */
static void test_destroy_does_not_hang(void)
{
	struct env_reader *r = env_reader_create();
	pid_t server = stuck_mount();
	pid_t bad = stuck_start(run_stuck_in_exec);
	uint64_t before;

	CHECK(r != NULL);
	CHECK_TEXT(ask(r, bad).realm, "");
	reset_answers();
	env_reader_request(r, bad, on_done, &answers.counts[0]);
	before = clock_mono_ms();
	env_reader_destroy(r);
	CHECK(clock_mono_ms() - before < 5000);
	CHECK(answers.n == 1);
	stuck_end(server);
	child_end(bad);
}

int main(int argc, char **argv)
{
	check_init(argc, argv);
	test_values();
	test_bounds();
	test_gone();
	test_many_at_once();
	test_destroy_answers();
	test_no_answer();
	test_destroy_does_not_hang();
	return 0;
}
