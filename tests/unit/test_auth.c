/* SPDX-License-Identifier: MIT */
/*
 * The sources of passwords, and what is kept of them.
 *
 *     test_auth DIRECTORY
 *
 * As root: a file of another user is made.
 */
#include "auth/auth.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>

#include "auth/provider.h"
#include "tests/unit/check.h"

enum { OTHER = 65534 };

static struct auth *create(enum auth_kind kind, const char *value)
{
	const struct auth_config config = {.kind = kind,
					   .user = "scott",
					   .value = value};
	struct auth *auth;
	struct err err = {0};

	CHECK(auth_create(&auth, &config, &err) == 0);
	return auth;
}

static void refuse(enum auth_kind kind, const char *value, const char *error)
{
	const struct auth_config config = {.kind = kind, .value = value};
	struct auth *auth;
	struct err err = {0};

	CHECK(auth_create(&auth, &config, &err) < 0);
	CHECK(auth == NULL && err.code > 0);
	CHECK_TEXT(err.msg, error);
}

static void check_get(struct auth *auth, const char *password)
{
	struct credential c;
	struct err err = {0};
	int rc = auth_get(auth, &c, &err);

	CHECK_TEXT(err.msg, "");
	CHECK(rc == 0);
	CHECK_TEXT(c.user, "scott");
	CHECK_TEXT(c.password.data, password);
	CHECK(c.expires_at == 0);
	credential_finish(&c);
	CHECK(c.user == NULL && c.password.data == NULL);
}

static void check_get_fails(struct auth *auth, const char *error)
{
	struct auth_status status;
	struct credential c;
	struct err err = {0};

	CHECK(auth_get(auth, &c, &err) == -EKEYREJECTED);
	CHECK(err.code == EKEYREJECTED);
	CHECK_TEXT(err.msg, error);
	CHECK(c.user == NULL && c.password.data == NULL);
	auth_status(auth, &status);
	CHECK(status.state == AUTH_STATE_FAILED);
	CHECK_TEXT(status.error.msg, error);
}

static void check_status(struct auth *auth, enum auth_state state,
			 const char *source, const char *error)
{
	struct auth_status status;

	auth_status(auth, &status);
	CHECK_TEXT(auth_state_name(status.state), auth_state_name(state));
	CHECK_TEXT(status.source, source);
	CHECK_TEXT(status.user, "scott");
	CHECK_TEXT(status.error.msg, error);
	CHECK(status.expires_at == 0);
	CHECK((state == AUTH_STATE_VALID) <= (status.issued_at > 0));
}

/* A server does not take that password; null: it got none. */
static bool reject(struct auth *auth, const char *password, const char *reason)
{
	struct credential used = {0};
	bool again;

	if (password != NULL)
		CHECK(secret_set(&used.password, password, strlen(password)) ==
		      0);
	again = auth_reject(auth, &used, reason);
	credential_finish(&used);
	return again;
}

static void test_none(void)
{
	struct auth *auth = create(AUTH_NONE, NULL);

	check_status(auth, AUTH_STATE_NONE, "", "");
	check_get(auth, NULL);
	CHECK(auth_refresh(auth, NULL) == 0);
	CHECK(!reject(auth, NULL, "peer authentication failed"));
	check_status(auth, AUTH_STATE_FAILED, "", "peer authentication failed");
	check_get(auth, NULL);
	check_status(auth, AUTH_STATE_NONE, "", "");
	auth_destroy(auth);
	auth_destroy(NULL);
}

static void test_static(void)
{
	struct auth *auth = create(AUTH_STATIC, "tiger");

	check_status(auth, AUTH_STATE_VALID, "static", "");
	check_get(auth, "tiger");
	check_get(auth, "tiger");
	CHECK(!reject(auth, "tiger",
		      "password authentication failed for user \"scott\""));
	check_status(auth, AUTH_STATE_FAILED, "static",
		     "password authentication failed for user \"scott\"");
	check_get(auth, "tiger");
	check_status(auth, AUTH_STATE_VALID, "static", "");
	auth_destroy(auth);
	refuse(AUTH_STATIC, "", "password_plain: must not be empty");
}

static void test_file_is_read_for_every_login(void)
{
	struct auth *auth;

	check_write("pw", 0600, "first\nsecond line\n");
	auth = create(AUTH_FILE, check_path("pw"));
	check_status(auth, AUTH_STATE_NONE, "file", "");
	check_get(auth, "first");
	check_status(auth, AUTH_STATE_VALID, "file", "");
	check_write("pw", 0600, "rotated");
	check_get(auth, "rotated");
	check_write("pw", 0600, "dos\r\n");
	CHECK(auth_refresh(auth, NULL) == 0);
	check_get(auth, "dos");
	auth_destroy(auth);
}

/* Every way in which the file can be no good once connfs is mounted. */
static void test_file_fails(void)
{
	static char text[AUTH_LINE_MAX + 3];
	char error[1200], path[1024];
	struct auth *auth;

	(void)snprintf(path, sizeof(path), "%s", check_path("pw"));
	auth = create(AUTH_FILE, path);
	check_write("pw", 0600, "");
	check_get_fails(auth, "password_file: the first line is empty");
	check_write("pw", 0600, "\nx\n");
	check_get_fails(auth, "password_file: the first line is empty");
	memset(text, 'x', AUTH_LINE_MAX);
	check_write("pw", 0600, text);
	check_get(auth, text);
	text[AUTH_LINE_MAX] = '\n';
	check_write("pw", 0600, text);
	text[AUTH_LINE_MAX] = '\0';
	check_get(auth, text);
	text[AUTH_LINE_MAX] = 'x';
	check_write("pw", 0600, text);
	check_get_fails(
		auth, "password_file: the first line is over 65536 bytes long");
	check_write("pw", 0620, "x");
	(void)snprintf(error, sizeof(error),
		       "password_file: %s can be written by others than its "
		       "owner: chmod go-w",
		       path);
	check_get_fails(auth, error);
	CHECK(unlink(path) == 0);
	(void)snprintf(error, sizeof(error),
		       "password_file: %s: No such file or directory", path);
	check_get_fails(auth, error);
	check_write("pw", 0600, "back again");
	check_get(auth, "back again");
	auth_destroy(auth);
}

static void test_file_with_nul(void)
{
	const char *path = check_path("nul");
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	struct auth *auth;

	CHECK(fd >= 0);
	CHECK(write(fd, "a\0b\n", 4) == 4);
	CHECK(close(fd) == 0);
	auth = create(AUTH_FILE, path);
	check_get_fails(auth, "password_file: the first line holds a NUL byte");
	auth_destroy(auth);
}

static void test_file_is_checked_at_create(void)
{
	char error[1200];

	refuse(AUTH_FILE, "relative",
	       "password_file: must be an absolute path");
	(void)snprintf(error, sizeof(error),
		       "password_file: %s is not a regular file", check_dir);
	refuse(AUTH_FILE, check_dir, error);
	check_write("foreign", 0600, "x");
	CHECK(chown(check_path("foreign"), OTHER, OTHER) == 0);
	(void)snprintf(error, sizeof(error),
		       "password_file: %s belongs to uid 65534, neither to "
		       "root nor to the user who mounts",
		       check_path("foreign"));
	refuse(AUTH_FILE, check_path("foreign"), error);
	/* An agent may write it later; containers mount theirs as 0644. */
	auth_destroy(create(AUTH_FILE, check_path("not yet")));
	check_write("container", 0644, "x");
	auth_destroy(create(AUTH_FILE, check_path("container")));
}

static struct auth *create_command(const char *script)
{
	const char *const argv[] = {"/bin/sh", "-c",      script,
				    "sh",      check_dir, NULL};
	const struct auth_config config = {.kind = AUTH_COMMAND,
					   .user = "scott",
					   .argv = argv};
	struct auth *auth;
	struct err err = {0};

	CHECK(auth_create(&auth, &config, &err) == 0);
	return auth;
}

static void refuse_command(const char *program, const char *error)
{
	const char *const argv[] = {program, NULL};
	const struct auth_config config = {.kind = AUTH_COMMAND, .argv = argv};
	struct auth *auth;
	struct err err = {0};

	CHECK(auth_create(&auth, &config, &err) < 0);
	CHECK(auth == NULL);
	CHECK_TEXT(err.msg, error);
}

static const struct {
	const char *script;
	const char *password;
} scripts[] = {
	{"echo tiger", "tiger"},
	{"printf tiger", "tiger"},
	{"printf 'tiger\\r\\nmore\\n'", "tiger"},
	{"echo tiger; echo warning >&2", "tiger"},
	{"echo \" with spaces \"", " with spaces "},
	/* It may go on for longer than a pipe holds. */
	{"echo tiger; seq 100000; seq 100000 >&2", "tiger"},
	/* A child that stays does not hold the answer up. */
	{"sleep infinity & echo tiger; echo $! >\"$1/sleeper\"", "tiger"},
	{"exec 2>&-; echo tiger", "tiger"},
	{"read line || echo no input", "no input"},
	{"readlink /proc/self/fd/0", "/dev/null"},
	{"[ -e /proc/self/fd/77 ] || echo closed", "closed"},
	{"[ $(cut -d' ' -f6 /proc/$$/stat) = $$ ] && echo own session",
	 "own session"},
	/* Signals 1 to 28; glibc has two of its own ignored. */
	{"grep -e SigBlk -e SigIgn /proc/self/status | grep -c '0000000$'",
	 "2"},
	{"head -c 65536 /dev/zero | tr '\\0' x | wc -c", "65536"},
	{"echo ${TEST_AUTH_PASSWORD-not there}", "not there"},
	{"echo $TEST_AUTH_OTHER", "ordinary"},
};

/* The program gets a clean room, whatever the daemon's looks like. */
static void test_command_prints_the_password(void)
{
	const struct sigaction ignore = {.sa_handler = SIG_IGN};
	sigset_t term;
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	CHECK(fd >= 0 && dup2(fd, 77) == 77 && close(fd) == 0);
	CHECK(sigaction(SIGINT, &ignore, NULL) == 0);
	CHECK(sigemptyset(&term) == 0 && sigaddset(&term, SIGTERM) == 0);
	CHECK(pthread_sigmask(SIG_BLOCK, &term, NULL) == 0);
	for (size_t i = 0; i < COUNT(scripts); i++) {
		struct auth *auth = create_command(scripts[i].script);

		check_status(auth, AUTH_STATE_NONE, "command", "");
		check_get(auth, scripts[i].password);
		check_status(auth, AUTH_STATE_VALID, "command", "");
		auth_destroy(auth);
	}
	CHECK(kill((pid_t)check_number("sleeper"), SIGKILL) == 0);
	CHECK(pthread_sigmask(SIG_UNBLOCK, &term, NULL) == 0);
	CHECK(close(77) == 0);
}

#define BY_HAND " (run it by hand as the user who mounted)"

static const struct {
	const char *script;
	const char *error;
} failures[] = {
	{"exit 3",
	 "password_command: /bin/sh ended with exit status 3" BY_HAND},
	{"echo tiger; echo >&2; echo 'no token: log in' >&2; echo x >&2; exit 1",
	 "password_command: /bin/sh ended with exit status 1: no token: log "
	 "in" BY_HAND},
	{"kill -9 $$", "password_command: /bin/sh ended with signal 9" BY_HAND},
	{"true", "password_command: the first line is empty"},
	{"echo; echo tiger", "password_command: the first line is empty"},
	{"printf 'a\\0b\\n'",
	 "password_command: the first line holds a NUL byte"},
	{"head -c 65537 /dev/zero | tr '\\0' x",
	 "password_command: the first line is over 65536 bytes long"},
	{"head -c 1000000 /dev/zero | tr '\\0' x",
	 "password_command: the first line is over 65536 bytes long"},
};

static void test_command_fails(void)
{
	for (size_t i = 0; i < COUNT(failures); i++) {
		struct auth *auth = create_command(failures[i].script);

		check_get_fails(auth, failures[i].error);
		auth_destroy(auth);
	}
}

static void test_command_is_checked_at_create(void)
{
	char error[1200];

	refuse_command(NULL, "password_command: must begin with the absolute "
			     "path of a program");
	refuse_command("sh", "password_command: must begin with the absolute "
			     "path of a program");
	refuse_command("/nowhere/sh", "password_command: /nowhere: No such "
				      "file or directory");
	check_write("script", 0644, "#!/bin/sh\n");
	(void)snprintf(error, sizeof(error),
		       "password_command: %s is not a program that can be run",
		       check_path("script"));
	refuse_command(check_path("script"), error);
	check_write("script", 0777, "#!/bin/sh\n");
	(void)snprintf(error, sizeof(error),
		       "password_command: %s can be written by others than "
		       "its owner: chmod go-w",
		       check_path("script"));
	refuse_command(check_path("script"), error);
}

/* The program goes away after it was checked, or cannot be executed at all. */
static void test_command_cannot_start(void)
{
	const char *const argv[] = {check_path("script"), NULL};
	const struct auth_config config = {.kind = AUTH_COMMAND,
					   .user = "scott",
					   .argv = argv};
	struct auth *auth;
	char error[1200];

	check_write("script", 0755, "#!/nowhere/interpreter\n");
	CHECK(auth_create(&auth, &config, NULL) == 0);
	(void)snprintf(error, sizeof(error),
		       "password_command: %s cannot be started: No such file "
		       "or directory",
		       argv[0]);
	check_get_fails(auth, error);
	auth_destroy(auth);
}

static bool is_running(long pid)
{
	char path[64], line[256] = "";
	FILE *f;

	(void)snprintf(path, sizeof(path), "/proc/%ld/stat", pid);
	f = fopen(path, "re");
	if (f == NULL)
		return false;
	(void)fgets(line, sizeof(line), f);
	(void)fclose(f);
	return line[0] != '\0' && strstr(line, ") Z ") == NULL;
}

static void test_command_that_hangs_is_killed_with_its_children(void)
{
	unsigned limit = auth_command_limit_ms;
	struct auth *auth =
		create_command("sleep infinity & echo $! >\"$1/child\"; wait");
	long pid;

	auth_command_limit_ms = 1000;
	check_get_fails(auth, "password_command: /bin/sh was killed: it had "
			      "not ended after 1 s");
	auth_command_limit_ms = limit;
	pid = check_number("child");
	while (is_running(pid))
		(void)sched_yield();
	auth_destroy(auth);
}

static size_t count_lines(const char *name)
{
	FILE *f = fopen(check_path(name), "re");
	size_t n = 0;
	int c;

	CHECK(f != NULL);
	while ((c = fgetc(f)) != EOF)
		n += c == '\n';
	CHECK(fclose(f) == 0);
	return n;
}

static void test_command_is_kept_until_it_is_refused(void)
{
	struct auth *auth = create_command(
		"echo >>\"$1/runs\"; echo password $(wc -l <\"$1/runs\")");

	check_get(auth, "password 1");
	check_get(auth, "password 1");
	CHECK(!reject(auth, "password 1", "password authentication failed"));
	check_status(auth, AUTH_STATE_FAILED, "command",
		     "password authentication failed");
	check_get(auth, "password 2");
	check_status(auth, AUTH_STATE_VALID, "command", "");
	CHECK(auth_refresh(auth, NULL) == 0);
	check_get(auth, "password 3");
	CHECK(count_lines("runs") == 3);
	auth_destroy(auth);
}

static void *get_slow(void *arg)
{
	check_get(arg, "slow");
	return NULL;
}

static void *refresh(void *arg)
{
	CHECK(auth_refresh(arg, NULL) == 0);
	return NULL;
}

/* Lets the program that waits for it go on. */
static void release(const char *fifo)
{
	int fd = open(check_path(fifo), O_WRONLY | O_CLOEXEC);

	CHECK(fd >= 0 && write(fd, "\n", 1) == 1 && close(fd) == 0);
}

/* Waits until the program has come to the point. */
static void await(const char *fifo)
{
	int fd = open(check_path(fifo), O_RDONLY | O_CLOEXEC);
	char c;

	CHECK(fd >= 0 && read(fd, &c, 1) == 1 && close(fd) == 0);
}

/*
 * While the program hangs, the state is shown at once (this test would hang
 * itself), and those who come later wait for the same run.
 */
static void test_many_wait_for_one_run(void)
{
	struct auth *auth = create_command("echo >>\"$1/slow\"; "
					   "echo >\"$1/started\"; "
					   "read x <\"$1/go\"; echo slow");
	pthread_t threads[8];

	CHECK(mkfifo(check_path("started"), 0600) == 0);
	CHECK(mkfifo(check_path("go"), 0600) == 0);
	CHECK(pthread_create(&threads[0], NULL, get_slow, auth) == 0);
	await("started");
	check_status(auth, AUTH_STATE_NONE, "command", "");
	for (size_t i = 1; i < COUNT(threads); i++)
		CHECK(pthread_create(&threads[i], NULL, get_slow, auth) == 0);
	release("go");
	for (size_t i = 0; i < COUNT(threads); i++)
		CHECK(pthread_join(threads[i], NULL) == 0);
	CHECK(count_lines("slow") == 1);
	check_status(auth, AUTH_STATE_VALID, "command", "");

	/* A refresh does not take the value of a run that began before it. */
	CHECK(pthread_create(&threads[0], NULL, refresh, auth) == 0);
	await("started");
	CHECK(pthread_create(&threads[1], NULL, refresh, auth) == 0);
	CHECK(!reject(auth, "slow", "too old"));
	check_status(auth, AUTH_STATE_FAILED, "command", "too old");
	release("go");
	await("started");
	release("go");
	CHECK(pthread_join(threads[0], NULL) == 0);
	CHECK(pthread_join(threads[1], NULL) == 0);
	CHECK(count_lines("slow") == 3);
	auth_destroy(auth);
}

/* What the kernel shows of this process's environment. */
static bool environ_shows(const char *text)
{
	static char all[1 << 20];
	FILE *f = fopen("/proc/self/environ", "re");
	size_t n;

	CHECK(f != NULL);
	n = fread(all, 1, sizeof(all), f);
	CHECK(n > 0 && n < sizeof(all));
	CHECK(fclose(f) == 0);
	return memmem(all, n, text, strlen(text)) != NULL;
}

static void test_env_is_moved_and_overwritten(void)
{
	struct auth *auth, *again;

	CHECK(environ_shows("TEST_AUTH_PASSWORD=s3cr3t"));
	auth = create(AUTH_ENV, "TEST_AUTH_PASSWORD");
	CHECK(!environ_shows("s3cr3t"));
	CHECK(getenv("TEST_AUTH_PASSWORD") == NULL);
	CHECK(environ_shows("TEST_AUTH_OTHER=ordinary"));
	check_status(auth, AUTH_STATE_VALID, "env", "");
	check_get(auth, "s3cr3t");
	/* A second spec, and SOURCE read again. */
	again = create(AUTH_ENV, "TEST_AUTH_PASSWORD");
	auth_destroy(auth);
	check_get(again, "s3cr3t");
	auth_destroy(again);
}

static void test_env_fails(void)
{
	refuse(AUTH_ENV, "",
	       "password_env: must be the name of an "
	       "environment variable");
	refuse(AUTH_ENV, "1A",
	       "password_env: must be the name of an "
	       "environment variable");
	refuse(AUTH_ENV, "A=B",
	       "password_env: must be the name of an "
	       "environment variable");
	refuse(AUTH_ENV, "TEST_AUTH_NOT_SET",
	       "password_env: TEST_AUTH_NOT_SET is not set in the environment "
	       "of connfs");
	refuse(AUTH_ENV, "TEST_AUTH_EMPTY",
	       "password_env: TEST_AUTH_EMPTY is empty in the environment of "
	       "connfs");
	CHECK(auth_take_env("TEST_AUTH_NOT_SET") == 0);
}

int main(int argc, char **argv)
{
	/* The environment of a process is what its exec was given. */
	if (getenv("TEST_AUTH_PASSWORD") == NULL) {
		CHECK(setenv("TEST_AUTH_PASSWORD", "s3cr3t", 1) == 0);
		CHECK(setenv("TEST_AUTH_OTHER", "ordinary", 1) == 0);
		CHECK(setenv("TEST_AUTH_EMPTY", "", 1) == 0);
		CHECK(execv("/proc/self/exe", argv) == 0);
	}
	CHECK(geteuid() == 0);
	(void)umask(022);
	check_init(argc, argv);
	test_env_is_moved_and_overwritten();
	test_env_fails();
	test_none();
	test_static();
	test_file_is_read_for_every_login();
	test_file_fails();
	test_file_with_nul();
	test_file_is_checked_at_create();
	test_command_prints_the_password();
	test_command_fails();
	test_command_is_checked_at_create();
	test_command_cannot_start();
	test_command_that_hangs_is_killed_with_its_children();
	test_command_is_kept_until_it_is_refused();
	test_many_wait_for_one_run();
	return 0;
}
