/* SPDX-License-Identifier: MIT */
#include "backends/address.h"

#include <errno.h>
#include <netdb.h>
#include <stddef.h>
#include <string.h>
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

static int log_in_at(const struct addrinfo *ai, const char *host,
		     uint64_t deadline, address_login login, void *arg,
		     struct err *err)
{
	char address[ADDRESS_SIZE];
	int rc = getnameinfo(ai->ai_addr, ai->ai_addrlen, address,
			     sizeof(address), NULL, 0, NI_NUMERICHOST);

	if (rc != 0)
		return err_set(err, EHOSTUNREACH, "resolve %s: %s", host,
			       gai_strerror(rc));
	return login(arg, address, deadline, err);
}

/* why is the latest reason, err has those before it. */
static void add_reason(struct err *err, const struct err *why)
{
	const struct err before = *err;

	*err = *why;
	if (why->sqlstate[0] == '\0' && before.msg[0] != '\0' &&
	    strstr(before.msg, why->msg) == NULL)
		(void)err_set(err, why->code, "%s; %s", before.msg, why->msg);
}

int address_try_each(const char *host, uint64_t deadline, address_login login,
		     void *arg, struct err *err)
{
	struct err reasons = {0};
	struct addrinfo *list;
	size_t left = 0;
	int rc;

	rc = resolve(&list, host, err);
	if (rc < 0)
		return rc;
	for (const struct addrinfo *ai = list; ai != NULL; ai = ai->ai_next)
		left++;
	for (const struct addrinfo *ai = list; ai != NULL; ai = ai->ai_next) {
		struct err why = {0};

		left--;
		rc = log_in_at(ai, host, share_deadline(deadline, left), login,
			       arg, &why);
		if (rc == 0)
			break;
		add_reason(&reasons, &why);
		if (why.sqlstate[0] != '\0')
			break;
	}
	freeaddrinfo(list);
	if (rc < 0)
		*err = reasons;
	return rc;
}
