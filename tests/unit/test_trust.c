/* SPDX-License-Identifier: MIT */
/*
 * Which files are believed, and which not.
 *
 *     test_trust DIRECTORY
 *
 * As root: files of other users are made. DIRECTORY is safe itself.
 */
#include "common/trust.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/wait.h>

#include "common/err.h"
#include "tests/unit/check.h"

enum { OTHER = 65534 };

#define OTHERS "can be written by others than its owner: chmod go-w"
#define OWNER  "belongs to uid 65534, neither to root nor to the user who mounts"

static void make_dir(const char *name, mode_t mode)
{
	CHECK(mkdir(check_path(name), 0700) == 0);
	CHECK(chmod(check_path(name), mode) == 0);
}

static void make_link(const char *target, const char *name)
{
	CHECK(symlink(target, check_path(name)) == 0);
}

static void give_away(const char *name)
{
	CHECK(lchown(check_path(name), OTHER, OTHER) == 0);
}

/* error: behind the path of what is to blame; null: it is believed. */
static void check_trust(const char *name, const char *blamed, const char *error)
{
	char expected[1024];
	struct err err = {0};
	int fd = trust_open(check_path(name), O_RDONLY, &err);

	if (error == NULL) {
		CHECK_TEXT(err.msg, "");
		CHECK(fd >= 0);
		CHECK((fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
		CHECK(close(fd) == 0);
		return;
	}
	(void)snprintf(expected, sizeof(expected), "%s%s", check_path(blamed),
		       error);
	CHECK_TEXT(err.msg, expected);
	CHECK(fd == -err.code);
}

static void test_plain_files(void)
{
	check_write("plain", 0644, "x");
	check_trust("plain", "", NULL);
	make_dir("safe", 0755);
	check_trust("safe/./..//plain", "", NULL);
}

static void test_owner_and_mode(void)
{
	check_write("group", 0664, "x");
	check_trust("group", "group", " " OTHERS);
	check_write("world", 0602, "x");
	check_trust("world", "world", " " OTHERS);
	check_write("foreign", 0600, "x");
	give_away("foreign");
	check_trust("foreign", "foreign", " " OWNER);
}

static void test_directories_on_the_way(void)
{
	make_dir("open", 0777);
	check_write("open/a", 0600, "x");
	check_trust("open/a", "open", " " OTHERS);
	/* A way back out of it still leads through it. */
	check_trust("open/../plain", "open", " " OTHERS);
	make_dir("sticky", 01777);
	check_write("sticky/a", 0600, "x");
	check_trust("sticky/a", "", NULL);
	check_write("sticky/b", 0600, "x");
	give_away("sticky/b");
	check_trust("sticky/b", "sticky/b", " " OWNER);
	make_dir("theirs", 0755);
	check_write("theirs/a", 0600, "x");
	give_away("theirs");
	check_trust("theirs/a", "theirs", " " OWNER);
}

/*
 * A volume of a container: every file is a link into a directory that a link
 * names, and the next version is put in place by one rename.
 */
static void test_links(void)
{
	make_dir("volume", 01777);
	make_dir("volume/..2024_01", 0755);
	check_write("volume/..2024_01/shop.json", 0644, "x");
	make_link("..2024_01", "volume/..data");
	make_link("..data/shop.json", "volume/shop.json");
	check_trust("volume/shop.json", "", NULL);

	/* The target counts, and who can exchange the link. */
	make_link("open/a", "to_open");
	check_trust("to_open", "open", " " OTHERS);
	make_link("../plain", "open/to_plain");
	check_trust("open/to_plain", "open", " " OTHERS);
	make_link("../plain", "sticky/theirs");
	give_away("sticky/theirs");
	check_trust("sticky/theirs", "sticky/theirs", " " OWNER);
}

static void test_absolute_link(void)
{
	char target[600];

	(void)snprintf(target, sizeof(target), "%s", check_path("plain"));
	make_link(target, "absolute");
	check_trust("absolute", "", NULL);
	make_link("loop", "loop");
	check_trust("loop", "loop", ": Too many levels of symbolic links");
}

static void test_what_is_not_there(void)
{
	check_trust("missing", "missing", ": No such file or directory");
	check_trust("plain/x", "plain/x", ": Not a directory");
	make_link("missing", "dangling");
	check_trust("dangling", "missing", ": No such file or directory");
}

static void test_relative_path(void)
{
	struct err err = {0};
	int fd;

	CHECK(chdir(check_dir) == 0);
	fd = trust_open("plain", O_RDONLY, &err);
	CHECK(fd >= 0 && close(fd) == 0);
	fd = trust_open("open/a", O_RDONLY, &err);
	CHECK(fd == -EPERM);
	CHECK(chdir("/") == 0);
}

/* Opening does not wait for a writer. */
static void test_fifo_does_not_block(void)
{
	CHECK(mkfifo(check_path("fifo"), 0600) == 0);
	check_trust("fifo", "", NULL);
}

/* A volume may be 0777 where nobody can write to it through the mount. */
static void test_readonly_mount(void)
{
	const char *dir = check_path("open");
	pid_t pid = fork();
	int status;

	CHECK(pid >= 0);
	if (pid == 0) {
		struct err err = {0};

		if (unshare(CLONE_NEWNS) < 0 ||
		    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
		    mount(dir, dir, NULL, MS_BIND, NULL) < 0 ||
		    mount(NULL, dir, NULL, MS_REMOUNT | MS_BIND | MS_RDONLY,
			  NULL) < 0)
			_exit(2);
		_exit(trust_open(check_path("open/a"), O_RDONLY, &err) >= 0
			      ? 0
			      : 1);
	}
	CHECK(waitpid(pid, &status, 0) == pid);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	check_trust("open/a", "open", " " OTHERS);
}

int main(int argc, char **argv)
{
	CHECK(geteuid() == 0);
	(void)umask(022);
	check_init(argc, argv);
	test_plain_files();
	test_owner_and_mode();
	test_directories_on_the_way();
	test_links();
	test_absolute_link();
	test_what_is_not_there();
	test_relative_path();
	test_fifo_does_not_block();
	test_readonly_mount();
	return 0;
}
