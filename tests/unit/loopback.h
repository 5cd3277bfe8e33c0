/* SPDX-License-Identifier: MIT */
/* Ports of 127.0.0.1 that are the test's own. */
#ifndef CONNFS_TESTS_UNIT_LOOPBACK_H
#define CONNFS_TESTS_UNIT_LOOPBACK_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "tests/unit/check.h"

/* A socket, for close(), where nobody answers: listening, or not even that. */
static inline int loopback_socket(bool listens, uint16_t *port)
{
	struct sockaddr_in addr = {
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	socklen_t len = sizeof(addr);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	CHECK(fd >= 0);
	CHECK(bind(fd, (struct sockaddr *)&addr, len) == 0);
	CHECK(getsockname(fd, (struct sockaddr *)&addr, &len) == 0);
	CHECK(!listens || listen(fd, 1) == 0);
	*port = ntohs(addr.sin_port);
	return fd;
}

#endif
