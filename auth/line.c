/* SPDX-License-Identifier: MIT */
#include "auth/provider.h"

#include <errno.h>
#include <string.h>

int auth_first_line(struct secret *out, const char *text, size_t len,
		    const char *what, struct err *err)
{
	const char *end = len > 0 ? memchr(text, '\n', len) : NULL;
	size_t n = end != NULL ? (size_t)(end - text) : len;

	if (end != NULL && n > 0 && text[n - 1] == '\r')
		n--;
	if (n == 0)
		return err_set(err, EKEYREJECTED, "%s: the first line is empty",
			       what);
	if (n > AUTH_LINE_MAX)
		return err_set(err, EKEYREJECTED,
			       "%s: the first line is over %d bytes long", what,
			       AUTH_LINE_MAX);
	if (memchr(text, '\0', n) != NULL)
		return err_set(err, EKEYREJECTED,
			       "%s: the first line holds a NUL byte", what);
	if (secret_set(out, text, n) < 0)
		return err_set(err, EKEYREJECTED, "%s: out of memory", what);
	return 0;
}
