/* SPDX-License-Identifier: MIT */
/* What a caller is called, and what it may make of its name. */
#include "fs/caller.h"

#include <fcntl.h>
#include <grp.h>
#include <sched.h>

#include "common/err.h"
#include "fs/caller_text.h"
#include "tests/unit/check.h"
#include "tests/unit/children.h"

static struct caller identify(pid_t pid, uid_t uid)
{
	struct caller c;

	CHECK(caller_identify(&c, pid, uid, 0) == 0);
	return c;
}

static void test_text(void)
{
	static const struct {
		size_t size;
		const char *text;
		const char *expected;
	} cases[] = {
		{16, "plain", "plain"},
		{16, "", ""},
		{6, "plain", "plain"},
		{5, "plain", "plai"},
		{1, "plain", ""},
		{16, "a\nb\tc\x01\x7f", "abc"},
		{16, "q\"'x", "qx"},
		{16, "caf\xc3\xa9", "caf\xc3\xa9"},
		{5, "caf\xc3\xa9", "caf"},
		{16,
		 "a\xff\xfe"
		 "b",
		 "ab"},
		{16,
		 "a\xc2\x85"
		 "b\xc2\xa0"
		 "c",
		 "ab\xc2\xa0"
		 "c"},
		{16, "\xe2\x82\xac", "\xe2\x82\xac"},
		{16, "\xe2\x82", ""},
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		char out[16] = "";

		(void)caller_text(out, cases[i].size, cases[i].text,
				  strlen(cases[i].text), "\"'");
		CHECK_TEXT(out, cases[i].expected);
	}
}

static void test_application_name(void)
{
	static const struct {
		const char *template;
		const char *realm;
		const char *env_realm;
		const char *job;
		size_t max;
		const char *expected;
	} cases[] = {
		{"lv-{realm}-{job_id}", NULL, "prod", "orders", 63,
		 "lv-prod-orders"},
		{"lv-{realm}-{job_id}", "set", "prod", "orders", 63,
		 "lv-set-orders"},
		{"lv-{realm}-{job_id}", "set", "", "orders", 63,
		 "lv-set-orders"},
		{"lv-{realm}-{job_id}", NULL, "", "orders", 63,
		 "connfs-alice-cat"},
		{"lv-{realm}-{job_id}", "set", "prod", "", 63,
		 "connfs-alice-cat"},
		{"{conn_id}:{user}:{comm}", NULL, "", "", 63, "shop:alice:cat"},
		{"static", NULL, "", "", 63, "static"},
		{"", NULL, "", "", 63, ""},
		{"a{b}{user", NULL, "", "", 63, "a{b}{user"},
		{"{{user}}", NULL, "", "", 63, "{alice}"},
		{"{job_id}", NULL, "", "x\"y'z\\w", 63, "xyzw"},
		{"{job_id}", NULL, "", "{user}", 63, "{user}"},
		{"{job_id}", NULL, "", "0123456789", 5, "01234"},
		{"{job_id}", NULL, "", "012\xc3\xa9", 4, "012"},
		{"it's {user}", NULL, "", "", 63, "its alice"},
	};
	const struct caller_names names = {.user = "alice", .comm = "cat"};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct app_name_rule rule = {cases[i].template, cases[i].realm,
					     "shop"};
		struct caller_env env = {0};
		char out[64];

		(void)snprintf(env.realm, sizeof(env.realm), "%s",
			       cases[i].env_realm);
		(void)snprintf(env.job_id, sizeof(env.job_id), "%s",
			       cases[i].job);
		caller_app_name(out, cases[i].max, &rule, &names, &env);
		CHECK_TEXT(out, cases[i].expected);
	}
}

static void copy_cat(const char *path)
{
	int from = open("/bin/cat", O_RDONLY | O_CLOEXEC);
	int to = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0755);
	ssize_t n;

	CHECK(from >= 0);
	CHECK(to >= 0);
	while ((n = copy_file_range(from, NULL, to, NULL, 1 << 20, 0)) > 0)
		continue;
	CHECK(n == 0);
	CHECK(close(from) == 0);
	CHECK(close(to) == 0);
}

/* Prints one line, then waits for input that does not come. */
static void run_cat(const char *path, int output)
{
	int silent[2];

	CHECK(prctl(PR_SET_PDEATHSIG, SIGKILL) == 0);
	CHECK(pipe(silent) == 0);
	CHECK(dup2(silent[0], 0) == 0);
	CHECK(dup2(output, 1) == 1);
	(void)execl(path, "cat", "/proc/self/comm", "-", NULL);
	_exit(1);
}

/* A cat under another name, running. */
static pid_t start_program(const char *name)
{
	const char *path = check_path(name);
	int fds[2];
	char first;
	pid_t child;

	copy_cat(path);
	CHECK(pipe2(fds, O_CLOEXEC) == 0);
	child = fork();
	CHECK(child >= 0);
	if (child == 0)
		run_cat(path, fds[1]);
	(void)close(fds[1]);
	CHECK(read(fds[0], &first, 1) == 1);
	(void)close(fds[0]);
	return child;
}

static void test_who_trusts_the_size(void)
{
	static const struct {
		const char *name;
		bool trusts;
	} programs[] = {
		{"busybox", true},   {"busybox.static", true},
		{"toybox", true},    {"toybox-x86_64", true},
		{"coreutils", true}, {"uu-coreutils", true},
		{"uutils", true},    {"cat", false},
		{"bash", false},     {"my-busybox-wrapper", false},
	};

	for (size_t i = 0; i < COUNT(programs); i++) {
		pid_t child = start_program(programs[i].name);
		struct caller c = identify(child, 0);

		CHECK(caller_trusts_size(&c) == programs[i].trusts);
		child_end(child);
	}
}

/* The binary may be replaced while it runs. */
static void test_removed_program_trusts_the_size(void)
{
	pid_t child = start_program("busybox");
	struct caller c = identify(child, 0);

	CHECK(unlink(check_path("busybox")) == 0);
	CHECK(caller_trusts_size(&c));
	child_end(child);
	CHECK(!caller_trusts_size(&c));
}

static void run_with_groups(int ready, void *arg)
{
	static const gid_t groups[] = {4, 24, 65533};

	(void)arg;
	CHECK(setgroups(COUNT(groups), groups) == 0);
	CHECK(prctl(PR_SET_NAME, "a \"b\nc") == 0);
	child_stays(ready);
}

static void test_description(void)
{
	pid_t child = child_start(run_with_groups, NULL);
	struct caller c = identify(child, 0);
	struct caller_names names;
	char exe[256];
	ssize_t n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);

	CHECK(n > 0);
	exe[n] = '\0';
	caller_describe(&c, &names);
	CHECK_TEXT(names.user, "root");
	CHECK_TEXT(names.comm, "a \"bc");
	CHECK_TEXT(names.exe, exe);
	CHECK(names.n_groups == 3);
	CHECK(names.groups[0] == 4);
	CHECK(names.groups[1] == 24);
	CHECK(names.groups[2] == 65533);
	caller_names_finish(&names);
	child_end(child);
}

static void run_without_groups(int ready, void *arg)
{
	CHECK(setgroups(0, NULL) == 0);
	run_staying(ready, arg);
}

static void test_description_of_who_has_no_groups(void)
{
	pid_t child = child_start(run_without_groups, NULL);
	struct caller c = identify(child, 0);
	struct caller_names names;

	caller_describe(&c, &names);
	CHECK(names.n_groups == 0);
	caller_names_finish(&names);
	child_end(child);
}

static void test_description_of_who_is_gone(void)
{
	pid_t child = child_start(run_staying, NULL);
	struct caller c = identify(child, 0);
	struct caller_names names;
	gid_t *groups;
	size_t n;

	child_end(child);
	caller_describe(&c, &names);
	CHECK_TEXT(names.user, "root");
	CHECK_TEXT(names.comm, "");
	CHECK_TEXT(names.exe, "");
	CHECK(names.n_groups == 0);
	caller_names_finish(&names);
	CHECK(caller_groups(&groups, &n, &c) == -ESRCH);
	CHECK(groups == NULL);
}

static void run_in_user_ns(int ready, void *arg)
{
	CHECK(unshare(CLONE_NEWUSER) == 0);
	run_staying(ready, arg);
}

/* A container's users are not the host's. */
static void test_user_names(void)
{
	pid_t child = child_start(run_in_user_ns, NULL);
	struct caller c = identify(child, 0);
	struct caller_names names;

	caller_describe(&c, &names);
	CHECK_TEXT(names.user, "0");
	caller_names_finish(&names);
	child_end(child);

	c = identify(getpid(), 4000000000);
	caller_describe(&c, &names);
	CHECK_TEXT(names.user, "4000000000");
	caller_names_finish(&names);
}

/* More users than are remembered. */
static void test_many_user_names(void)
{
	for (uid_t uid = 4000000000; uid < 4000000040; uid++) {
		struct caller c = identify(getpid(), uid);
		struct caller_names names;
		char digits[16];

		(void)snprintf(digits, sizeof(digits), "%u", uid);
		caller_describe(&c, &names);
		CHECK_TEXT(names.user, digits);
		caller_names_finish(&names);
		c.uid = 0;
		caller_describe(&c, &names);
		CHECK_TEXT(names.user, "root");
		caller_names_finish(&names);
	}
}

int main(int argc, char **argv)
{
	struct err err;

	check_init(argc, argv);
	CHECK(caller_init(&err) == 0);
	test_text();
	test_application_name();
	test_who_trusts_the_size();
	test_removed_program_trusts_the_size();
	test_description();
	test_description_of_who_has_no_groups();
	test_description_of_who_is_gone();
	test_user_names();
	test_many_user_names();
	return 0;
}
