/* SPDX-License-Identifier: MIT */
#include "backends/sqlstate.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

/* The first entry that a SQLSTATE begins with counts. */
static const struct {
	const char *prefix;
	int code;
} meanings[] = {
	{"08004", ECONNREFUSED}, {"08P01", EINVAL},
	{"08", EHOSTUNREACH},    {"0A", EOPNOTSUPP},
	{"22", EINVAL},          {"23", EEXIST},
	{"25006", EACCES},       {"25P03", ENOTCONN},
	{"26000", EINVAL},       {"28", EACCES},
	{"34000", EINVAL},       {"3D000", EINVAL},
	{"3F000", EINVAL},       {"40002", EEXIST},
	{"40003", EIO}, /* nobody knows whether the statement completed */
	{"40", EAGAIN},          {"42501", EACCES},
	{"42", EINVAL},          {"44", EEXIST},
	{"53100", ENOSPC},       {"53300", EAGAIN},
	{"53400", ENOSPC},       {"54", EFBIG},
	{"55006", EAGAIN},       {"55P03", EAGAIN},
	{"57014", ECANCELED},    {"57P01", ENOTCONN},
	{"57P02", ENOTCONN},     {"57P03", ECONNREFUSED},
	{"57P04", ENOTCONN},     {"57P05", ENOTCONN},
	{"OC000", EAGAIN},       {"OC001", EAGAIN},
};

int sqlstate_errno(const char *state)
{
	if (state == NULL)
		return EIO;
	for (size_t i = 0; i < sizeof(meanings) / sizeof(meanings[0]); i++) {
		const char *prefix = meanings[i].prefix;

		if (strncmp(state, prefix, strlen(prefix)) == 0)
			return meanings[i].code;
	}
	return EIO;
}
