/* SPDX-License-Identifier: MIT */
#include "backends/address.h"

#include <errno.h>
#include <netdb.h>
#include <stddef.h>
#include <sys/socket.h>

#include "common/clock.h"
#include "common/err.h"

enum { ADDRESS_SIZE = 64 }; /* of an IPv6 address with its scope */

static int resolve(struct addrinfo **out, const char *host, struct err *err)
{
	const struct addrinfo hints = {
		.ai_family = AF_UNSPEC,
		.ai_socktype = SOCK_STREAM,
	};
	int rc = getaddrinfo(host, NULL, &hints, out);

	if (rc == EAI_MEMORY)
		return err_set(err, ENOMEM, "out of memory");
	if (rc != 0)
		return err_set(err, EHOSTUNREACH, "resolve %s: %s", host,
			       gai_strerror(rc));
	return 0;
}

/* Ends early enough for the n addresses that come after this one. */
static uint64_t share_deadline(uint64_t deadline, size_t n)
{
	uint64_t now = clock_mono_ms();

	if (deadline <= now)
		return deadline;
	return now + (deadline - now) / (n + 1);
}

int address_try_each(const char *host, uint64_t deadline, address_login login,
		     void *arg, struct err *err)
{
	struct addrinfo *list;
	char address[ADDRESS_SIZE];
	size_t left = 0;
	int rc;

	rc = resolve(&list, host, err);
	if (rc < 0)
		return rc;
	for (const struct addrinfo *ai = list; ai != NULL; ai = ai->ai_next)
		left++;
	for (const struct addrinfo *ai = list; ai != NULL; ai = ai->ai_next) {
		left--;
		rc = getnameinfo(ai->ai_addr, ai->ai_addrlen, address,
				 sizeof(address), NULL, 0, NI_NUMERICHOST);
		if (rc != 0) {
			rc = err_set(err, EHOSTUNREACH, "resolve %s: %s", host,
				     gai_strerror(rc));
			continue;
		}
		rc = login(arg, address, share_deadline(deadline, left), err);
		if (rc == 0 || err->sqlstate[0] != '\0')
			break;
	}
	freeaddrinfo(list);
	return rc;
}
