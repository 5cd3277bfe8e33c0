/* SPDX-License-Identifier: MIT */
#include "tests/unit/http_server.h"

#include <errno.h>
#include <poll.h>
#include <strings.h>
#include <sys/eventfd.h>

#include "tests/unit/loopback.h"

enum { DRIP_MS = 10 };

/* False: there is no more to come, or the server is to end. */
static bool readable(const struct http_server *s, int fd)
{
	struct pollfd fds[] = {
		{.fd = fd, .events = POLLIN},
		{.fd = s->wake, .events = POLLIN},
	};

	CHECK(poll(fds, 2, -1) > 0);
	return fds[1].revents == 0;
}

static bool is_whole(const char *request)
{
	const char *end = strstr(request, "\r\n\r\n");
	const char *length = strcasestr(request, "\r\ncontent-length: ");

	if (end == NULL)
		return false;
	if (length == NULL || length > end)
		return true;
	return strlen(end + 4) >= strtoul(length + 18, NULL, 10);
}

static bool read_request(struct http_server *s, int fd)
{
	char text[HTTP_REQUEST_MAX] = "";
	size_t len = 0;

	while (!is_whole(text)) {
		ssize_t n;

		if (!readable(s, fd))
			return false;
		n = recv(fd, text + len, sizeof(text) - 1 - len, 0);
		if (n <= 0)
			return false;
		len += (size_t)n;
		text[len] = '\0';
	}
	CHECK(pthread_mutex_lock(&s->mutex) == 0);
	CHECK(s->n_requests < HTTP_REQUESTS_MAX);
	memcpy(s->requests[s->n_requests++], text, sizeof(text));
	CHECK(pthread_cond_broadcast(&s->arrived) == 0);
	CHECK(pthread_mutex_unlock(&s->mutex) == 0);
	return true;
}

static bool put(int fd, const char *data, size_t len)
{
	while (len > 0) {
		ssize_t n = send(fd, data, len, MSG_NOSIGNAL);

		if (n <= 0)
			return false;
		data += n;
		len -= (size_t)n;
	}
	return true;
}

/* Until the client or the test has had enough. */
static void drip(const struct http_server *s, int fd)
{
	struct pollfd wake = {.fd = s->wake, .events = POLLIN};

	while (poll(&wake, 1, DRIP_MS) == 0 && put(fd, "x", 1))
		continue;
}

static void stall(const struct http_server *s, int fd)
{
	char byte;

	while (readable(s, fd) && recv(fd, &byte, 1, 0) > 0)
		continue;
}

static void answer(const struct http_server *s, int fd,
		   const struct http_answer *a)
{
	size_t len = a->body_len;
	size_t sent;
	char head[2048];
	int n;

	if (a->manner == HTTP_DROPS)
		return;
	if (a->manner == HTTP_STALLS) {
		stall(s, fd);
		return;
	}
	if (len == 0 && a->body != NULL)
		len = strlen(a->body);
	sent = len;
	if (a->manner == HTTP_DRIPS)
		len = 1000000;
	if (a->manner == HTTP_CUTS_SHORT)
		len++;
	n = snprintf(head, sizeof(head),
		     "HTTP/1.1 %s\r\n%sContent-Length: %zu\r\n\r\n", a->status,
		     a->headers != NULL ? a->headers : "", len);
	CHECK(n > 0 && (size_t)n < sizeof(head));
	if (put(fd, head, (size_t)n) && put(fd, a->body, sent) &&
	    a->manner == HTTP_DRIPS)
		drip(s, fd);
}

static void *serve(void *arg)
{
	struct http_server *s = arg;

	for (size_t i = 0; readable(s, s->fd);) {
		int fd = accept4(s->fd, NULL, NULL, SOCK_CLOEXEC);

		CHECK(fd >= 0);
		if (read_request(s, fd)) {
			answer(s, fd, &s->script[i]);
			if (i + 1 < s->n_script)
				i++;
		}
		CHECK(close(fd) == 0);
	}
	return NULL;
}

void http_server_start(struct http_server *s, const struct http_answer *script,
		       size_t n_script)
{
	memset(s, 0, sizeof(*s));
	s->script = script;
	s->n_script = n_script;
	s->fd = loopback_socket(true, &s->port);
	s->wake = eventfd(0, EFD_CLOEXEC);
	CHECK(s->wake >= 0);
	(void)snprintf(s->host, sizeof(s->host), "127.0.0.1:%u", s->port);
	(void)snprintf(s->url, sizeof(s->url), "http://%s", s->host);
	CHECK(pthread_mutex_init(&s->mutex, NULL) == 0);
	CHECK(pthread_cond_init(&s->arrived, NULL) == 0);
	CHECK(pthread_create(&s->thread, NULL, serve, s) == 0);
}

void http_server_stop(struct http_server *s)
{
	CHECK(eventfd_write(s->wake, 1) == 0);
	CHECK(pthread_join(s->thread, NULL) == 0);
	CHECK(close(s->fd) == 0 && close(s->wake) == 0);
	CHECK(pthread_mutex_destroy(&s->mutex) == 0);
	CHECK(pthread_cond_destroy(&s->arrived) == 0);
}

void http_server_wait(struct http_server *s, size_t n_requests)
{
	CHECK(pthread_mutex_lock(&s->mutex) == 0);
	while (s->n_requests < n_requests)
		CHECK(pthread_cond_wait(&s->arrived, &s->mutex) == 0);
	CHECK(pthread_mutex_unlock(&s->mutex) == 0);
}

size_t http_server_count(struct http_server *s)
{
	size_t n;

	CHECK(pthread_mutex_lock(&s->mutex) == 0);
	n = s->n_requests;
	CHECK(pthread_mutex_unlock(&s->mutex) == 0);
	return n;
}

const char *http_server_header(struct http_server *s, size_t n,
			       const char *name)
{
	static char value[HTTP_REQUEST_MAX];
	const char *line, *end;

	http_server_wait(s, n + 1);
	end = strstr(s->requests[n], "\r\n\r\n");
	line = strstr(s->requests[n], "\r\n");
	while (line < end) {
		size_t len = strlen(name);

		line += 2;
		if (strncasecmp(line, name, len) == 0 && line[len] == ':') {
			(void)snprintf(value, sizeof(value), "%.*s",
				       (int)(strcspn(line + len + 2, "\r")),
				       line + len + 2);
			return value;
		}
		line = strstr(line, "\r\n");
	}
	return NULL;
}

const char *http_server_body(struct http_server *s, size_t n)
{
	http_server_wait(s, n + 1);
	return strstr(s->requests[n], "\r\n\r\n") + 4;
}
