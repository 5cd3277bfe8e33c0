/* SPDX-License-Identifier: MIT */
#include "common/notify.h"

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/cleanup.h"

enum { MESSAGE_MAX = 1024 };

/* Written by notify_take_env() alone. */
static struct sockaddr_un manager;
static socklen_t manager_len; /* 0: there is none */
static uint64_t watchdog_us;

static void take_socket(const char *name)
{
	size_t len = strlen(name);

	if ((name[0] != '/' && name[0] != '@') || name[1] == '\0' ||
	    len >= sizeof(manager.sun_path))
		return;
	manager.sun_family = AF_UNIX;
	memcpy(manager.sun_path, name, len);
	/* An abstract name begins with a NUL and ends with its length. */
	if (name[0] == '@')
		manager.sun_path[0] = '\0';
	manager_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len +
				  (name[0] == '/'));
}

/* False when it is no number above 0. */
static bool number(const char *text, uint64_t *out)
{
	char *end;

	if (text == NULL || *text < '0' || *text > '9')
		return false;
	errno = 0;
	*out = strtoull(text, &end, 10);
	return *end == '\0' && errno == 0 && *out > 0;
}

void notify_take_env(bool ours)
{
	static const char *const names[] = {"NOTIFY_SOCKET", "WATCHDOG_USEC",
					    "WATCHDOG_PID"};
	const char *name = getenv("NOTIFY_SOCKET");
	const char *whose = getenv("WATCHDOG_PID");
	uint64_t us, pid;

	if (ours && name != NULL)
		take_socket(name);
	if (manager_len > 0 && number(getenv("WATCHDOG_USEC"), &us) &&
	    (whose == NULL ||
	     (number(whose, &pid) && pid == (uint64_t)getpid())))
		watchdog_us = us;
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		(void)unsetenv(names[i]);
}

int notify_send(const char *fmt, ...)
{
	auto_close int fd = -1;
	char text[MESSAGE_MAX];
	va_list ap;
	int len;

	if (manager_len == 0)
		return 0;
	va_start(ap, fmt);
	len = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (len < 0 || (size_t)len >= sizeof(text))
		return -EMSGSIZE;
	/* Opened anew: it may be another one since the manager restarted. */
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 ||
	    sendto(fd, text, (size_t)len, MSG_NOSIGNAL,
		   (const struct sockaddr *)&manager, manager_len) < 0)
		return -errno;
	return 0;
}

uint64_t notify_watchdog_us(void)
{
	return watchdog_us;
}
