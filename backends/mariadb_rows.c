/* SPDX-License-Identifier: MIT */
#include "backends/mariadb_rows.h"

#include <errmsg.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "backends/mariadb_pvio.h"
#include "backends/mariadb_wait.h"

enum {
	BUFFER_SIZE = 128 * 1024,
	HEADER_SIZE = 4,
	MAX_PACKET = 0xffffff, /* then the row goes on in the next one */
	MAX_END = 8,           /* bytes of the packet at the end of a set */
	FIRST_OF_END = 254,
	FIRST_OF_ERROR = 255,
	PROGRESS_REPORT = 0xffff, /* as the number of an error */
};

static size_t get2(const unsigned char *p)
{
	return p[0] | (size_t)p[1] << 8;
}

static size_t get3(const unsigned char *p)
{
	return get2(p) | (size_t)p[2] << 16;
}

/* Room for size bytes behind start. */
static int reserve(struct my_rows *rows, size_t size)
{
	unsigned char *data;
	size_t cap = rows->cap > 0 ? rows->cap : BUFFER_SIZE;

	if (rows->cap - rows->start >= size)
		return 0;
	if (rows->start > 0)
		memmove(rows->data, rows->data + rows->start,
			rows->end - rows->start);
	rows->end -= rows->start;
	rows->start = 0;
	if (rows->cap >= size)
		return 0;
	while (cap < size)
		cap *= 2;
	data = realloc(rows->data, cap);
	if (data == NULL)
		return -ENOMEM;
	rows->data = data;
	rows->cap = cap;
	return 0;
}

/* What the socket has, but some of it: as read(), and -1 for any failure. */
static ssize_t receive_tls(MYSQL *mysql, SSL *ssl, void *buf, size_t size)
{
	int fd = mysql_get_socket(mysql);
	size_t n;

	for (;;) {
		ERR_clear_error();
		if (SSL_read_ex(ssl, buf, size, &n) == 1)
			return (ssize_t)n;
		if (SSL_get_error(ssl, 0) != SSL_ERROR_WANT_READ)
			return -1;
		if (my_wait_io(fd, 1, -1) != 1)
			return -1;
	}
}

static ssize_t receive(MYSQL *mysql, void *buf, size_t size)
{
	const MARIADB_PVIO *pvio = mysql->net.pvio;
	int fd = mysql_get_socket(mysql);
	ssize_t n;

	if (pvio->ctls != NULL)
		return receive_tls(mysql, pvio->ctls->ssl, buf, size);
	for (;;) {
		n = recv(fd, buf, size, MSG_DONTWAIT);
		if (n >= 0)
			return n;
		if (errno == EAGAIN && my_wait_io(fd, 1, -1) != 1)
			return -1;
		if (errno != EAGAIN && errno != EINTR)
			return -1;
	}
}

/* At least so many bytes behind start. */
static int need(struct my_rows *rows, MYSQL *mysql, size_t size)
{
	ssize_t n;

	if (rows->end - rows->start >= size)
		return 0;
	if (reserve(rows, size) < 0)
		return -ENOMEM;
	while (rows->end - rows->start < size) {
		n = receive(mysql, rows->data + rows->end,
			    rows->cap - rows->end);
		if (n <= 0)
			return -ENOTCONN;
		rows->end += (size_t)n;
	}
	return 0;
}

static int skip(struct my_rows *rows, MYSQL *mysql, size_t size)
{
	while (size > 0) {
		size_t n = rows->end - rows->start;

		if (n == 0) {
			rows->start = 0;
			rows->end = 0;
			if (need(rows, mysql, 1) < 0)
				return -ENOTCONN;
			n = rows->end;
		}
		n = n < size ? n : size;
		rows->start += n;
		size -= n;
	}
	return 0;
}

void my_rows_begin(struct my_rows *rows, MYSQL *mysql)
{
	MARIADB_PVIO *pvio = mysql->net.pvio;
	size_t n;

	rows->start = 0;
	rows->end = 0;
	if (pvio->cache + pvio->cache_size <= pvio->cache_pos)
		return;
	n = (size_t)(pvio->cache + pvio->cache_size - pvio->cache_pos);
	if (reserve(rows, n) < 0)
		return;
	memcpy(rows->data, pvio->cache_pos, n);
	rows->end = n;
	pvio->cache_pos = pvio->cache;
	pvio->cache_size = 0;
}

/* What follows the set is the connector's to read. */
static int give_back(struct my_rows *rows, MYSQL *mysql)
{
	MARIADB_PVIO *pvio = mysql->net.pvio;
	size_t n = rows->end - rows->start;
	unsigned char *cache = pvio->cache;

	if (n == 0)
		return 0;
	if (n > PVIO_READ_AHEAD_CACHE_SIZE) {
		cache = realloc(cache, n);
		if (cache == NULL)
			return -ENOMEM;
		pvio->cache = cache;
	}
	memcpy(cache, rows->data + rows->start, n);
	pvio->cache_pos = cache;
	pvio->cache_size = n;
	rows->start = 0;
	rows->end = 0;
	return 0;
}

/* The connector notices as well, and closes its side. */
static enum my_next lose(MYSQL *mysql)
{
	mysql->status = MYSQL_STATUS_READY;
	mysql->server_status &= ~(unsigned)SERVER_MORE_RESULTS_EXIST;
	(void)shutdown(mysql_get_socket(mysql), SHUT_RDWR);
	(void)mysql_ping(mysql);
	mysql->net.last_errno = CR_SERVER_LOST;
	(void)snprintf(mysql->net.last_error, sizeof(mysql->net.last_error),
		       "%s", "Lost connection to server during query");
	return MY_NEXT_LOST;
}

static enum my_next take_end(struct my_rows *rows, MYSQL *mysql,
			     const unsigned char *packet, size_t len)
{
	if (len >= 5) {
		mysql->warning_count = (unsigned)get2(packet + 1);
		mysql->server_status = (unsigned)get2(packet + 3);
	}
	mysql->status = MYSQL_STATUS_READY;
	mysql->net.last_errno = 0;
	mysql->net.last_error[0] = '\0';
	return give_back(rows, mysql) < 0 ? lose(mysql) : MY_NEXT_END;
}

static enum my_next take_error(struct my_rows *rows, MYSQL *mysql,
			       const unsigned char *packet, size_t len)
{
	const unsigned char *text = packet + 3;
	NET *net = &mysql->net;
	size_t left = len - 3;

	net->last_errno = (unsigned)get2(packet + 1);
	memcpy(net->sqlstate, "HY000", SQLSTATE_LENGTH + 1);
	if (left > SQLSTATE_LENGTH && *text == '#') {
		memcpy(net->sqlstate, text + 1, SQLSTATE_LENGTH);
		text += 1 + SQLSTATE_LENGTH;
		left -= 1 + SQLSTATE_LENGTH;
	}
	if (left >= sizeof(net->last_error))
		left = sizeof(net->last_error) - 1;
	memcpy(net->last_error, text, left);
	net->last_error[left] = '\0';
	mysql->status = MYSQL_STATUS_READY;
	mysql->server_status &= ~(unsigned)SERVER_MORE_RESULTS_EXIST;
	return give_back(rows, mysql) < 0 ? lose(mysql) : MY_NEXT_ERROR;
}

/* Of a row that is too long: the rest, whose first packet has so many bytes. */
static enum my_next drop(struct my_rows *rows, MYSQL *mysql, size_t packet)
{
	for (;;) {
		if (skip(rows, mysql, packet) < 0)
			return lose(mysql);
		if (packet < MAX_PACKET)
			return MY_NEXT_LONG;
		if (need(rows, mysql, HEADER_SIZE) < 0)
			return lose(mysql);
		packet = get3(rows->data + rows->start);
		rows->start += HEADER_SIZE;
	}
}

/*
 * A row that did not fit the first packet, which is at hand: those that follow
 * are put right behind it.
 */
static enum my_next join(struct my_rows *rows, MYSQL *mysql, size_t max,
			 unsigned char **row, size_t *len)
{
	size_t total = MAX_PACKET;
	size_t packet;

	do {
		size_t at = HEADER_SIZE + total;

		if (need(rows, mysql, at + HEADER_SIZE) < 0)
			return lose(mysql);
		packet = get3(rows->data + rows->start + at);
		rows->end -= HEADER_SIZE;
		memmove(rows->data + rows->start + at,
			rows->data + rows->start + at + HEADER_SIZE,
			rows->end - rows->start - at);
		if (total + packet > max) {
			rows->start += at;
			return drop(rows, mysql, packet);
		}
		if (need(rows, mysql, at + packet) < 0)
			return lose(mysql);
		total += packet;
	} while (packet == MAX_PACKET);
	*row = rows->data + rows->start + HEADER_SIZE;
	*len = total;
	rows->start += HEADER_SIZE + total;
	return MY_NEXT_ROW;
}

enum my_next my_rows_next(struct my_rows *rows, MYSQL *mysql, size_t max,
			  unsigned char **row, size_t *len)
{
	unsigned char *packet;
	size_t size;

	do {
		if (need(rows, mysql, HEADER_SIZE) < 0)
			return lose(mysql);
		size = get3(rows->data + rows->start);
		if (size > max && size > MYSQL_ERRMSG_SIZE) {
			rows->start += HEADER_SIZE;
			return drop(rows, mysql, size);
		}
		if (need(rows, mysql, HEADER_SIZE + size) < 0)
			return lose(mysql);
		if (size == MAX_PACKET)
			return join(rows, mysql, max, row, len);
		packet = rows->data + rows->start + HEADER_SIZE;
		rows->start += HEADER_SIZE + size;
		if (size <= MAX_END && size > 0 && *packet == FIRST_OF_END)
			return take_end(rows, mysql, packet, size);
		if (size < 3 || *packet != FIRST_OF_ERROR)
			break;
		if (get2(packet + 1) != PROGRESS_REPORT)
			return take_error(rows, mysql, packet, size);
	} while (true);
	*row = packet;
	*len = size;
	return MY_NEXT_ROW;
}

void my_rows_trim(struct my_rows *rows)
{
	if (rows->cap > BUFFER_SIZE)
		my_rows_finish(rows);
}

void my_rows_finish(struct my_rows *rows)
{
	free(rows->data);
	*rows = (struct my_rows){0};
}
