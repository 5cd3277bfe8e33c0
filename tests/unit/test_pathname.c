/* SPDX-License-Identifier: MIT */
/* conn_id and names in the tree. */
#include "fs/pathname.h"

#include <errno.h>
#include <stdint.h>

#include "common/err.h"
#include "tests/unit/check.h"

static const struct {
	const char *component;
	const char *name;
} pairs[] = {
	{"shop", "shop"},
	{"a b", "a b"},
	{"caf\xc3\xa9", "caf\xc3\xa9"},
	{"query", "query"},
	{"query.sql", "%71uery.sql"},
	{"query.sql~", "%71uery.sql~"},
	{"params.json", "%70arams.json"},
	{"result.csv", "%72esult.csv"},
	{"result.", "%72esult."},
	{"result", "result"},
	{"results", "%72esults"},
	{"results2", "results2"},
	{"status.json", "%73tatus.json"},
	{"error", "%65rror"},
	{"cancel", "%63ancel"},
	{"sql", "%73ql"},
	{"connection.json", "%63onnection.json"},
	{"client.json", "%63lient.json"},
	{"creds", "%63reds"},
	{"sessions", "%73essions"},
	{"queries", "%71ueries"},
	{"schema", "%73chema"},
	{"README", "%52EADME"},
	{"readme", "readme"},
	{".connfs", "%2Econnfs"},
	{".", "%2E"},
	{"..", "%2E."},
	{"...", "%2E.."},
	{"100%", "100%25"},
	{"%71uery.sql", "%2571uery.sql"},
	{"a\nb\x7f", "a%0Ab%7F"},
	{"\x1f", "%1F"},
};

static void test_encodes_what_collides(void)
{
	char out[PATHNAME_MAX + 1];

	for (size_t i = 0; i < COUNT(pairs); i++) {
		const char *component = pairs[i].component;

		CHECK(pathname_encode(out, component, strlen(component)) == 0);
		CHECK_TEXT(out, pairs[i].name);
		CHECK(pathname_decode(out, pairs[i].name) == 0);
		CHECK_TEXT(out, component);
	}
}

/* A second name for a connection would be a second inode for one thing. */
static void test_decodes_only_what_encode_makes(void)
{
	static const char *const names[] = {
		"",           "%",      "%4",     "%41",   "%2e",
		"%zz",        "a%0ab",  "%00",    "a%2Fb", "query.sql",
		".hidden",    "sql",    "100%",   "a/b",   "%25%41",
		"result.csv", "%73hop", "README", "%7f",
	};
	char out[PATHNAME_MAX + 1];

	for (size_t i = 0; i < COUNT(names); i++)
		CHECK(pathname_decode(out, names[i]) == -ENOENT);
}

static uint64_t seed = 88172645463325252u;

static size_t random_below(size_t n)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (size_t)(seed >> 11) % n;
}

/* Bytes of all kinds and pieces of reserved names: there and back again. */
static void test_random_round_trip(void)
{
	static const char *const parts[] = {
		".",    "query.sql", "result.", "csv",  "%", "%41", "sql",
		"\x01", "a",         "README",  "\xff", "~", " ",   "error",
	};
	char in[64], name[PATHNAME_MAX + 1], out[PATHNAME_MAX + 1];

	for (int round = 0; round < 100000; round++) {
		size_t n = 1 + random_below(4), len = 0;

		for (size_t i = 0; i < n; i++) {
			const char *part = parts[random_below(COUNT(parts))];

			memcpy(in + len, part, strlen(part));
			len += strlen(part);
		}
		in[len] = '\0';
		CHECK(pathname_encode(name, in, len) == 0);
		CHECK(name[0] != '.');
		CHECK(strcmp(name, "sql") != 0 && strcmp(name, "error") != 0);
		CHECK(pathname_decode(out, name) == 0);
		CHECK_TEXT(out, in);
	}
}

static void test_length(void)
{
	char in[PATHNAME_MAX + 2], out[PATHNAME_MAX + 1];

	memset(in, 'a', sizeof(in));
	CHECK(pathname_encode(out, in, PATHNAME_MAX) == 0);
	CHECK(strlen(out) == PATHNAME_MAX);
	CHECK(pathname_encode(out, in, PATHNAME_MAX + 1) == -ENAMETOOLONG);
	in[PATHNAME_MAX - 1] = '%';
	CHECK(pathname_encode(out, in, PATHNAME_MAX) == -ENAMETOOLONG);
	in[PATHNAME_MAX + 1] = '\0';
	CHECK(pathname_decode(out, in) == -ENOENT);
}

static void test_components(void)
{
	const char *rest = "redshift/dev/x", *component;
	size_t len;

	CHECK(pathname_next(&rest, &component, &len));
	CHECK(len == 8 && memcmp(component, "redshift", len) == 0);
	CHECK(pathname_next(&rest, &component, &len));
	CHECK(len == 3 && memcmp(component, "dev", len) == 0);
	CHECK(pathname_next(&rest, &component, &len));
	CHECK(len == 1 && component[0] == 'x');
	CHECK(!pathname_next(&rest, &component, &len));
}

static const struct {
	const char *conn_id;
	const char *error; /* null: good */
} ids[] = {
	{"shop", NULL},
	{"redshift/dev", NULL},
	{"../..", NULL},
	{"query.sql/sql", NULL},
	{"", "must not be empty"},
	{"/", "must not end with a slash"},
	{"a/", "must not end with a slash"},
	{"/a", "has nothing before or between slashes"},
	{"a//b", "has nothing before or between slashes"},
};

static void test_check(void)
{
	char text[PATHNAME_ID_MAX + 2];
	struct err err;

	for (size_t i = 0; i < COUNT(ids); i++) {
		int rc;

		err = (struct err){0};
		rc = pathname_check(ids[i].conn_id, &err);
		CHECK(rc == (ids[i].error != NULL ? -EINVAL : 0));
		CHECK_TEXT(err.msg, ids[i].error != NULL ? ids[i].error : "");
	}
	memset(text, 'a', sizeof(text));
	text[PATHNAME_MAX + 1] = '\0';
	CHECK(pathname_check(text, &err) == -EINVAL);
	CHECK_TEXT(err.msg, "has a part that is over 255 bytes long");
	text[PATHNAME_MAX + 1] = 'a';
	text[PATHNAME_ID_MAX + 1] = '\0';
	CHECK(pathname_check(text, &err) == -EINVAL);
	CHECK_TEXT(err.msg, "is over 1024 bytes long");
}

int main(void)
{
	test_encodes_what_collides();
	test_decodes_only_what_encode_makes();
	test_random_round_trip();
	test_length();
	test_components();
	test_check();
	return 0;
}
