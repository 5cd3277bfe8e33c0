/* SPDX-License-Identifier: MIT */
#include "fs/pathname.h"

#include <errno.h>
#include <string.h>

#include "common/err.h"

/* Names beside and inside a connection's directory. */
static const char *const reserved[] = {
	"README",      "cancel", "client.json", "connection.json",
	"creds",       "error",  "params.json", "queries",
	"results",     "schema", "sessions",    "sql",
	"status.json", "wait",
};

/* query.sql~ is vim's backup, result.* has a file for each format. */
static const char *const reserved_prefixes[] = {"query.sql", "result."};

static bool collides(const char *component, size_t len)
{
	for (size_t i = 0; i < sizeof(reserved) / sizeof(*reserved); i++) {
		if (strlen(reserved[i]) == len &&
		    memcmp(reserved[i], component, len) == 0)
			return true;
	}
	for (size_t i = 0;
	     i < sizeof(reserved_prefixes) / sizeof(*reserved_prefixes); i++) {
		size_t n = strlen(reserved_prefixes[i]);

		if (len >= n && memcmp(reserved_prefixes[i], component, n) == 0)
			return true;
	}
	return component[0] == '.';
}

static bool must_encode(unsigned char c)
{
	return c < 0x20 || c == 0x7f || c == '%';
}

int pathname_encode(char out[PATHNAME_MAX + 1], const char *component,
		    size_t len)
{
	static const char hex[] = "0123456789ABCDEF";
	bool first = collides(component, len);
	size_t n = 0;

	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)component[i];
		bool encode = must_encode(c) || (i == 0 && first);

		if (n + (encode ? 3 : 1) > PATHNAME_MAX)
			return -ENAMETOOLONG;
		if (encode) {
			out[n++] = '%';
			out[n++] = hex[c >> 4];
			out[n++] = hex[c & 15];
		} else {
			out[n++] = (char)c;
		}
	}
	out[n] = '\0';
	return 0;
}

/* Lower case has no value: one byte has one form. */
static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

int pathname_decode(char out[PATHNAME_MAX + 1], const char *name)
{
	char again[PATHNAME_MAX + 1];
	size_t n = 0;

	for (const char *p = name; *p != '\0'; p++) {
		char c = *p;

		if (c == '%') {
			int high = hex_value(p[1]);
			int low = high < 0 ? -1 : hex_value(p[2]);

			if (low < 0)
				return -ENOENT;
			c = (char)(high << 4 | low);
			p += 2;
		}
		if (n == PATHNAME_MAX || c == '/' || c == '\0')
			return -ENOENT;
		out[n++] = c;
	}
	out[n] = '\0';
	if (n == 0 || pathname_encode(again, out, n) < 0 ||
	    strcmp(again, name) != 0)
		return -ENOENT;
	return 0;
}

bool pathname_next(const char **rest, const char **component, size_t *len)
{
	if (**rest == '\0')
		return false;
	*component = *rest;
	*len = strcspn(*rest, "/");
	*rest += *len;
	if (**rest == '/')
		(*rest)++;
	return true;
}

int pathname_check(const char *conn_id, struct err *err)
{
	const char *rest = conn_id, *component;
	char name[PATHNAME_MAX + 1];
	size_t len = strlen(conn_id);

	if (len == 0)
		return err_set(err, EINVAL, "must not be empty");
	if (len > PATHNAME_ID_MAX)
		return err_set(err, EINVAL, "is over %d bytes long",
			       PATHNAME_ID_MAX);
	if (conn_id[len - 1] == '/')
		return err_set(err, EINVAL, "must not end with a slash");
	while (pathname_next(&rest, &component, &len)) {
		if (len == 0)
			return err_set(err, EINVAL,
				       "has nothing before or between slashes");
		if (pathname_encode(name, component, len) < 0)
			return err_set(err, EINVAL,
				       "has a part that is over %d bytes long",
				       PATHNAME_MAX);
	}
	return 0;
}
