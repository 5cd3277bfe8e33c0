/* SPDX-License-Identifier: MIT */
#include "fs/proc_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "common/buf.h"
#include "common/cleanup.h"

int proc_file_read(struct buf *out, pid_t pid, const char *name)
{
	auto_close int fd = -1;
	char path[64];

	(void)snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? -ESRCH : -errno;
	return buf_read(out, fd);
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
