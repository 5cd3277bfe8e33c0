/* SPDX-License-Identifier: MIT */
#include "backends/pg_rows.h"

#define FRONTEND 1 /* c.h asks for it */
#include <c.h>
#include <endian.h>
#include <errno.h>
#include <libpq-int.h>
#include <openssl/ssl.h>
#include <stdlib.h>
#include <string.h>

#include "backends/db.h"
#include "common/secret.h"

enum {
	/* Bytes; measured from 64 KiB to 512 KiB: more gains nothing. */
	INPUT_SIZE = 256 * 1024,
	OUTPUT_SIZE = 16 * 1024,
	/* A TLS record of about what the server's buffer holds, 8 KiB. */
	FULL_RECORD = 4 * 1024,
	/* libpq doubles its buffer when less than 8 KiB are left in it. */
	INPUT_SPARE = 16 * 1024,
	/* Type and length of a message. The length counts itself. */
	HEADER_SIZE = 5,
	LENGTH_SIZE = 4,
	/* libpq counts in int. No server sends a message of 1 GiB. */
	MESSAGE_MAX = INT_MAX / 2,
};

static uint32_t read32(const char *p)
{
	uint32_t value;

	memcpy(&value, p, sizeof(value));
	return be32toh(value);
}

static uint16_t read16(const char *p)
{
	uint16_t value;

	memcpy(&value, p, sizeof(value));
	return be16toh(value);
}

static bool version_known(void)
{
	return PQlibVersion() / 100 == PG_VERSION_NUM / 100;
}

/*
 * Fields before and after those used here that the public functions return as
 * well: when all of them agree, so does what is between them.
 */
static bool layout_known(const PGconn *conn)
{
	return version_known() && conn->sock == PQsocket(conn) &&
	       conn->be_pid == PQbackendPID(conn) &&
	       conn->sversion == PQserverVersion(conn) &&
	       conn->ssl_in_use ==
		       (PQsslInUse(unconstify(PGconn *, conn)) != 0) &&
	       conn->errorMessage.data == PQerrorMessage(conn) &&
	       conn->inBuffer != NULL && conn->inStart >= 0 &&
	       conn->inStart <= conn->inEnd && conn->inEnd <= conn->inBufSize;
}

static size_t available(const PGconn *conn)
{
	return (size_t)(conn->inEnd - conn->inStart);
}

static void consume(PGconn *conn, size_t n)
{
	conn->inStart += (int)n;
	conn->inCursor = conn->inStart;
}

/*
 * Makes the input buffer large enough for the message it begins with, and no
 * larger: libpq would double it until the message fits.
 */
static int reserve(PGconn *conn, size_t len)
{
	size_t size = len + INPUT_SPARE;
	char *buffer;

	if (size <= (size_t)conn->inBufSize)
		return 0;
	memmove(conn->inBuffer, conn->inBuffer + conn->inStart,
		available(conn));
	conn->inEnd -= conn->inStart;
	conn->inStart = 0;
	conn->inCursor = 0;
	buffer = realloc(conn->inBuffer, size);
	if (buffer == NULL)
		return -ENOMEM;
	conn->inBuffer = buffer;
	conn->inBufSize = (int)size;
	return 0;
}

void pg_rows_init(struct pg_rows *rows, PGconn *conn)
{
	*rows = (struct pg_rows){
		.conn = conn,
		.direct =
			layout_known(conn) && conn->asyncStatus == PGASYNC_IDLE,
	};
	if (rows->direct)
		(void)reserve(conn, INPUT_SIZE - INPUT_SPARE);
}

static bool is_data(char type)
{
	return type == 'D' || type == 'd';
}

/* What the statement that runs expects; libpq drops anything else as well. */
static bool is_expected(const PGconn *conn, char type)
{
	if (type == 'd')
		return conn->asyncStatus == PGASYNC_COPY_OUT;
	return conn->asyncStatus == PGASYNC_BUSY && conn->result != NULL &&
	       conn->result->resultStatus == PGRES_TUPLES_OK;
}

/* Bytes of a row of which max are its cells: a count, and a length for each. */
static size_t row_limit(const PGconn *conn, char type, size_t max)
{
	size_t limit = max < MESSAGE_MAX ? max : MESSAGE_MAX;

	if (type == 'D')
		limit += 2 + LENGTH_SIZE * (size_t)conn->result->numAttributes;
	return limit;
}

static void drop_skipped(struct pg_rows *rows)
{
	size_t n;

	if (rows->skip == 0)
		return;
	n = available(rows->conn);
	if (n > rows->skip)
		n = rows->skip;
	consume(rows->conn, n);
	rows->skip -= n;
}

bool pg_rows_ahead(const struct pg_rows *rows)
{
	const PGconn *conn = rows->conn;
	const char *head;

	if (!rows->direct || available(conn) < HEADER_SIZE)
		return false;
	head = conn->inBuffer + conn->inStart;
	return is_data(*head) && read32(head + 1) >= LENGTH_SIZE;
}

int pg_rows_next(struct pg_rows *rows, size_t max, struct pg_row *out)
{
	PGconn *conn = rows->conn;

	for (;;) {
		const char *head;
		size_t len;
		int rc;

		drop_skipped(rows);
		if (rows->skip > 0)
			return PG_NEXT_INPUT;
		if (!pg_rows_ahead(rows))
			return PG_NEXT_LIBPQ;
		head = conn->inBuffer + conn->inStart;
		len = read32(head + 1);
		if (!is_expected(conn, *head)) {
			rows->skip = len + 1;
			continue;
		}
		rc = -EFBIG;
		if (len - LENGTH_SIZE <= row_limit(conn, *head, max))
			rc = reserve(conn, len + 1);
		if (rc < 0) {
			rows->skip = len + 1;
			return rc;
		}
		if (available(conn) < len + 1)
			return PG_NEXT_INPUT;
		head = conn->inBuffer + conn->inStart;
		out->copy = *head == 'd';
		out->data = head + HEADER_SIZE;
		out->len = len - LENGTH_SIZE;
		/* Its bytes stay where they are until more is read. */
		consume(conn, len + 1);
		return PG_NEXT_ROW;
	}
}

int pg_rows_cells(const struct pg_row *row, struct db_cell *cells, size_t n)
{
	const char *p = row->data;
	size_t left = row->len;

	if (left < 2 || read16(p) != n)
		return -EPROTO;
	p += 2;
	left -= 2;
	for (size_t i = 0; i < n; i++) {
		int32_t len;

		if (left < LENGTH_SIZE)
			return -EPROTO;
		len = (int32_t)read32(p);
		p += LENGTH_SIZE;
		left -= LENGTH_SIZE;
		if (len < 0) {
			cells[i] = (struct db_cell){0};
			continue;
		}
		if ((size_t)len > left)
			return -EPROTO;
		cells[i].data = p;
		cells[i].len = (size_t)len;
		p += len;
		left -= (size_t)len;
	}
	return left == 0 ? 0 : -EPROTO;
}

const PGresult *pg_rows_columns(const struct pg_rows *rows)
{
	return rows->direct ? rows->conn->result : NULL;
}

/* Bytes that came, or -1. */
static ssize_t read_once(struct pg_rows *rows)
{
	size_t before = available(rows->conn);

	if (!PQconsumeInput(rows->conn))
		return -1;
	return (ssize_t)(available(rows->conn) - before);
}

int pg_rows_read(struct pg_rows *rows)
{
	ssize_t n;
	bool any = false;

	if (!rows->direct)
		return PQconsumeInput(rows->conn) ? 1 : -1;
	/* Of TLS libpq takes one record at a time, however many have come. */
	do {
		n = read_once(rows);
		if (n < 0)
			return -1;
		rows->received += (size_t)n;
		any = any || n > 0;
	} while (rows->conn->ssl_in_use && n >= FULL_RECORD &&
		 available(rows->conn) < INPUT_SIZE / 2);
	return any;
}

bool pg_rows_pending(const struct pg_rows *rows)
{
	const SSL *ssl = PQgetssl(rows->conn);

	return ssl != NULL && SSL_pending(ssl) > 0;
}

/*
 * Rows hidden from libpq while it works: it would make a PGresult of a whole
 * one, and room for one that is not whole. Only whole messages stand before
 * them, so libpq does not move what is in the buffer; unless it loses the
 * connection and empties it.
 */
struct hidden {
	int start;
	int end;
};

static struct hidden hide_rows(const struct pg_rows *rows)
{
	PGconn *conn = rows->conn;
	struct hidden hidden = {.start = -1};
	size_t at = 0;

	while (rows->direct && available(conn) - at >= HEADER_SIZE) {
		const char *head = conn->inBuffer + conn->inStart + at;
		size_t len = read32(head + 1);

		if (len < LENGTH_SIZE)
			break;
		if (is_data(*head)) {
			hidden.start = conn->inStart + (int)at;
			hidden.end = conn->inEnd;
			conn->inEnd = hidden.start;
			break;
		}
		if (len + 1 > available(conn) - at)
			break;
		at += len + 1;
	}
	return hidden;
}

static void show_rows(PGconn *conn, const struct hidden *hidden)
{
	if (hidden->start >= 0 && conn->inEnd == hidden->start)
		conn->inEnd = hidden->end;
}

bool pg_rows_busy(struct pg_rows *rows)
{
	struct hidden hidden = hide_rows(rows);
	bool busy = PQisBusy(rows->conn) != 0;

	show_rows(rows->conn, &hidden);
	return busy;
}

PGresult *pg_rows_result(struct pg_rows *rows)
{
	struct hidden hidden = hide_rows(rows);
	PGresult *result = PQgetResult(rows->conn);

	show_rows(rows->conn, &hidden);
	return result;
}

int pg_rows_copy_data(struct pg_rows *rows, char **data)
{
	struct hidden hidden = hide_rows(rows);
	int n = PQgetCopyData(rows->conn, data, true);

	show_rows(rows->conn, &hidden);
	return n;
}

static void shrink(char **buffer, int *size, int to)
{
	char *smaller = realloc(*buffer, (size_t)to);

	if (smaller == NULL)
		return;
	*buffer = smaller;
	*size = to;
}

void pg_rows_trim(struct pg_rows *rows)
{
	PGconn *conn = rows->conn;

	rows->received = 0;
	if (!rows->direct)
		return;
	if (conn->inBufSize > INPUT_SIZE && available(conn) == 0) {
		conn->inStart = 0;
		conn->inCursor = 0;
		conn->inEnd = 0;
		shrink(&conn->inBuffer, &conn->inBufSize, INPUT_SIZE);
	}
	if (conn->outBufSize > OUTPUT_SIZE && conn->outCount == 0)
		shrink(&conn->outBuffer, &conn->outBufSize, OUTPUT_SIZE);
}

struct pg_cancel_key pg_rows_cancel_key(const struct pg_rows *rows)
{
	const PGconn *conn = rows->conn;
	struct pg_cancel_key key = {.address_len = 0};

	if (!rows->direct)
		return key;
	key.address = conn->raddr.addr;
	key.address_len = (socklen_t)conn->raddr.salen;
	key.pid = (uint32_t)conn->be_pid;
	key.secret = (uint32_t)conn->be_key;
	return key;
}

bool pg_rows_give_password(PGconn *conn, const char *password)
{
	char *copy;

	if (password == NULL)
		return true;
	copy = strdup(password);
	if (copy == NULL || !layout_known(conn)) {
		free(copy);
		return false;
	}
	free(conn->pgpass);
	conn->pgpass = copy;
	return true;
}

/* How libpq's state of a SCRAM login begins, which none of its headers has. */
struct scram {
	unsigned step;
	const PGconn *conn;
	char *password; /* a copy */
};

enum { PROOF_SENT = 2 }; /* of step */

void pg_rows_wipe_scram(PGconn *conn)
{
	struct scram *scram;

	if (!layout_known(conn) || conn->sasl == NULL)
		return;
	scram = conn->sasl_state;
	if (scram == NULL || scram->conn != conn || scram->step < PROOF_SENT ||
	    scram->password == NULL)
		return;
	secret_wipe(scram->password, strlen(scram->password));
}

void pg_rows_wipe_password(PGconn *conn)
{
	char *password = PQpass(conn);

	if (password != NULL && *password != '\0')
		secret_wipe(password, strlen(password));
	/* As it was sent. */
	if (layout_known(conn))
		secret_wipe(conn->outBuffer + conn->outCount,
			    (size_t)(conn->outBufSize - conn->outCount));
}

const char *pg_rows_sqlstate(const PGconn *conn)
{
	return version_known() ? conn->last_sqlstate : "";
}
