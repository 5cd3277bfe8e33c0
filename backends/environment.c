/* SPDX-License-Identifier: MIT */
#include "backends/environment.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool has_prefix(const char *entry, const char *const *prefixes, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (strncmp(entry, prefixes[i], strlen(prefixes[i])) == 0)
			return true;
	}
	return false;
}

void environment_clear(const char *const *prefixes, size_t n)
{
	char name[256];
	char **entry = environ;

	while (entry != NULL && *entry != NULL) {
		size_t len = strcspn(*entry, "=");

		if (!has_prefix(*entry, prefixes, n) || len >= sizeof(name) ||
		    (*entry)[len] == '\0') {
			entry++;
			continue;
		}
		memcpy(name, *entry, len);
		name[len] = '\0';
		/* The entries behind it move up. */
		(void)unsetenv(name);
	}
}
