/* SPDX-License-Identifier: MIT */
#include "fs/config_internal.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/err.h"

struct unit {
	const char *name;
	uint64_t factor;
};

enum {
	SECOND = 1000, /* milliseconds */
	MINUTE = 60 * SECOND,
	HOUR = 60 * MINUTE,
	DAY = 24 * HOUR,
	WEEK = 7 * DAY,
	KIB = 1024, /* bytes */
	MIB = 1024 * KIB,
	GIB = 1024 * MIB,
};

/* Those of lava, and milliseconds. The first is that of a bare number. */
static const struct unit durations[] = {
	{"", SECOND}, {"ms", 1},  {"s", SECOND}, {"m", MINUTE},
	{"h", HOUR},  {"d", DAY}, {"w", WEEK},   {NULL, 0},
};

/* M is MiB: there is no second kind of megabyte to mix it up with. */
static const struct unit sizes[] = {
	{"", 1},      {"B", 1},   {"K", KIB},   {"KiB", KIB}, {"M", MIB},
	{"MiB", MIB}, {"G", GIB}, {"GiB", GIB}, {NULL, 0},
};

/* "15", "1.5 h": number, spaces, unit. Sets *out to the whole product. */
static bool parse_amount(uint64_t *out, const char *text,
			 const struct unit *units)
{
	char number[24];
	const char *p = text + strspn(text, " ");
	size_t digits = strspn(p, "0123456789");
	size_t len = digits, end;
	double value;

	if (p[len] == '.')
		len += 1 + strspn(p + len + 1, "0123456789");
	if (digits == 0 || len >= sizeof(number))
		return false;
	memcpy(number, p, len);
	number[len] = '\0';
	value = strtod(number, NULL);
	p += len;
	p += strspn(p, " ");
	end = strcspn(p, " ");
	if (p[end + strspn(p + end, " ")] != '\0')
		return false;
	for (; units->name != NULL; units++) {
		if (strlen(units->name) != end ||
		    strncmp(units->name, p, end) != 0)
			continue;
		value *= (double)units->factor;
		*out = value < 1e18 ? (uint64_t)(value + 0.5) : UINT64_MAX;
		return true;
	}
	return false;
}

bool config_duration(uint64_t *ms, const char *text)
{
	return parse_amount(ms, text, durations);
}

static bool amount(uint64_t *out, const json_t *value, const struct unit *units)
{
	if (json_is_string(value))
		return parse_amount(out, json_string_value(value), units);
	if (!json_is_number(value) || json_number_value(value) < 0)
		return false;
	if (json_is_integer(value) && units[0].factor == 1)
		*out = (uint64_t)json_integer_value(value);
	else if (json_number_value(value) < 1e15)
		*out = (uint64_t)(json_number_value(value) *
					  (double)units[0].factor +
				  0.5);
	else
		*out = UINT64_MAX;
	return true;
}

static bool whole(uint64_t *out, const json_t *value)
{
	const char *text = json_string_value(value);

	if (json_is_integer(value)) {
		*out = (uint64_t)json_integer_value(value);
		return json_integer_value(value) >= 0;
	}
	if (text == NULL || text[0] == '\0' || strlen(text) > 18 ||
	    text[strspn(text, "0123456789")] != '\0')
		return false;
	*out = strtoull(text, NULL, 10);
	return true;
}

void value_duration_text(char out[32], unsigned ms)
{
	if (ms % 1000 == 0)
		(void)snprintf(out, 32, "%us", ms / 1000);
	else
		(void)snprintf(out, 32, "%ums", ms);
}

static int check_range(const struct value_rule *rule, uint64_t number,
		       struct err *err)
{
	char min[32], max[32];

	if (number >= rule->min && number <= rule->max)
		return 0;
	if (rule->kind == VALUE_DURATION) {
		value_duration_text(min, (unsigned)rule->min);
		value_duration_text(max, (unsigned)rule->max);
	} else if (rule->kind == VALUE_SECONDS) {
		(void)snprintf(min, sizeof(min), "%" PRIu64 "s", rule->min);
		(void)snprintf(max, sizeof(max), "%" PRIu64 "s", rule->max);
	} else {
		(void)snprintf(min, sizeof(min), "%" PRIu64, rule->min);
		(void)snprintf(max, sizeof(max), "%" PRIu64, rule->max);
	}
	return err_set(err, EINVAL, "%s: must be from %s to %s", rule->key, min,
		       max);
}

static int set_number(void *member, const struct value_rule *rule,
		      const json_t *value, struct err *err)
{
	const char *wanted = "a whole number";
	uint64_t n = 0;
	bool good;
	int rc;

	if (rule->kind == VALUE_DURATION) {
		wanted = "seconds, or a text like \"15m\" (ms s m h d w)";
		good = amount(&n, value, durations);
	} else if (rule->kind == VALUE_SECONDS) {
		wanted = "whole seconds, or a text like \"15m\" (s m h d w)";
		good = amount(&n, value, durations) &&
		       (n % SECOND == 0 || n == UINT64_MAX);
		n /= SECOND;
	} else if (rule->kind == VALUE_SIZE) {
		wanted = "bytes, or a text like \"8MiB\" (KiB MiB GiB)";
		good = amount(&n, value, sizes);
	} else {
		good = whole(&n, value);
	}
	if (!good)
		return err_set(err, EINVAL, "%s: must be %s", rule->key,
			       wanted);
	rc = check_range(rule, n, err);
	if (rc < 0)
		return rc;
	if (rule->kind == VALUE_SIZE)
		*(uint64_t *)member = n;
	else if (rule->kind == VALUE_PORT)
		*(uint16_t *)member = (uint16_t)n;
	else
		*(unsigned *)member = (unsigned)n;
	return 0;
}

/* Names that nothing would be put in for are mistakes. */
static int check_template(const char *key, const char *text, struct err *err)
{
	static const char *const names[] = {"realm", "job_id", "user", "comm",
					    "conn_id"};

	for (const char *p = strchr(text, '{'); p != NULL; p = strchr(p, '{')) {
		size_t len = strcspn(++p, "}");
		bool known = false;

		for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
			known = known || (strlen(names[i]) == len &&
					  memcmp(names[i], p, len) == 0);
		if (!known || p[len] != '}')
			return err_set(err, EINVAL,
				       "%s: \"{%.*s\" is none of {realm} "
				       "{job_id} {user} {comm} {conn_id}",
				       key, (int)(len < 40 ? len + 1 : 40), p);
	}
	return 0;
}

static int copy_text(char **out, const struct value_rule *rule,
		     const json_t *value, struct err *err)
{
	size_t len = json_string_length(value);
	char *copy;

	if (!json_is_string(value))
		return err_set(err, EINVAL, "%s: must be a string", rule->key);
	if (len == 0)
		return err_set(err, EINVAL, "%s: must not be empty", rule->key);
	if (rule->max != 0 && len > rule->max)
		return err_set(err, EINVAL,
			       "%s: is over %" PRIu64 " bytes long", rule->key,
			       rule->max);
	copy = strdup(json_string_value(value));
	if (copy == NULL)
		return err_set(err, ENOMEM, "%s: out of memory", rule->key);
	free(*out);
	*out = copy;
	return 0;
}

static int check_dir(const char *key, const char *path, struct err *err)
{
	struct stat st;

	if (stat(path, &st) < 0)
		return err_sys(err, errno, "%s: %s", key, path);
	if (!S_ISDIR(st.st_mode))
		return err_sys(err, ENOTDIR, "%s: %s", key, path);
	if (faccessat(AT_FDCWD, path, W_OK | X_OK, AT_EACCESS) < 0)
		return err_sys(err, errno, "%s: %s", key, path);
	return 0;
}

/* What a text has to be beyond not being empty. */
static int check_string(const struct value_rule *rule, const char *text,
			struct err *err)
{
	bool is_path = rule->kind == VALUE_PATH || rule->kind == VALUE_DIR;

	if (is_path && text[0] != '/')
		return err_set(err, EINVAL, "%s: must be an absolute path",
			       rule->key);
	if (rule->kind == VALUE_DIR)
		return check_dir(rule->key, text, err);
	if (rule->kind == VALUE_TEMPLATE)
		return check_template(rule->key, text, err);
	return 0;
}

static int set_string(char **member, const struct value_rule *rule,
		      const json_t *value, struct err *err)
{
	const char *text = json_string_value(value);
	int rc;

	if (rule->kind == VALUE_NOTE && text != NULL && text[0] == '\0')
		return 0;
	rc = copy_text(member, rule, value, err);
	return rc == 0 ? check_string(rule, text, err) : rc;
}

int value_set(void *object, const struct value_rule *rule, const json_t *value,
	      struct err *err)
{
	void *member = (char *)object + rule->offset;

	switch (rule->kind) {
	case VALUE_OTHER:
		return 0;
	case VALUE_NOTE:
	case VALUE_TEXT:
	case VALUE_PATH:
	case VALUE_DIR:
	case VALUE_TEMPLATE:
		return set_string(member, rule, value, err);
	case VALUE_BOOL:
		if (!json_is_boolean(value))
			return err_set(err, EINVAL,
				       "%s: must be true or false, without "
				       "quotes",
				       rule->key);
		*(bool *)member = json_is_true(value);
		return 0;
	case VALUE_DURATION:
	case VALUE_SECONDS:
	case VALUE_COUNT:
	case VALUE_PORT:
	case VALUE_SIZE:
		break;
	}
	return set_number(member, rule, value, err);
}

bool value_is_private_key(const char *key)
{
	return (key[0] == 'x' || key[0] == 'X') && key[1] == '-';
}

static size_t min3(size_t a, size_t b, size_t c)
{
	size_t min = a < b ? a : b;

	return min < c ? min : c;
}

enum { GUESS_MAX = 40 }; /* bytes; longer words are not compared */

static bool same_letter(char a, char b)
{
	return tolower((unsigned char)a) == tolower((unsigned char)b);
}

/* Insertions, deletions and replacements, letters in any case. */
static size_t edit_distance(const char *a, const char *b)
{
	size_t row[GUESS_MAX + 1], n = strlen(b);

	for (size_t j = 0; j <= n; j++)
		row[j] = j;
	for (size_t i = 0; a[i] != '\0'; i++) {
		size_t diagonal = row[0];

		row[0] = i + 1;
		for (size_t j = 1; j <= n; j++) {
			size_t above = row[j];
			size_t change = same_letter(a[i], b[j - 1]) ? 0 : 1;

			row[j] = min3(above + 1, row[j - 1] + 1,
				      diagonal + change);
			diagonal = above;
		}
	}
	return row[n];
}

void guess_try(struct guess *guess, const char *known)
{
	size_t len = strlen(known), distance;

	if (strlen(guess->word) > GUESS_MAX || len > GUESS_MAX)
		return;
	distance = edit_distance(guess->word, known);
	/* Two slips, or one in a short word. */
	if (distance > (len > 4 ? 2 : 1))
		return;
	if (guess->best == NULL || distance < guess->distance) {
		guess->best = known;
		guess->distance = distance;
	}
}

int guess_fail(const struct guess *guess, const char *what, struct err *err)
{
	if (guess->best == NULL)
		return err_set(err, EINVAL, "%s \"%.100s\"", what, guess->word);
	return err_set(err, EINVAL, "%s \"%.100s\", did you mean \"%s\"?", what,
		       guess->word, guess->best);
}
