/* SPDX-License-Identifier: MIT */
/*
 * The bare mount point. It belongs to root, and a program that takes it for
 * the mount may be root as well: only the immutable flag stops that one.
 */
#include "fs/mountpoint.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/cleanup.h"
#include "common/err.h"
#include "common/log.h"
#include "fs/mount_at.h"

#define NAME  "NOT-MOUNTED"
#define TITLE "NOT MOUNTED\n"

enum { NOTICE_MAX = 65536 }; /* bytes; five paths and what is said of them */

/* What others make directories in, and may be empty for all that. */
static bool is_shared(const char *path)
{
	static const char *const shared[] = {"/home", "/media", "/mnt",
					     "/opt",  "/root",  "/srv"};

	for (size_t i = 0; i < sizeof(shared) / sizeof(*shared); i++) {
		if (strcmp(path, shared[i]) == 0)
			return true;
	}
	return false;
}

/*
 * A volume of somebody's that is mounted there is left alone: who has made it
 * could not remove it any more.
 */
static bool is_own_mount(const char *path)
{
	auto_mount_at struct mount_at at;

	return mount_at_open(&at, path, 0, NULL) < 0 || at.is_root;
}

static int open_bare(const char *path)
{
	struct open_how how = {
		.flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC,
		.resolve = RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
	};
	auto_close int dir =
		(int)syscall(SYS_openat2, AT_FDCWD, path, &how, sizeof(how));
	struct stat st;

	if (dir < 0 || fstat(dir, &st) < 0 || st.st_uid != 0 ||
	    (st.st_mode & (S_IWGRP | S_IWOTH)) != 0)
		return -1;
	return take_fd(&dir);
}

/* Nothing in it, or nothing but the notice. */
static bool is_bare(int dir)
{
	int copy = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	auto_closedir DIR *d = copy >= 0 ? fdopendir(copy) : NULL;
	struct dirent *e;

	if (d == NULL) {
		cleanup_close(&copy);
		return false;
	}
	while ((errno = 0, e = readdir(d)) != NULL) {
		if (strcmp(e->d_name, ".") != 0 &&
		    strcmp(e->d_name, "..") != 0 &&
		    strcmp(e->d_name, NAME) != 0)
			return false;
	}
	return errno == 0;
}

/* As a shell takes it for one word: the notice has commands to be copied. */
static void put_word(struct buf *out, const char *text)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyz"
				    "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				    "0123456789_/.,:@%+=-";

	if (text[strspn(text, plain)] == '\0') {
		buf_puts(out, text);
		return;
	}
	buf_putc(out, '\'');
	for (; *text != '\0'; text++) {
		if (*text == '\'')
			buf_puts(out, "'\\''");
		else
			buf_putc(out, *text);
	}
	buf_putc(out, '\'');
}

/* {P} is the mount point, {S} what is to be mounted. */
static const char notice[] =
	TITLE "\n"
	      "Database connections belong here, at {P}, and connfs is not "
	      "mounted.\n"
	      "This is the bare directory. It refuses writes, so that nothing "
	      "is lost in it.\n"
	      "\n"
	      "Why, and since when:\n"
	      "\n"
	      "    systemctl status 'connfs@*'\n"
	      "    journalctl -t connfs\n"
	      "\n"
	      "To mount it, as root, if no service does:\n"
	      "\n"
	      "    connfs -o allow_other {S} {P}\n"
	      "\n"
	      "To wait until it is mounted:\n"
	      "\n"
	      "    connfs --ready {P} --wait 30s\n"
	      "\n"
	      "To be rid of the directory, as root:\n"
	      "\n"
	      "    chattr -R -i {P} && rm -r {P}\n";

static char *text_of(const char *path, const char *source)
{
	const char *p = notice;
	struct buf out;

	buf_init(&out, NOTICE_MAX);
	for (const char *brace; (brace = strchr(p, '{')) != NULL;
	     p = brace + 3) {
		buf_put(&out, p, (size_t)(brace - p));
		put_word(&out, brace[1] == 'P' ? path : source);
	}
	buf_puts(&out, p);
	return buf_take(&out);
}

/* 0, or why it cannot be: the file system has no flags, or one may not. */
static int set_immutable(int fd, bool immutable)
{
	int flags, wanted;

	if (ioctl(fd, FS_IOC_GETFLAGS, &flags) < 0)
		return -errno;
	wanted = immutable ? flags | FS_IMMUTABLE_FL : flags & ~FS_IMMUTABLE_FL;
	if (flags == wanted)
		return 0;
	return ioctl(fd, FS_IOC_SETFLAGS, &wanted) < 0 ? -errno : 0;
}

/*
 * The notice that is there: 1 when it says the same, 0 when it is to be made
 * anew, or a negative errno: it is something else, and stays.
 */
static int read_notice(int *out, int dir, const char *text)
{
	char found[NOTICE_MAX];
	struct stat st;
	ssize_t n;

	*out = openat(dir, NAME,
		      O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (*out < 0)
		return errno == ENOENT ? 0 : -errno;
	if (fstat(*out, &st) < 0 || !S_ISREG(st.st_mode) || st.st_uid != 0)
		return -EEXIST;
	n = read(*out, found, sizeof(found));
	if (n < 0)
		return -errno;
	if ((size_t)n == strlen(text) && memcmp(found, text, (size_t)n) == 0)
		return 1;
	if ((size_t)n < strlen(TITLE) ||
	    memcmp(found, TITLE, strlen(TITLE)) != 0)
		return -EEXIST;
	return 0;
}

static int write_notice(int dir, const char *text)
{
	int fd = openat(dir, NAME,
			O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
			0444);
	size_t len = strlen(text);

	if (fd < 0)
		return -errno;
	if (write(fd, text, len) == (ssize_t)len && fchmod(fd, 0444) == 0)
		return fd;
	(void)unlinkat(dir, NAME, 0);
	(void)close(fd);
	return -EIO;
}

static int put_notice(int dir, const char *text)
{
	auto_close int fd = -1;
	int rc = read_notice(&fd, dir, text);

	if (rc == 0) {
		(void)set_immutable(dir, false);
		if (fd >= 0) {
			(void)set_immutable(fd, false);
			(void)unlinkat(dir, NAME, 0);
			(void)close(take_fd(&fd));
		}
		fd = write_notice(dir, text);
		rc = fd < 0 ? fd : 0;
	}
	if (rc < 0)
		return rc;
	(void)set_immutable(fd, true);
	(void)fchmod(dir, 0555);
	return set_immutable(dir, true);
}

void mountpoint_prepare(const char *path, const char *source)
{
	auto_free char *text = NULL;
	auto_close int dir = -1;
	int rc;

	if (geteuid() != 0 || is_shared(path) || is_own_mount(path))
		return;
	dir = open_bare(path);
	if (dir < 0 || !is_bare(dir))
		return;
	text = text_of(path, source);
	if (text == NULL)
		return;
	rc = put_notice(dir, text);
	if (rc < 0)
		log_debug("%s can be written to when nothing is mounted: %s",
			  path, strerrordesc_np(-rc));
}
