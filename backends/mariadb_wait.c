/* SPDX-License-Identifier: MIT */
#include "backends/mariadb_wait.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>

#include "common/clock.h"

/* What net.reading_or_writing says while a packet is being sent. */
enum { WRITING = 2 };

static _Thread_local struct my_wait *current;

struct my_wait *my_wait_set(struct my_wait *wait)
{
	struct my_wait *former = current;

	current = wait;
	return former;
}

/* With TLS the connector asks for input although it wants to send. */
static short events(const struct my_wait *wait, bool is_read)
{
	if (wait != NULL && wait->mysql->net.reading_or_writing == WRITING)
		return POLLOUT;
	return is_read ? POLLIN : POLLOUT;
}

/*
 * While it connects. The connector would ask for the reason as well, and then
 * tell another one.
 */
static bool has_failed(struct my_wait *wait, int fd)
{
	socklen_t len = sizeof(wait->connect_errno);

	if (wait == NULL || wait->mysql->net.pvio != NULL)
		return false;
	(void)getsockopt(fd, SOL_SOCKET, SO_ERROR, &wait->connect_errno, &len);
	return wait->connect_errno != 0;
}

static void tell_dialled(const struct my_wait *wait)
{
	if (wait != NULL && wait->on_dialled != NULL)
		wait->on_dialled();
}

int my_wait_io(my_socket fd, my_bool is_read, int timeout)
{
	struct my_wait *wait = current;
	struct pollfd pfd = {.fd = fd, .events = events(wait, is_read)};
	int ms, n;

	/* What connects at once is waited for at the server's first words. */
	if (wait != NULL && wait->mysql->net.pvio != NULL)
		tell_dialled(wait);
	for (;;) {
		ms = -1;
		if (wait != NULL && wait->deadline != 0)
			ms = clock_poll_timeout(wait->deadline);
		else if (wait != NULL && wait->sink != NULL)
			ms = wait->sink->idle(wait->arg);
		n = poll(&pfd, 1, ms);
		if (n > 0 && (pfd.revents & POLLERR) != 0)
			return !has_failed(wait, fd);
		if (n > 0) {
			tell_dialled(wait);
			return 1;
		}
		if (n < 0 && errno != EINTR)
			return 0;
		if (wait != NULL && wait->deadline != 0 &&
		    clock_mono_ms() >= wait->deadline) {
			wait->timed_out = true;
			errno = ETIMEDOUT;
			return 0;
		}
	}
}
