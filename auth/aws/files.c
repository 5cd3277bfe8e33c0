/* SPDX-License-Identifier: MIT */
#include "auth/aws/files.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "auth/env.h"
#include "common/cleanup.h"

enum { UNKNOWN = 64 * 1024 }; /* bytes, for a file that tells no size */

int aws_file_read(struct secret *out, const char *path, size_t max,
		  struct stat *st, struct err *err)
{
	auto_secret struct secret text = {0};
	auto_close int fd = -1;
	struct stat own;
	size_t room;
	ssize_t n;

	secret_finish(out);
	if (st == NULL)
		st = &own;
	/* A FIFO is not waited for. */
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0 || fstat(fd, st) < 0)
		return err_sys(err, errno, "%s", path);
	if (!S_ISREG(st->st_mode))
		return err_set(err, EINVAL, "%s is not a regular file", path);
	/* In some filesystems every file has size 0. */
	room = (st->st_size > 0 ? (size_t)st->st_size : UNKNOWN) + 1;
	room = room < max + 1 ? room : max + 1;
	if (secret_alloc(&text, room) < 0)
		return err_set(err, ENOMEM, "%s: out of memory", path);
	n = secret_read(&text, fd);
	if (n < 0)
		return err_sys(err, (int)-n, "%s", path);
	if ((size_t)n > max || (size_t)st->st_size > max)
		return err_set(err, EFBIG, "%s is over %zu bytes long", path,
			       max);
	if ((size_t)n == room)
		return err_set(err, EAGAIN, "%s is being written", path);
	if (secret_set(out, text.data, (size_t)n) < 0)
		return err_set(err, ENOMEM, "%s: out of memory", path);
	return 0;
}

int aws_file_read_line(struct secret *out, const char *path, size_t max,
		       struct err *err)
{
	static const char blanks[] = " \t\r\n";
	auto_secret struct secret text = {0};
	size_t skip, len;
	int rc = aws_file_read(&text, path, max, NULL, err);

	secret_finish(out);
	if (rc < 0)
		return rc;
	skip = text.len > 0 ? strspn(text.data, blanks) : 0;
	len = text.len;
	while (len > skip && strchr(blanks, text.data[len - 1]) != NULL)
		len--;
	if (len == skip)
		return err_set(err, EINVAL, "%s is empty", path);
	for (size_t i = skip; i < len; i++) {
		if ((unsigned char)text.data[i] < 0x20)
			return err_set(err, EINVAL,
				       "%s holds more than one line", path);
	}
	if (secret_set(out, text.data + skip, len - skip) < 0)
		return err_set(err, ENOMEM, "%s: out of memory", path);
	return 0;
}

static int write_all(int fd, const struct secret *text)
{
	size_t done = 0;

	while (done < text->len) {
		ssize_t n = write(fd, text->data + done, text->len - done);

		if (n < 0 && errno != EINTR)
			return -errno;
		done += n > 0 ? (size_t)n : 0;
	}
	return 0;
}

int aws_file_replace(const char *path, const struct secret *text,
		     struct err *err)
{
	auto_free char *fresh = NULL;
	auto_close int fd = -1;
	int rc;

	if (asprintf(&fresh, "%s.XXXXXX", path) < 0) {
		fresh = NULL;
		return err_set(err, ENOMEM, "%s: out of memory", path);
	}
	fd = mkostemp(fresh, O_CLOEXEC);
	if (fd < 0)
		return err_sys(err, errno, "%s", fresh);
	rc = write_all(fd, text);
	/* Before the name: a crash must not leave an empty file under it. */
	if (rc == 0 && fsync(fd) < 0)
		rc = -errno;
	if (rc == 0 && rename(fresh, path) < 0)
		rc = -errno;
	if (rc < 0) {
		(void)unlink(fresh);
		return err_sys(err, -rc, "%s", path);
	}
	return 0;
}

/* HOME, else what the system's list of users says; null: out of memory. */
static char *home(void)
{
	char *own = auth_env("HOME");
	struct passwd user, *found = NULL;
	char text[4096];

	if (own != NULL)
		return own;
	if (getpwuid_r(geteuid(), &user, text, sizeof(text), &found) != 0 ||
	    found == NULL)
		return strdup("/");
	return strdup(user.pw_dir);
}

int aws_file_path(char **out, const char *path)
{
	auto_free char *start = NULL;

	*out = NULL;
	if (path[0] == '~' && (path[1] == '\0' || path[1] == '/')) {
		start = home();
		if (start == NULL || asprintf(out, "%s%s", start, path + 1) < 0)
			*out = NULL;
	} else {
		*out = strdup(path);
	}
	return *out != NULL ? 0 : -ENOMEM;
}
