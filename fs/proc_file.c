/* SPDX-License-Identifier: MIT */
#include "fs/proc_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/cleanup.h"

static int read_all(struct buf *out, int fd)
{
	char part[4096];

	while (out->len < out->max) {
		size_t room = out->max - out->len;
		ssize_t n = read(fd, part,
				 room < sizeof(part) ? room : sizeof(part));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		buf_put(out, part, (size_t)n);
		if (out->failed)
			return -ENOMEM;
	}
	return 0;
}

int proc_file_read(struct buf *out, pid_t pid, const char *name)
{
	auto_close int fd = -1;
	char path[64];

	(void)snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? -ESRCH : -errno;
	return read_all(out, fd);
}

const char *proc_status_find(const char *status, const char *key)
{
	size_t len = strlen(key);

	/* Name, which a process sets itself, has its newlines escaped. */
	for (const char *p = status; p != NULL; p = strchr(p, '\n')) {
		p += *p == '\n';
		if (strncmp(p, key, len) == 0 && p[len] == ':')
			return p + len + 1;
	}
	return NULL;
}

bool proc_status_number(uint64_t *out, const char *status, const char *key,
			int base)
{
	const char *text = proc_status_find(status, key);

	if (text == NULL)
		return false;
	*out = strtoull(text, NULL, base);
	return true;
}
