/* SPDX-License-Identifier: MIT */
/*
 * What a service manager hears.
 *
 *     test_notify DIRECTORY
 */
#include "common/notify.h"

#include <errno.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "tests/unit/check.h"

/* A manager, at a path or, with '@', at an abstract name. */
static int listen_at(const char *name)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	size_t len = strlen(name);

	CHECK(len < sizeof(address.sun_path));
	memcpy(address.sun_path, name, len);
	if (name[0] == '@')
		address.sun_path[0] = '\0';
	CHECK(bind(fd, (struct sockaddr *)&address,
		   (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len)) ==
	      0);
	return fd;
}

/* The next message; "" when there is none. */
static const char *heard(int fd)
{
	static char text[2048];
	ssize_t n = recv(fd, text, sizeof(text) - 1, 0);

	CHECK(n >= 0 || errno == EAGAIN);
	text[n > 0 ? n : 0] = '\0';
	return text;
}

static void check_child(pid_t child)
{
	int status;

	CHECK(waitpid(child, &status, 0) == child);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* Each in a process of its own: the environment is taken once. */
static void apart(void (*test)(const char *name, int fd), const char *name)
{
	pid_t child = fork();

	CHECK(child >= 0);
	if (child == 0) {
		int fd = listen_at(name);

		CHECK(setenv("NOTIFY_SOCKET", name, 1) == 0);
		test(name, fd);
		_exit(0);
	}
	check_child(child);
}

static void test_sends(const char *name, int fd)
{
	(void)name;
	CHECK(notify_send("READY=1") == 0);
	CHECK_TEXT(heard(fd), "");
	notify_take_env(true);

	CHECK(notify_send("READY=1\nSTATUS=%d of %s", 3, "four") == 0);

	CHECK_TEXT(heard(fd), "READY=1\nSTATUS=3 of four");
	CHECK_TEXT(heard(fd), "");
}

/* Nothing that is started afterwards can speak for this process. */
static void test_takes_the_environment(const char *name, int fd)
{
	(void)name;
	(void)fd;
	CHECK(setenv("WATCHDOG_USEC", "1000000", 1) == 0);
	CHECK(setenv("WATCHDOG_PID", "1", 1) == 0);
	notify_take_env(true);

	CHECK(getenv("NOTIFY_SOCKET") == NULL);
	CHECK(getenv("WATCHDOG_USEC") == NULL);
	CHECK(getenv("WATCHDOG_PID") == NULL);
}

/* A daemon that something else has started is not the service. */
static void test_drops_what_is_not_ours(const char *name, int fd)
{
	(void)name;
	CHECK(setenv("WATCHDOG_USEC", "1000000", 1) == 0);
	notify_take_env(false);

	CHECK(notify_send("READY=1") == 0);

	CHECK_TEXT(heard(fd), "");
	CHECK(notify_watchdog_us() == 0);
	CHECK(getenv("NOTIFY_SOCKET") == NULL);
}

/* A manager that does not read does not stop the loop. */
static void test_never_waits(const char *name, int fd)
{
	unsigned n = 0;
	int rc = 0;

	(void)name;
	notify_take_env(true);
	while (rc == 0 && n < 100000) {
		rc = notify_send("WATCHDOG=1");
		n++;
	}
	CHECK(rc == -EAGAIN);
	while (n-- > 1)
		CHECK_TEXT(heard(fd), "WATCHDOG=1");
	CHECK(notify_send("READY=1") == 0);
	CHECK_TEXT(heard(fd), "READY=1");
}

/* One that has gone does not either, nor does one too long to be told. */
static void test_what_cannot_be_sent(const char *name, int fd)
{
	char text[2000];

	(void)name;
	notify_take_env(true);
	memset(text, 'a', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	CHECK(notify_send("STATUS=%s", text) == -EMSGSIZE);
	CHECK_TEXT(heard(fd), "");
	CHECK(close(fd) == 0);
	CHECK(notify_send("READY=1") == -ECONNREFUSED);
}

static void take_watchdog(const char *usec, const char *pid, uint64_t expected)
{
	if (usec != NULL)
		CHECK(setenv("WATCHDOG_USEC", usec, 1) == 0);
	if (pid != NULL)
		CHECK(setenv("WATCHDOG_PID", pid, 1) == 0);
	notify_take_env(true);
	CHECK(notify_watchdog_us() == expected);
}

static void test_watchdog(const char *name, int fd)
{
	char self[32];
	const struct {
		const char *usec;
		const char *pid; /* self: of the process that looks */
		uint64_t expected;
	} cases[] = {
		{"30000000", self, 30000000},
		{"30000000", NULL, 30000000},
		{"1", self, 1},
		{"30000000", "1", 0},
		{"30000000", "", 0},
		{"30000000", "x", 0},
		{NULL, self, 0},
		{"", self, 0},
		{"0", self, 0},
		{"-1", self, 0},
		{" 1", self, 0},
		{"1s", self, 0},
		{"99999999999999999999", self, 0},
	};

	(void)name;
	(void)fd;
	for (size_t i = 0; i < COUNT(cases); i++) {
		pid_t child = fork();

		CHECK(child >= 0);
		if (child == 0) {
			(void)snprintf(self, sizeof(self), "%d", getpid());
			take_watchdog(cases[i].usec, cases[i].pid,
				      cases[i].expected);
			_exit(0);
		}
		check_child(child);
	}
}

/* Neither a path nor an abstract name, or too long: nobody. */
static void test_no_socket(const char *name, int fd)
{
	char text[200];
	const char *const names[] = {"", "/", "@", "vsock:2:1", text, NULL};

	(void)name;
	(void)fd;
	memset(text, 'a', sizeof(text));
	text[0] = '/';
	text[sizeof(text) - 1] = '\0';
	for (size_t i = 0; i < COUNT(names); i++) {
		if (names[i] != NULL)
			CHECK(setenv("NOTIFY_SOCKET", names[i], 1) == 0);
		CHECK(setenv("WATCHDOG_USEC", "1000000", 1) == 0);
		notify_take_env(true);
		CHECK(notify_send("READY=1") == 0);
		CHECK(notify_watchdog_us() == 0);
	}
}

int main(int argc, char **argv)
{
	char abstract[64];

	check_init(argc, argv);
	(void)snprintf(abstract, sizeof(abstract), "@connfs-test-%d", getpid());
	apart(test_sends, check_path("manager"));
	apart(test_sends, abstract);
	apart(test_takes_the_environment, abstract);
	apart(test_drops_what_is_not_ours, abstract);
	apart(test_never_waits, abstract);
	apart(test_what_cannot_be_sent, abstract);
	apart(test_watchdog, abstract);
	apart(test_no_socket, abstract);
	return 0;
}
