/* SPDX-License-Identifier: MIT */
/*
 * Groups of the kernel: of cgroup2, and of version 1 where the system has that.
 * Both are mounted in a mount namespace of the test's own.
 */
#include "fs/cgroup.h"

#include <fcntl.h>
#include <sched.h>
#include <stdarg.h>
#include <sys/mount.h>
#include <sys/xattr.h>

#include "fs/access.h"
#include "fs/caller.h"
#include "fs/config.h"
#include "tests/unit/check.h"
#include "tests/unit/children.h"

enum { ALICE = 1000 };

static pid_t subject; /* the process that is moved about */

/* Of this test, in each of the hierarchies. */
static char group2[600];
static char group1[600];
static char own_name[64];

/* dir and what is printed; good until the fourth call from here. */
__attribute__((format(printf, 2, 3))) static const char *below(const char *dir,
							       const char *fmt,
							       ...)
{
	static char paths[4][2048];
	static unsigned next;
	char *path = paths[next++ % 4];
	size_t size = sizeof(*paths);
	int len = snprintf(path, size, "%s", dir);
	va_list args;

	CHECK(len > 0 && (size_t)len < size);
	va_start(args, fmt);
	(void)vsnprintf(path + len, size - (size_t)len, fmt, args);
	va_end(args);
	return path;
}

static int remove_group(const char *path, const struct stat *st, int kind,
			struct FTW *ftw)
{
	(void)st, (void)ftw;
	return kind == FTW_DP ? rmdir(path) : 0;
}

static void remove_groups(void)
{
	if (subject > 0) {
		(void)kill(subject, SIGKILL);
		(void)waitpid(subject, NULL, 0);
	}
	subject = 0;
	(void)nftw(group2, remove_group, 16, FTW_DEPTH | FTW_PHYS);
	(void)nftw(group1, remove_group, 16, FTW_DEPTH | FTW_PHYS);
}

/* Not in check_dir, all of which is removed at the end. */
static const char v2[] = "/mnt/v2";
static const char v1[] = "/mnt/v1";

static void mount_hierarchies(void)
{
	CHECK(unshare(CLONE_NEWNS) == 0);
	CHECK(mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0);
	CHECK(mount("none", "/mnt", "tmpfs", 0, NULL) == 0);
	CHECK(mkdir(v2, 0700) == 0);
	CHECK(mkdir(v1, 0700) == 0);
	CHECK(mount("none", v2, "cgroup2", 0, NULL) == 0);
	(void)snprintf(own_name, sizeof(own_name), "connfs-unit-%d", getpid());
	(void)snprintf(group2, sizeof(group2), "%s/%s", v2, own_name);
	(void)snprintf(group1, sizeof(group1), "%s/%s", v1, own_name);
	CHECK(atexit(remove_groups) == 0);
}

/*
 * That of systemd, where the system has one: a new one would stay for as long
 * as the kernel remembers a group of it.
 */
static bool mount_v1(void)
{
	FILE *f = fopen("/proc/self/cgroup", "re");
	bool found = false;
	char line[5000];

	CHECK(f != NULL);
	while (fgets(line, sizeof(line), f) != NULL)
		found = found || strstr(line, ":name=systemd:") != NULL;
	CHECK(fclose(f) == 0);
	CHECK(!found ||
	      mount("none", v1, "cgroup", 0, "none,name=systemd") == 0);
	return found;
}

static void move(pid_t pid, const char *group)
{
	char text[16];
	int len = snprintf(text, sizeof(text), "%d", pid);
	int fd = open(below(group, "/cgroup.procs"), O_WRONLY | O_CLOEXEC);

	CHECK(fd >= 0);
	CHECK(write(fd, text, (size_t)len) == len);
	CHECK(close(fd) == 0);
}

/* GROUP/a/b, with the subject in b. */
static void make_groups(const char *group)
{
	CHECK(mkdir(group, 0755) == 0);
	CHECK(mkdir(below(group, "/a"), 0755) == 0);
	CHECK(mkdir(below(group, "/a/b"), 0755) == 0);
	subject = child_start(run_staying, NULL);
	move(subject, below(group, "/a/b"));
}

static void label(const char *path, const char *name, const char *value)
{
	CHECK(setxattr(path, name, value, strlen(value), 0) == 0);
}

/* What it comes to now: "yes" or "no" for the path, "-" for no attribute. */
static const char *verdict(pid_t pid)
{
	static char out[300];
	struct cgroup *g = cgroup_read(pid);
	const struct cgroup_attribute *a;

	CHECK(g != NULL);
	a = cgroup_attribute(g, "account");
	(void)snprintf(out, sizeof(out), "%s %s", g->trusted ? "yes" : "no",
		       a == NULL     ? "-"
		       : !a->is_text ? "(no text)"
				     : a->value);
	cgroup_unref(g);
	return out;
}

static void test_path_and_attributes(const char *group)
{
	struct cgroup *g;
	char path[300];

	make_groups(group);
	(void)snprintf(path, sizeof(path), "/%s/a/b", own_name);
	g = cgroup_read(subject);
	CHECK(g != NULL);
	CHECK_TEXT(g->path, path);
	CHECK(g->trusted && g->n_attributes == 0);
	cgroup_unref(g);

	label(group, "user.connfs.account", "far");
	CHECK_TEXT(verdict(subject), "yes far");
	label(below(group, "/a"), "user.connfs.account", "near");
	label(below(group, "/a"), "user.connfs.shift", "night");
	label(below(group, "/a"), "user.other.account", "x");
	label(below(group, "/a"), "trusted.connfs.account", "x");
	CHECK_TEXT(verdict(subject), "yes near");
	g = cgroup_read(subject);
	CHECK(g != NULL && g->n_attributes == 2);
	CHECK_TEXT(cgroup_attribute(g, "shift")->value, "night");
	CHECK(cgroup_attribute(g, "shif") == NULL);
	cgroup_unref(g);
	label(below(group, "/a/b"), "user.connfs.account", "");
	CHECK_TEXT(verdict(subject), "yes ");
	remove_groups();
}

/* One that is not what a rule could name hides what a parent has all the same. */
static void test_values_that_are_no_text(void)
{
	static const struct {
		const char *value;
		size_t len;
	} cases[] = {{"a\nb", 3}, {"a\0b", 3}, {"\xff", 1}, {"a\x7f", 2}};
	char value[CGROUP_ATTRIBUTE_VALUE_MAX + 1];
	const char *b;

	make_groups(group2);
	label(group2, "user.connfs.account", "etl");
	b = below(group2, "/a/b");
	for (size_t i = 0; i < COUNT(cases); i++) {
		CHECK(setxattr(b, "user.connfs.account", cases[i].value,
			       cases[i].len, 0) == 0);
		CHECK_TEXT(verdict(subject), "yes (no text)");
	}
	memset(value, 'a', sizeof(value));
	CHECK(setxattr(b, "user.connfs.account", value, sizeof(value), 0) == 0);
	CHECK_TEXT(verdict(subject), "yes (no text)");
	CHECK(setxattr(b, "user.connfs.account", value, sizeof(value) - 1, 0) ==
	      0);
	value[sizeof(value) - 1] = '\0';
	CHECK_TEXT(verdict(subject) + strlen("yes "), value);
	remove_groups();
}

/* With some left out a parent's could be taken for the nearest: none counts. */
static void test_too_many_attributes(void)
{
	make_groups(group2);
	label(group2, "user.connfs.account", "etl");
	for (int i = 1; i < CGROUP_ATTRIBUTES_MAX; i++) {
		char name[64];

		(void)snprintf(name, sizeof(name), "user.connfs.n%d", i);
		label(below(group2, "/a"), name, "x");
	}
	CHECK_TEXT(verdict(subject), "yes etl");
	label(below(group2, "/a"), "user.connfs.n0", "x");
	CHECK_TEXT(verdict(subject), "yes -");
	remove_groups();
}

static mode_t mode_of(const char *path)
{
	struct stat st;

	CHECK(stat(path, &st) == 0);
	return st.st_mode & 07777;
}

/* Each of these gives somebody else a way in: one after the other, and back. */
static void test_what_others_can_write(const char *group, const char *expected,
				       const char *threads)
{
	static const char *const dirs[] = {"", "/a", "/a/b"};
	const char *const files[] = {"", "/cgroup.procs", threads};

	make_groups(group);
	label(group, "user.connfs.account", "far");
	label(below(group, "/a"), "user.connfs.account", "etl");
	label(below(group, "/a/b"), "user.connfs.account", "mine");
	for (size_t i = 0; i < COUNT(dirs) * COUNT(files); i++) {
		const char *path =
			below(group, "%s%s", dirs[i / 3], files[i % 3]);
		mode_t mode = mode_of(path);
		const char *parents = i / 3 == 0   ? "no -"
				      : i / 3 == 1 ? "no far"
						   : "no etl";

		CHECK_TEXT(verdict(subject), "yes mine");
		CHECK(chown(path, ALICE, (gid_t)-1) == 0);
		CHECK_TEXT(verdict(subject), expected ? expected : parents);
		CHECK(chown(path, 0, (gid_t)-1) == 0);
		CHECK(chmod(path, mode | S_IWGRP) == 0);
		CHECK_TEXT(verdict(subject), expected ? expected : parents);
		CHECK(chmod(path, mode | S_IWOTH) == 0);
		CHECK_TEXT(verdict(subject), expected ? expected : parents);
		CHECK(chmod(path, mode) == 0);
	}
	remove_groups();
}

/* The kernel's bytes lead to the very directory, whatever is in the name. */
static void test_strange_names(void)
{
	static const char *const names[] = {
		"x (deleted)", "a:b,c=d",      "name=systemd:",
		" ",           "\x01\x1b[31m", "\xff\xfe",
		"a\\x2db",     "\\012",        "...",
	};

	make_groups(group2);
	for (size_t i = 0; i < COUNT(names); i++) {
		const char *dir = below(group2, "/a/%s", names[i]);
		struct cgroup *g;
		char path[300];

		CHECK(mkdir(dir, 0755) == 0);
		move(subject, dir);
		(void)snprintf(path, sizeof(path), "/%s/a/%s", own_name,
			       names[i]);
		g = cgroup_read(subject);
		CHECK(g != NULL);
		CHECK_TEXT(g->path, path);
		CHECK(g->trusted);
		cgroup_unref(g);
	}
	CHECK(mkdir(below(group2, "/a/new\nline"), 0755) < 0);
	remove_groups();
}

/* In one request it is read once, for the first rule that asks. */
static void test_many_rules_read_it_once(void)
{
	char glob[300];
	char other[] = "/never";
	char *others[] = {other};
	char *globs[] = {glob};
	struct access_rule never = {.cgroups = others, .n_cgroups = 1};
	struct access_rule rule = {.cgroups = globs, .n_cgroups = 1};
	struct caller c = {.uid = ALICE, .gid = ALICE};
	struct access_check check = {.caller = &c};

	make_groups(group2);
	c.tid = subject;
	(void)snprintf(glob, sizeof(glob), "/%s/a/*", own_name);
	CHECK(!access_check(&check, &never));
	move(subject, group2);
	CHECK(access_check(&check, &rule));
	CHECK(!access_allowed(&rule, &c));
	access_check_finish(&check);
	remove_groups();
}

static void test_who_is_gone(void)
{
	pid_t child = child_start(run_staying, NULL);

	child_end(child);
	CHECK(cgroup_read(child) == NULL);
	CHECK(cgroup_ref(NULL) == NULL);
	cgroup_unref(NULL);
}

/* What was found before is kept by this process: each has one to itself. */
static void in_child(void (*run)(void))
{
	pid_t child = fork();
	int status;

	CHECK(child >= 0);
	if (child == 0) {
		run();
		_exit(0);
	}
	CHECK(waitpid(child, &status, 0) == child);
	CHECK(status == 0);
}

static void take_all_mounts_away(void)
{
	CHECK(unshare(CLONE_NEWNS) == 0);
	while (umount2("/sys/fs/cgroup/unified", MNT_DETACH) == 0)
		continue;
	(void)umount2("/sys/fs/cgroup", MNT_DETACH);
	CHECK(umount2(v2, MNT_DETACH) == 0);
}

/* A process further up, or elsewhere: its path begins with "..". */
static void look_from_a_namespace(void)
{
	move(getpid(), below(group2, "/a"));
	move(subject, group2);
	label(below(group2, "/a"), "user.connfs.account", "fake");
	CHECK(unshare(CLONE_NEWCGROUP) == 0);
	take_all_mounts_away();
	CHECK(mount("none", v2, "cgroup2", 0, NULL) == 0);
	CHECK_TEXT(verdict(getpid()), "yes fake");
	CHECK_TEXT(verdict(subject), "no -");
}

static void look_where_nothing_is_mounted(void)
{
	take_all_mounts_away();
	CHECK_TEXT(verdict(subject), "no -");
	/* It is not looked for at every request. */
	CHECK(mount("none", v2, "cgroup2", 0, NULL) == 0);
	CHECK_TEXT(verdict(subject), "no -");
	while (strcmp(verdict(subject), "yes etl") != 0)
		(void)usleep(10000);
}

static void look_where_a_part_is_mounted(void)
{
	static const char part[] = "/mnt/part";

	CHECK(mkdir(part, 0700) == 0);
	CHECK(unshare(CLONE_NEWNS) == 0);
	CHECK(mount(group2, part, NULL, MS_BIND, NULL) == 0);
	take_all_mounts_away();
	CHECK_TEXT(verdict(subject), "no -");
}

/* The directory at that place is another one than mountinfo speaks of. */
static void look_where_it_is_hidden(void)
{
	take_all_mounts_away();
	CHECK(mount("none", v2, "cgroup2", 0, NULL) == 0);
	CHECK(mount(group2, v2, NULL, MS_BIND, NULL) == 0);
	CHECK_TEXT(verdict(subject), "no -");
}

/* Where the hierarchies are is found out once, so these come first. */
static void test_what_this_process_sees(void)
{
	make_groups(group2);
	label(group2, "user.connfs.account", "etl");
	/* Taken for the root, group2 would have these at the subject's path. */
	CHECK(mkdir(below(group2, "/%s", own_name), 0755) == 0);
	CHECK(mkdir(below(group2, "/%s/a", own_name), 0755) == 0);
	CHECK(mkdir(below(group2, "/%s/a/b", own_name), 0755) == 0);
	in_child(look_where_nothing_is_mounted);
	in_child(look_where_a_part_is_mounted);
	in_child(look_where_it_is_hidden);
	in_child(look_from_a_namespace);
	remove_groups();
}

int main(int argc, char **argv)
{
	check_init(argc, argv);
	CHECK(geteuid() == 0);
	mount_hierarchies();
	test_what_this_process_sees();
	if (mount_v1()) {
		test_path_and_attributes(group1);
		test_what_others_can_write(group1, "no -", "/tasks");
	}
	test_path_and_attributes(group2);
	test_values_that_are_no_text();
	test_too_many_attributes();
	test_what_others_can_write(group2, NULL, "/cgroup.threads");
	test_strange_names();
	test_many_rules_read_it_once();
	test_who_is_gone();
	return 0;
}
