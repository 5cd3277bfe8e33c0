/* SPDX-License-Identifier: MIT */
#include "auth/aws/json.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "common/secret_heap.h"

/* What the digits of a real number are known up to: 2^53. */
#define EXACT_MAX 9007199254740992.0

struct aws_json {
	json_t *root;
};

/* jansson refuses a whole document for one number that is too long for it. */
static json_t *load(const char *text, size_t len, json_error_t *why)
{
	json_t *root = json_loadb(text, len, 0, why);

	if (root == NULL && json_error_code(why) == json_error_numeric_overflow)
		root = json_loadb(text, len, JSON_DECODE_INT_AS_REAL, why);
	return root;
}

int aws_json_parse(struct aws_json **out, const char *text, size_t len,
		   const char *what, struct err *err)
{
	struct aws_json *json;
	json_error_t why;

	*out = NULL;
	secret_heap_init();
	json = calloc(1, sizeof(*json));
	if (json == NULL)
		return err_set(err, ENOMEM, "%s: out of memory", what);
	json->root = load(text != NULL ? text : "", len, &why);
	if (json_is_object(json->root)) {
		*out = json;
		return 0;
	}
	if (json->root != NULL) {
		aws_json_free(json);
		return err_set(err, EINVAL, "%s is not a JSON object", what);
	}
	aws_json_free(json);
	if (json_error_code(&why) == json_error_out_of_memory)
		return err_set(err, ENOMEM, "%s: out of memory", what);
	/* jansson's own text would quote the document. */
	return err_set(err, EINVAL,
		       "%s is not a JSON object (line %d, column %d)", what,
		       why.line, why.column);
}

void aws_json_free(struct aws_json *json)
{
	int saved = errno;

	if (json == NULL)
		return;
	json_decref(json->root);
	free(json);
	errno = saved;
}

static const json_t *step(const json_t *from, const char *name, size_t len)
{
	size_t index = 0;

	if (json_is_object(from))
		return json_object_getn(from, name, len);
	if (!json_is_array(from) || len == 0 || len > 9)
		return NULL;
	for (size_t i = 0; i < len; i++) {
		if (!isdigit((unsigned char)name[i]))
			return NULL;
		index = index * 10 + (size_t)(name[i] - '0');
	}
	return json_array_get(from, index);
}

static const json_t *find(const struct aws_json *json, const char *path)
{
	const json_t *at = json->root;

	while (at != NULL) {
		size_t len = strcspn(path, ".");

		at = step(at, path, len);
		if (path[len] == '\0')
			break;
		path += len + 1;
	}
	return at;
}

/* As short as it can be without being another number. */
static int real_text(char *out, size_t size, double value)
{
	int n = 0;

	if (fabs(value) >= EXACT_MAX)
		return -EINVAL;
	for (int digits = 15; digits <= 17; digits++) {
		n = snprintf(out, size, "%.*g", digits, value);
		if (strtod(out, NULL) == value)
			break;
	}
	return n;
}

int aws_json_get(const struct aws_json *json, const char *path,
		 struct secret *out)
{
	const json_t *value = find(json, path);
	char number[32];
	int rc, n;

	secret_finish(out);
	if (value == NULL || json_is_null(value))
		return 0;
	if (json_is_string(value)) {
		rc = secret_set(out, json_string_value(value),
				json_string_length(value));
		return rc < 0 ? rc : 1;
	}
	if (json_is_integer(value))
		n = snprintf(number, sizeof(number), "%" JSON_INTEGER_FORMAT,
			     json_integer_value(value));
	else if (json_is_real(value))
		n = real_text(number, sizeof(number), json_real_value(value));
	else
		return -EINVAL;
	rc = n < 0 ? n : secret_set(out, number, (size_t)n);
	secret_wipe(number, sizeof(number));
	return rc < 0 ? rc : 1;
}

int aws_json_object(struct secret *out, const struct aws_json_pair *pairs,
		    size_t n_pairs)
{
	json_t *object;
	char *text = NULL;
	int rc = 0;

	secret_heap_init();
	secret_finish(out);
	object = json_object();
	if (object == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < n_pairs && rc == 0; i++) {
		json_t *value = json_string(pairs[i].value);

		if (value == NULL && pairs[i].value != NULL)
			rc = -EINVAL;
		else if (value != NULL &&
			 json_object_set_new(object, pairs[i].name, value) < 0)
			rc = -ENOMEM;
	}
	if (rc == 0) {
		text = json_dumps(object, JSON_COMPACT);
		rc = text != NULL ? secret_set(out, text, strlen(text))
				  : -ENOMEM;
	}
	json_decref(object);
	secret_heap_free(text);
	return rc;
}

int64_t aws_json_time(const struct aws_json *json, const char *path)
{
	const json_t *value = find(json, path);
	double seconds;

	if (json_is_string(value))
		return aws_time_parse(json_string_value(value));
	if (json_is_integer(value))
		return json_integer_value(value) > 0 ? json_integer_value(value)
						     : 0;
	seconds = json_real_value(value);
	return seconds > 0 && seconds < EXACT_MAX ? (int64_t)seconds : 0;
}

/* n digits at *p, which moves behind them; -1: there are not as many. */
static int digits(const char **p, int n)
{
	int value = 0;

	for (int i = 0; i < n; i++, (*p)++) {
		if (!isdigit((unsigned char)**p))
			return -1;
		value = value * 10 + (**p - '0');
	}
	return value;
}

static bool skip(const char **p, char c)
{
	if (**p != c)
		return false;
	(*p)++;
	return true;
}

/* Days from 1970-01-01 to a day of the Gregorian calendar. */
static int64_t days(int year, int month, int day)
{
	/* Years begin in March here, so that February's end is the year's. */
	int64_t y = month <= 2 ? year - 1 : year;
	int64_t m = month <= 2 ? month + 9 : month - 3;

	return 365 * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day -
	       1 - 719468;
}

static bool day_exists(int year, int month, int day)
{
	static const int lengths[] = {31, 29, 31, 30, 31, 30,
				      31, 31, 30, 31, 30, 31};
	bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);

	return year >= 1 && month >= 1 && month <= 12 && day >= 1 &&
	       day <= lengths[month - 1] && (month != 2 || day < 29 || leap);
}

/* "Z", "UTC", "+02:00", "-0330" up to the end. */
static bool parse_zone(const char *p, int *minutes)
{
	int sign, hour, minute;

	*minutes = 0;
	if (strcmp(p, "Z") == 0 || strcmp(p, "UTC") == 0)
		return true;
	sign = *p == '-' ? -1 : 1;
	if (!skip(&p, '+') && !skip(&p, '-'))
		return false;
	hour = digits(&p, 2);
	(void)skip(&p, ':');
	minute = digits(&p, 2);
	*minutes = sign * (hour * 60 + minute);
	return hour >= 0 && hour < 24 && minute >= 0 && minute < 60 &&
	       *p == '\0';
}

int64_t aws_time_parse(const char *text)
{
	const char *p = text;
	int year, month, day, hour, minute, second, zone;
	int64_t time;

	year = digits(&p, 4);
	if (year < 0 || !skip(&p, '-'))
		return 0;
	month = digits(&p, 2);
	if (month < 0 || !skip(&p, '-'))
		return 0;
	day = digits(&p, 2);
	if (!day_exists(year, month, day) || (!skip(&p, 'T') && !skip(&p, ' ')))
		return 0;
	hour = digits(&p, 2);
	if (hour < 0 || hour > 23 || !skip(&p, ':'))
		return 0;
	minute = digits(&p, 2);
	if (minute < 0 || minute > 59 || !skip(&p, ':'))
		return 0;
	second = digits(&p, 2);
	if (second < 0 || second > 60)
		return 0;
	if (skip(&p, '.'))
		p += strspn(p, "0123456789");
	if (!parse_zone(p, &zone))
		return 0;
	time = days(year, month, day) * 86400 +
	       ((int64_t)hour * 60 + minute - zone) * 60 + second;
	return time > 0 ? time : 0;
}
