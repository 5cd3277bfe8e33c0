/* SPDX-License-Identifier: MIT */
/* When a call of AWS is made again, how long it waits, and when it gives up. */
#include "auth/aws/call.h"

#include <errno.h>
#include <semaphore.h>
#include <sys/random.h>

#include "auth/aws/http.h"
#include "tests/unit/call_scene.h"
#include "tests/unit/check.h"

static sem_t waiting; /* posted once a wait */

/* Random waits are as long as they can be. libc's parameters are reserved. */
/* NOLINTNEXTLINE(readability-inconsistent-declaration-parameter-name) */
ssize_t getrandom(void *bytes, size_t len, unsigned flags)
{
	memset(bytes, 0xff, len);
	CHECK(sem_post(&waiting) == 0);
	return (ssize_t)len;
}

static void test_retries_until_it_works(void)
{
	static const struct http_answer script[] = {
		{.status = "400 Bad Request",
		 .body = JSON_ERROR("ThrottlingException")},
		{.manner = HTTP_DROPS},
		{.status = "200 OK", .body = "{}"},
	};
	struct scene s;

	scene_play(&s, script, COUNT(script));
	CHECK(s.rc == 0 && s.error.code[0] == '\0' && !s.error.transient);
	CHECK_TEXT(s.answer.data, "{}");
	CHECK(s.n_sent == 3 && s.given.n == 3);
	CHECK(s.given.n_fresh == 0);
	scene_finish(&s);
}

static void test_three_attempts_at_most(void)
{
	static const struct {
		struct http_answer answer;
		const char *code;
		int rc;
		const char *msg;
	} cases[] = {
		{{.status = "502 Bad Gateway",
		  .body = "<html><body>hunter2</body></html>"},
		 "HTTP 502",
		 -EIO,
		 "GetParameter: HTTP 502 (tried 3 times)"},
		{{.status = "429 Too Many Requests"},
		 "HTTP 429",
		 -EAGAIN,
		 "GetParameter: HTTP 429; AWS limits the rate of these calls: "
		 "wait, or cache longer (tried 3 times)"},
		{{.status = "500 Oops",
		  .headers = "x-amzn-RequestId: r-1\r\n",
		  .body = JSON_ERROR("InternalServerError")},
		 "InternalServerError",
		 -EIO,
		 "GetParameter: InternalServerError: Because (request r-1, "
		 "tried 3 times)"},
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct scene s;

		scene_play(&s, &cases[i].answer, 1);
		CHECK(s.rc == cases[i].rc && s.error.transient);
		CHECK_TEXT(s.error.code, cases[i].code);
		CHECK_TEXT(s.err.msg, cases[i].msg);
		CHECK(s.n_sent == 3);
		scene_finish(&s);
	}
}

static void test_lost_connections(void)
{
	static const struct http_answer script = {.manner = HTTP_DROPS};
	struct scene s;
	char msg[128];

	scene_play(&s, &script, 1);
	(void)snprintf(msg, sizeof(msg),
		       "GetParameter: %s: the connection was lost (tried 3 "
		       "times)",
		       s.server.host);
	CHECK(s.rc == -EIO && s.error.transient);
	CHECK_TEXT(s.err.msg, msg);
	CHECK_TEXT(s.error.code, "");
	CHECK(s.n_sent == 3);
	scene_finish(&s);
}

static void test_number_of_attempts_of_the_environment(void)
{
	static const struct http_answer script = {.status = "503 Later"};
	static const struct {
		const char *value;
		size_t n;
	} cases[] = {{"1", 1},  {"5", 5}, {"99", 10}, {"0", 3},
		     {"-1", 3}, {"", 3},  {"two", 3}, {"2x", 3}};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct scene s;

		CHECK(setenv("AWS_MAX_ATTEMPTS", cases[i].value, 1) == 0);
		scene_play(&s, &script, 1);
		CHECK(s.rc == -EIO);
		CHECK(s.n_sent == cases[i].n);
		scene_finish(&s);
	}
	CHECK(unsetenv("AWS_MAX_ATTEMPTS") == 0);
}

/* Waits double, begin longer after throttling, and have to fit in. */
static void test_waits(void)
{
	static const struct http_answer throttled[] = {
		{.status = "400 Bad Request",
		 .body = JSON_ERROR("ThrottlingException")},
		{.status = "400 Bad Request",
		 .body = JSON_ERROR("ThrottlingException")},
		{.status = "200 OK"},
	};
	static const struct http_answer down = {.status = "503 Later"};
	struct scene s;

	aws_retry_throttled_ms = 100;
	scene_play(&s, throttled, COUNT(throttled));
	CHECK(s.rc == 0 && s.took_ms >= 2 * 99 + 99);
	scene_finish(&s);

	aws_retry_throttled_ms = 2 * PLENTY_MS;
	aws_call_limit_ms = PLENTY_MS / 2;
	scene_play(&s, throttled, COUNT(throttled));
	CHECK(s.rc == -EAGAIN && s.n_sent == 1 && s.took_ms < SOON_MS);
	scene_finish(&s);
	scene_play(&s, &down, 1);
	CHECK(s.rc == -EIO && s.n_sent == 3);
	scene_finish(&s);
	aws_retry_throttled_ms = 1;
	aws_call_limit_ms = PLENTY_MS;
}

/* What AWS asks for counts, as long as it is not unreasonable. */
static void test_retry_after(void)
{
	static const struct http_answer script[] = {
		{.status = "429 Too Many Requests",
		 .headers = "x-amz-retry-after: 200\r\n"},
		{.status = "200 OK"},
	};
	static const struct http_answer later[] = {
		{.status = "429 Too Many Requests",
		 .headers = "x-amz-retry-after: 60000\r\n"},
		{.status = "200 OK"},
	};
	struct scene s;

	scene_play(&s, script, COUNT(script));
	CHECK(s.rc == 0 && s.took_ms >= 200);
	scene_finish(&s);

	/* 5 s and no more, for which there is no time here. */
	aws_call_limit_ms = SOON_MS - 500;
	scene_play(&s, later, COUNT(later));
	CHECK(s.rc == -EAGAIN && s.took_ms < SOON_MS - 500);
	CHECK(s.n_sent == 1);
	aws_call_limit_ms = PLENTY_MS;
	scene_finish(&s);
}

/*
 * A service that is down is not hammered by all that need it: once what the
 * process may spend on retries is spent, there are none.
 */
static void test_retries_have_a_quota(void)
{
	static const struct http_answer down = {.status = "503 Later"};
	static const struct http_answer up = {.status = "200 OK"};
	struct scene s;
	size_t n = 0;

	do {
		scene_play(&s, &down, 1);
		CHECK(s.rc == -EIO && ++n < 60);
		scene_finish(&s);
	} while (s.n_sent == 3);
	scene_play(&s, &down, 1);
	CHECK(s.n_sent == 1);
	scene_finish(&s);

	/* Success earns it back, bit by bit. */
	for (size_t i = 0; i < 20; i++) {
		scene_play(&s, &up, 1);
		CHECK(s.rc == 0);
		scene_finish(&s);
	}
	scene_play(&s, &down, 1);
	CHECK(s.n_sent == 3);
	scene_finish(&s);
}

static void *stop_in_the_wait(void *arg)
{
	CHECK(sem_wait(&waiting) == 0);
	http_stop();
	return NULL;
}

/* The last one: nothing works afterwards. */
static void test_stop_ends_the_wait_for_a_retry(void)
{
	static const struct http_answer script = {
		.status = "429 Too Many Requests",
		.headers = "x-amz-retry-after: 60000\r\n"};
	struct scene s;
	pthread_t thread;

	scene_prepare(&s, &script, 1);
	CHECK(sem_destroy(&waiting) == 0 && sem_init(&waiting, 0, 0) == 0);
	CHECK(pthread_create(&thread, NULL, stop_in_the_wait, NULL) == 0);
	scene_call(&s);
	CHECK(pthread_join(thread, NULL) == 0);
	CHECK(s.rc == -ECANCELED && s.took_ms < SOON_MS);
	CHECK(s.n_sent == 1);
	scene_finish(&s);
}

int main(int argc, char **argv)
{
	check_init(argc, argv);
	CHECK(sem_init(&waiting, 0, 0) == 0);
	aws_call_limit_ms = PLENTY_MS;
	aws_retry_base_ms = 1;
	aws_retry_throttled_ms = 1;
	test_retries_until_it_works();
	test_three_attempts_at_most();
	test_lost_connections();
	test_number_of_attempts_of_the_environment();
	test_waits();
	test_retry_after();
	test_retries_have_a_quota();
	test_stop_ends_the_wait_for_a_retry();
	return 0;
}
