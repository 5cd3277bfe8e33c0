/* SPDX-License-Identifier: MIT */
#include "fs/caller_text.h"

#include <stdbool.h>
#include <string.h>

#include "common/utf8.h"
#include "fs/caller.h"

static bool wanted(const char *p, size_t n, const char *drop)
{
	unsigned char c = (unsigned char)*p;

	if (n == 1)
		return c >= 0x20 && c != 0x7f && strchr(drop, c) == NULL;
	/* U+0080 to U+009F are control characters as well. */
	return c != 0xc2 || (unsigned char)p[1] >= 0xa0;
}

size_t caller_text(char *out, size_t size, const char *text, size_t len,
		   const char *drop)
{
	size_t end = strlen(out);
	size_t n;

	for (size_t i = 0; i < len; i += n) {
		n = utf8_char(text + i, len - i);
		if (n == 0) {
			n = 1;
			continue;
		}
		if (!wanted(text + i, n, drop))
			continue;
		if (end + n >= size)
			break;
		memcpy(out + end, text + i, n);
		end += n;
	}
	out[end] = '\0';
	return end;
}

struct placeholder {
	const char *name;
	const char *value; /* "": not known */
	bool required;
};

enum { N_PLACEHOLDERS = 5 };

/* The placeholder that text begins with, or null. */
static const struct placeholder *placeholder_at(const char *text,
						const struct placeholder *all)
{
	for (size_t i = 0; i < N_PLACEHOLDERS; i++) {
		if (strncmp(text, all[i].name, strlen(all[i].name)) == 0)
			return &all[i];
	}
	return NULL;
}

/* False when something is asked for that is required and not known. */
static bool fill(char *out, size_t size, const char *template,
		 const struct placeholder *all)
{
	static const char unwanted[] = "\"'`\\";
	size_t n;

	out[0] = '\0';
	for (const char *p = template; *p != '\0'; p += n) {
		const struct placeholder *found = placeholder_at(p, all);

		if (found == NULL) {
			n = 1 + strcspn(p + 1, "{");
			(void)caller_text(out, size, p, n, unwanted);
			continue;
		}
		if (found->required && found->value[0] == '\0')
			return false;
		n = strlen(found->name);
		(void)caller_text(out, size, found->value, strlen(found->value),
				  unwanted);
	}
	return true;
}

void caller_app_name(char *out, size_t max, const struct app_name_rule *rule,
		     const struct caller_names *names,
		     const struct caller_env *env)
{
	const struct placeholder all[N_PLACEHOLDERS] = {
		{"{realm}", rule->realm != NULL ? rule->realm : env->realm,
		 true},
		{"{job_id}", env->job_id, true},
		{"{user}", names->user, false},
		{"{comm}", names->comm, false},
		{"{conn_id}", rule->conn_id, false},
	};

	if (!fill(out, max + 1, rule->template, all))
		(void)fill(out, max + 1, "connfs-{user}-{comm}", all);
}
