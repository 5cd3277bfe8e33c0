/* SPDX-License-Identifier: MIT */
#include "tests/unit/pg_script.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/unit/check.h"

enum {
	CANCEL_CODE = 80877102,
	HEADER_SIZE = 5,
	MAX_TEXT = 64 * 1024,
	PIECE = 64 * 1024,
};

static void put16(struct buf *b, unsigned value)
{
	const uint16_t net = htons((uint16_t)value);

	buf_put(b, &net, sizeof(net));
}

static void put32(struct buf *b, uint32_t value)
{
	const uint32_t net = htonl(value);

	buf_put(b, &net, sizeof(net));
}

void pg_script_put(struct buf *b, char type, const void *body, size_t len)
{
	buf_putc(b, type);
	put32(b, (uint32_t)len + 4);
	buf_put(b, body, len);
}

void pg_script_put_columns(struct buf *b, unsigned n)
{
	struct buf body;

	buf_init(&body, MAX_TEXT);
	put16(&body, n);
	for (unsigned i = 0; i < n; i++) {
		buf_put(&body, "a", 2);
		put32(&body, 0);
		put16(&body, 0);
		put32(&body, 23);
		put16(&body, 4);
		put32(&body, UINT32_MAX);
		put16(&body, 0);
	}
	pg_script_put(b, 'T', body.data, body.len);
	buf_finish(&body);
}

void pg_script_put_row(struct buf *b, unsigned n)
{
	struct buf body;

	buf_init(&body, MAX_TEXT);
	put16(&body, n);
	for (unsigned i = 0; i < n; i++) {
		put32(&body, 1);
		buf_putc(&body, '1');
	}
	pg_script_put(b, 'D', body.data, body.len);
	buf_finish(&body);
}

void pg_script_put_end(struct buf *b)
{
	pg_script_put(b, 'C', "SELECT 1", 9);
	pg_script_put(b, 'Z', "I", 1);
}

/* All of it, or false when the client is gone. */
static bool receive(int fd, void *data, size_t len)
{
	return len == 0 || recv(fd, data, len, MSG_WAITALL) == (ssize_t)len;
}

static bool deliver(int fd, const char *data, size_t len, size_t piece)
{
	while (len > 0) {
		size_t n = piece > 0 && piece < len ? piece : len;

		if (send(fd, data, n, MSG_NOSIGNAL) != (ssize_t)n)
			return false;
		data += n;
		len -= n;
	}
	return true;
}

static bool greet(int fd, const char *version)
{
	static const char key[8] = {0, 0, 0, 7, 1, 2, 3, 4};
	char reported[64];
	struct buf hello;
	bool done;
	int len;

	len = snprintf(reported, sizeof(reported), "server_version%c%s", '\0',
		       version);
	buf_init(&hello, MAX_TEXT);
	pg_script_put(&hello, 'R', "\0\0\0", 4);
	pg_script_put(&hello, 'S', reported, (size_t)len + 1);
	pg_script_put(&hello, 'K', key, sizeof(key));
	pg_script_put(&hello, 'Z', "I", 1);
	done = deliver(fd, hello.data, hello.len, 0);
	buf_finish(&hello);
	return done;
}

/* Startup: true when a session begins, false for a request to cancel. */
static bool start_session(int fd, const char *version)
{
	uint32_t head[2];
	char rest[MAX_TEXT];
	size_t len;

	if (!receive(fd, head, sizeof(head)))
		return false;
	if (ntohl(head[1]) == CANCEL_CODE)
		return false;
	len = ntohl(head[0]) - sizeof(head);
	CHECK(len < sizeof(rest));
	return receive(fd, rest, len) && greet(fd, version);
}

/* One message of the client; its type, or 0 at the end. */
static char next_message(int fd)
{
	char head[HEADER_SIZE];
	char body[MAX_TEXT];
	uint32_t len;

	if (!receive(fd, head, sizeof(head)))
		return '\0';
	memcpy(&len, head + 1, sizeof(len));
	len = ntohl(len) - 4;
	CHECK(len < sizeof(body));
	if (!receive(fd, body, len))
		return '\0';
	return head[0];
}

static void flood(int fd, uint64_t len)
{
	static const char zeros[PIECE];

	while (len > 0) {
		size_t n = len < PIECE ? (size_t)len : PIECE;

		if (send(fd, zeros, n, MSG_NOSIGNAL) != (ssize_t)n)
			return;
		len -= n;
	}
}

static void *serve_session(void *arg)
{
	struct pg_script *s = arg;
	unsigned n_syncs = 0;
	char type;

	while ((type = next_message(s->fd)) != '\0') {
		if (type != 'S' || n_syncs++ < s->hold)
			continue;
		n_syncs = 0;
		(void)deliver(s->fd, s->answer.data, s->answer.len, s->piece);
		flood(s->fd, s->flood);
		if (s->hang_up)
			break;
	}
	(void)shutdown(s->fd, SHUT_RDWR);
	return NULL;
}

/* Requests to cancel come while the session is being served. */
static void *run_script(void *arg)
{
	struct pg_script *s = arg;
	int fd;

	while ((fd = accept(s->listen_fd, NULL, NULL)) >= 0) {
		if (!start_session(fd, s->version)) {
			(void)close(fd);
			continue;
		}
		s->fd = fd;
		CHECK(pthread_create(&s->session, NULL, serve_session, s) == 0);
	}
	return NULL;
}

void pg_script_start(struct pg_script *s)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};

	*s = (struct pg_script){.fd = -1, .version = "15.0"};
	buf_init(&s->answer, MAX_TEXT);
	(void)snprintf(s->dir, sizeof(s->dir), "/tmp/connfs-pg-script.XXXXXX");
	CHECK(mkdtemp(s->dir) != NULL);
	(void)snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/.s.PGSQL.%d",
		       s->dir, PG_SCRIPT_PORT);
	s->listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	CHECK(s->listen_fd >= 0);
	CHECK(bind(s->listen_fd, (struct sockaddr *)&addr, sizeof(addr)) == 0);
	CHECK(listen(s->listen_fd, 8) == 0);
	CHECK(pthread_create(&s->thread, NULL, run_script, s) == 0);
}

void pg_script_stop(struct pg_script *s)
{
	char path[128];

	(void)shutdown(s->listen_fd, SHUT_RDWR);
	CHECK(pthread_join(s->thread, NULL) == 0);
	if (s->fd >= 0) {
		CHECK(pthread_join(s->session, NULL) == 0);
		(void)close(s->fd);
	}
	(void)close(s->listen_fd);
	(void)snprintf(path, sizeof(path), "%s/.s.PGSQL.%d", s->dir,
		       PG_SCRIPT_PORT);
	CHECK(unlink(path) == 0 && rmdir(s->dir) == 0);
	buf_finish(&s->answer);
}
