/* SPDX-License-Identifier: MIT */
#include "backends/mariadb_error.h"

#include <errmsg.h>
#include <errno.h>
#include <mysql.h>
#include <mysqld_error.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backends/sqlstate.h"
#include "common/err.h"
#include "common/utf8.h"

enum {
	/* The server quotes as much of the text as this from the error on. */
	NEAR_MAX = 80,
	UTF8_MAX = 4, /* bytes of a character, which is not cut */
	/* MySQL's own, which the connector's header does not name. */
	MY_QUERY_TIMEOUT = 3024,
	MY_ACCOUNT_LOCKED = 3118,
	MY_LOCAL_DATA_DISABLED = 3948,
	MY_IDLE_TOO_LONG = 4031,
};

/*
 * Where the SQLSTATE says too little (HY000 or 42000), or something else. The
 * numbers are the same in MySQL and in MariaDB but where they are named.
 */
static const struct {
	unsigned number;
	int code;
} meanings[] = {
	{ER_ACCESS_DENIED_ERROR, EACCES},
	{ER_DBACCESS_DENIED_ERROR, EACCES},
	{ER_TABLEACCESS_DENIED_ERROR, EACCES},
	{ER_COLUMNACCESS_DENIED_ERROR, EACCES},
	{ER_SPECIFIC_ACCESS_DENIED_ERROR, EACCES},
	{ER_PROCACCESS_DENIED_ERROR, EACCES},
	{ER_HOST_NOT_PRIVILEGED, EACCES},
	{ER_HOST_IS_BLOCKED, EACCES},
	{ER_MUST_CHANGE_PASSWORD_LOGIN, EACCES},
	{ER_MUST_CHANGE_PASSWORD, EACCES},
	{ER_ACCOUNT_HAS_BEEN_LOCKED, EACCES},
	{MY_ACCOUNT_LOCKED, EACCES},
	{ER_OPTION_PREVENTS_STATEMENT, EACCES},
	{ER_CANT_EXECUTE_IN_READ_ONLY_TRANSACTION, EACCES},
	{ER_NONEXISTING_GRANT, EACCES},
	{ER_KILL_DENIED_ERROR, EACCES},
	{ER_DUP_KEY, EEXIST},
	{ER_CONSTRAINT_FAILED, EEXIST},
	{ER_CON_COUNT_ERROR, EAGAIN},
	{ER_USER_LIMIT_REACHED, EAGAIN},
	{ER_TOO_MANY_USER_CONNECTIONS, EAGAIN},
	{ER_LOCK_WAIT_TIMEOUT, EAGAIN},
	{ER_LOCK_DEADLOCK, EAGAIN},
	{ER_CHECKREAD, EAGAIN},
	{ER_QUERY_INTERRUPTED, ECANCELED},
	{ER_STATEMENT_TIMEOUT, ETIMEDOUT},
	{MY_QUERY_TIMEOUT, ETIMEDOUT},
	{ER_NOT_ALLOWED_COMMAND, EOPNOTSUPP},
	{ER_LOAD_INFILE_CAPABILITY_DISABLED, EOPNOTSUPP},
	{MY_LOCAL_DATA_DISABLED, EOPNOTSUPP},
	{ER_UNSUPPORTED_PS, EOPNOTSUPP},
	{ER_NET_PACKET_TOO_LARGE, EFBIG},
	{ER_SERVER_SHUTDOWN, ENOTCONN},
	{ER_CONNECTION_KILLED, ENOTCONN},
	{MY_IDLE_TOO_LONG, ENOTCONN},
	{ER_DISK_FULL, ENOSPC},
	{ER_RECORD_FILE_FULL, ENOSPC},
	{ER_TRUNCATED_WRONG_VALUE_FOR_FIELD, EINVAL},
	{ER_NO_DEFAULT_FOR_FIELD, EINVAL},
	{ER_WRONG_VALUE_FOR_TYPE, EINVAL},
	{ER_UNKNOWN_SYSTEM_VARIABLE, EINVAL},
	{ER_UNKNOWN_TABLE, EINVAL},
	{ER_UNKNOWN_STMT_HANDLER, EINVAL},
	{ER_NO_SUCH_THREAD, EINVAL},
	{ER_WRONG_ARGUMENTS, EINVAL},
	{ER_DB_DROP_EXISTS, EINVAL},
	{ER_DB_CREATE_EXISTS, EINVAL},
	{ER_CANT_AGGREGATE_2COLLATIONS, EINVAL},
	{ER_CANT_AGGREGATE_NCOLLATIONS, EINVAL},
	{ER_PARSE_ERROR, EINVAL},
	{CR_UNKNOWN_HOST, EHOSTUNREACH},
	{CR_SERVER_GONE_ERROR, ENOTCONN},
	{CR_SERVER_LOST, ENOTCONN},
	{CR_SERVER_LOST_EXTENDED, ENOTCONN},
	{CR_SSL_CONNECTION_ERROR, EHOSTUNREACH},
	{CR_NET_PACKET_TOO_LARGE, EFBIG},
	{CR_OUT_OF_MEMORY, ENOMEM},
	{CR_AUTH_PLUGIN_CANNOT_LOAD, EACCES},
	{CR_PLUGIN_NOT_ALLOWED, EACCES},
};

/* "Can't connect to server on 'h' (111)": the system's own number is last. */
static int network_errno(const char *text)
{
	const char *paren = strrchr(text, '(');
	long n = paren != NULL ? strtol(paren + 1, NULL, 10) : 0;

	if (n == ECONNREFUSED || n == ETIMEDOUT)
		return (int)n;
	return EHOSTUNREACH;
}

static int meaning(unsigned number, const char *sqlstate, const char *text)
{
	if (number == CR_CONNECTION_ERROR || number == CR_CONN_HOST_ERROR)
		return network_errno(text);
	/* The connector refuses a file, and has no number for that. */
	if (number == CR_UNKNOWN_ERROR && strstr(text, "infile") != NULL)
		return EOPNOTSUPP;
	for (size_t i = 0; i < sizeof(meanings) / sizeof(meanings[0]); i++) {
		if (meanings[i].number == number)
			return meanings[i].code;
	}
	if (strncmp(sqlstate, "21", 2) == 0)
		return EINVAL;
	return sqlstate_errno(sqlstate);
}

/* What is no UTF-8 becomes '?'; a character that was cut at the end goes. */
static void clean(char out[MY_TEXT_SIZE], const char *text)
{
	size_t len = strnlen(text, MY_TEXT_SIZE - 1);
	size_t used = 0;

	for (size_t i = 0, n; i < len; i += n) {
		n = utf8_char(text + i, len - i);
		if (n > 0) {
			memcpy(out + used, text + i, n);
			used += n;
			continue;
		}
		n = 1;
		if (len - i < 4 && (unsigned char)text[i] >= 0xc0)
			break;
		out[used++] = '?';
	}
	out[used] = '\0';
}

void my_error_make(struct my_error *e, unsigned number, const char *sqlstate,
		   const char *text)
{
	char state[sizeof(e->sqlstate)];

	clean(e->text, text);
	clean(e->text, e->text);
	(void)snprintf(state, sizeof(state), "%s", sqlstate);
	for (char *p = state; *p != '\0'; p++) {
		if ((*p < '0' || *p > '9') && (*p < 'A' || *p > 'Z'))
			*p = '0';
	}
	memcpy(e->sqlstate, state, sizeof(state));
	e->number = number;
	e->eno = meaning(number, e->sqlstate, e->text);
	(void)snprintf(e->code, sizeof(e->code), "%u (%s)", number,
		       e->sqlstate);
}

int my_error_set(struct err *err, const struct my_error *e)
{
	int rc = err_set(err, e->eno, "%s", e->text);

	memcpy(err->sqlstate, e->sqlstate, sizeof(err->sqlstate));
	return rc;
}

bool my_error_is_local(unsigned number)
{
	return IS_MYSQL_ERROR(number) || IS_MARIADB_ERROR(number);
}

bool my_error_is_loss(unsigned number)
{
	return number == CR_SERVER_GONE_ERROR || number == CR_SERVER_LOST ||
	       number == CR_SERVER_LOST_EXTENDED ||
	       number == ER_CONNECTION_KILLED || number == ER_SERVER_SHUTDOWN ||
	       number == MY_IDLE_TOO_LONG;
}

static const char *start_of_line(const char *sql, long line)
{
	while (--line > 0 && sql != NULL) {
		sql = strchr(sql, '\n');
		if (sql != NULL)
			sql++;
	}
	return sql;
}

/*
 * Where `near` begins in that line. What was not cut is the end of the text;
 * of what was (by MariaDB with dots, by MySQL without) there must be one only.
 */
static long find_near(const char *sql, const char *line, const char *near,
		      size_t len)
{
	static const char dots[] = "...";
	size_t left = strlen(line);
	bool cut = len >= NEAR_MAX - UTF8_MAX;
	const char *found;
	const char *again;

	if (len >= strlen(dots) &&
	    memcmp(near + len - strlen(dots), dots, strlen(dots)) == 0) {
		len -= strlen(dots);
		cut = true;
	}
	if (!cut) {
		if (len > left || memcmp(line + left - len, near, len) != 0)
			return -1;
		return line + left - len - sql;
	}
	found = memmem(line, left, near, len);
	if (found == NULL || found > line + strcspn(line, "\n"))
		return -1;
	again = memmem(found + 1, strlen(found + 1), near, len);
	if (again != NULL && again <= line + strcspn(line, "\n"))
		return -1;
	return found - sql;
}

long my_error_offset(const char *sql, const char *message)
{
	static const char before[] = "near '";
	static const char after[] = "' at line ";
	const char *near = strstr(message, before);
	const char *end = NULL;
	const char *line;

	if (near == NULL)
		return -1;
	near += sizeof(before) - 1;
	for (const char *p = near; (p = strstr(p, after)) != NULL; p++)
		end = p;
	if (end == NULL)
		return -1;
	line = start_of_line(sql, strtol(end + sizeof(after) - 1, NULL, 10));
	if (line == NULL)
		return -1;
	return find_near(sql, line, near, (size_t)(end - near));
}
