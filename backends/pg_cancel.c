/* SPDX-License-Identifier: MIT */
#include "backends/pg_cancel.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "backends/pg_connect.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "common/err.h"

/* CancelRequest of the protocol; in network byte order. */
struct request {
	uint32_t len;
	uint32_t code;
	uint32_t pid;
	uint32_t secret;
};

enum { CANCEL_REQUEST_CODE = (1234 << 16) | 5678 };

/* 0, or a negative errno. */
static int await(int fd, short events, uint64_t deadline)
{
	struct pollfd pfd = {.fd = fd, .events = events};
	int n;

	do {
		n = poll(&pfd, 1, clock_poll_timeout(deadline));
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	return n > 0 ? 0 : -ETIMEDOUT;
}

static int dial(int fd, const struct pg_cancel_key *key, uint64_t deadline)
{
	socklen_t len = sizeof(int);
	int code = 0;
	int rc;

	if (connect(fd, (const struct sockaddr *)&key->address,
		    key->address_len) == 0)
		return 0;
	if (errno != EINPROGRESS)
		return -errno;
	rc = await(fd, POLLOUT, deadline);
	if (rc < 0)
		return rc;
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &code, &len) < 0)
		return -errno;
	return -code;
}

static int exchange(int fd, const struct pg_cancel_key *key, uint64_t deadline)
{
	const struct request request = {
		.len = htonl(sizeof(request)),
		.code = htonl(CANCEL_REQUEST_CODE),
		.pid = htonl(key->pid),
		.secret = htonl(key->secret),
	};
	char answer;
	int rc;

	rc = dial(fd, key, deadline);
	if (rc < 0)
		return rc;
	if (send(fd, &request, sizeof(request), MSG_NOSIGNAL) !=
	    (ssize_t)sizeof(request))
		return -errno;
	rc = await(fd, POLLIN, deadline);
	if (rc < 0)
		return rc;
	/* The server has nothing to say; that it hangs up is the answer. */
	(void)recv(fd, &answer, sizeof(answer), 0);
	return 0;
}

int pg_cancel_request(const struct pg_cancel_key *key, unsigned timeout_ms,
		      struct err *err)
{
	uint64_t deadline = clock_mono_ms() + timeout_ms;
	auto_close int fd =
		socket(key->address.ss_family,
		       SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int rc;

	if (fd < 0)
		return err_sys(err, errno, "cancel");
	rc = exchange(fd, key, deadline);
	if (rc == -ETIMEDOUT)
		return err_set(err, ETIMEDOUT, "cancel: timed out");
	if (rc < 0) {
		(void)err_sys(err, -rc, "cancel");
		if (err != NULL)
			err->code = EHOSTUNREACH;
		return -EHOSTUNREACH;
	}
	return 0;
}
