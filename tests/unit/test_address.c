/* SPDX-License-Identifier: MIT */
/* A name with several addresses: which are tried, and what is said of them. */
#include "backends/address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>

#include "common/clock.h"
#include "common/err.h"
#include "tests/unit/check.h"

int __wrap_getaddrinfo(const char *, const char *, const struct addrinfo *,
		       struct addrinfo **);
void __wrap_freeaddrinfo(struct addrinfo *);

static struct sockaddr_in6 six = {.sin6_family = AF_INET6};
static struct sockaddr_in four = {.sin_family = AF_INET};
static struct addrinfo second = {
	.ai_addr = (struct sockaddr *)&four,
	.ai_addrlen = sizeof(four),
};
static struct addrinfo first = {
	.ai_addr = (struct sockaddr *)&six,
	.ai_addrlen = sizeof(six),
	.ai_next = &second,
};

int __wrap_getaddrinfo(const char *host, const char *service,
		       const struct addrinfo *hints, struct addrinfo **out)
{
	CHECK_TEXT(host, "db.example");
	*out = &first;
	return 0;
}

void __wrap_freeaddrinfo(struct addrinfo *list)
{
	CHECK(list == &first);
}

/* What becomes of each login. */
struct logins {
	const char *says[2]; /* null: it succeeds */
	const char *sqlstate;
	unsigned n;
};

static int log_in(void *arg, const char *address, uint64_t deadline,
		  struct err *err)
{
	static const char *const addresses[] = {"2001:db8::1", "192.0.2.1"};
	struct logins *l = arg;
	const char *says = l->says[l->n];
	uint64_t left = deadline - clock_mono_ms();

	CHECK_TEXT(address, addresses[l->n]);
	CHECK(left > 0 && left <= (l->n == 0 ? 10000 : 20000));
	l->n++;
	if (says == NULL)
		return 0;
	(void)err_set(err, l->n == 1 ? ENETUNREACH : EHOSTUNREACH, "%s", says);
	if (l->sqlstate != NULL)
		(void)snprintf(err->sqlstate, sizeof(err->sqlstate), "%s",
			       l->sqlstate);
	return -err->code;
}

static void check_logins(struct logins l, unsigned n, int rc, const char *msg)
{
	struct err err = {0};

	CHECK(address_try_each("db.example", clock_mono_ms() + 20000, log_in,
			       &l, &err) == rc);
	CHECK(l.n == n && err.code == -rc);
	CHECK_TEXT(err.msg, msg);
	CHECK_TEXT(err.sqlstate, l.sqlstate != NULL ? l.sqlstate : "");
}

static void test_the_next_address_is_tried(void)
{
	check_logins((struct logins){.n = 0}, 1, 0, "");
	check_logins((struct logins){.says = {"no route"}}, 2, 0, "");
}

/* The last is not all: it may be the first that should have worked. */
static void test_reasons_of_all_addresses(void)
{
	check_logins((struct logins){.says = {"bad certificate", "refused"}}, 2,
		     -EHOSTUNREACH, "bad certificate; refused");
	check_logins((struct logins){.says = {"refused", "refused"}}, 2,
		     -EHOSTUNREACH, "refused");
}

/* It is the one that is meant. */
static void test_a_server_that_answers_has_the_last_word(void)
{
	check_logins((struct logins){.says = {"no such user"},
				     .sqlstate = "28000"},
		     1, -ENETUNREACH, "no such user");
}

int main(void)
{
	CHECK(inet_pton(AF_INET6, "2001:db8::1", &six.sin6_addr) == 1);
	CHECK(inet_pton(AF_INET, "192.0.2.1", &four.sin_addr) == 1);
	test_the_next_address_is_tried();
	test_reasons_of_all_addresses();
	test_a_server_that_answers_has_the_last_word();
	return 0;
}
