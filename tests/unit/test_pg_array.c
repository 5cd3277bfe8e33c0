/* SPDX-License-Identifier: MIT */
/* Lists as the text of PostgreSQL arrays. */
#include "backends/pg_array.h"

#include <errno.h>
#include <string.h>

#include "common/buf.h"
#include "common/err.h"
#include "tests/unit/check.h"
#include "tests/unit/values.h"

enum { MAX_TEXT = 4096 };

static const struct pg_array_style plain = {.delimiter = ','};
static const struct pg_array_style box = {.delimiter = ';'};
static const struct pg_array_style json = {.delimiter = ',', .json = true};

static void check(const struct db_value *list,
		  const struct pg_array_style *style, const char *expected)
{
	struct err err = {0};
	struct buf out;

	buf_init(&out, MAX_TEXT);
	CHECK(pg_array_put(&out, list, style, &err) == 0);
	CHECK_TEXT(buf_cstr(&out), expected);
	buf_finish(&out);
}

static void test_items(void)
{
	const struct db_value list =
		LIST("", NUMBER("1"), NOTHING, NUMBER("-2.50e+7"), BOOL("true"),
		     BOOL("false"), TEXT("a b"), OBJECT("{\"a\":\"\\n\"}"));

	check(&list, &plain,
	      "{1,NULL,-2.50e+7,true,false,\"a b\","
	      "\"{\\\"a\\\":\\\"\\\\n\\\"}\"}");
}

/* What means something else without quotes, or ends them. */
static void test_texts_are_quoted(void)
{
	const struct db_value list =
		LIST("", TEXT(""), TEXT("NULL"), TEXT("null"), TEXT("{}"),
		     TEXT("a,b"), TEXT("a;b"), TEXT(" a\t\n\v"), TEXT("\""),
		     TEXT("\\"), TEXT("a\"b\\c\"\""), TEXT("'"),
		     TEXT("\x01\xc3\xa4"));

	check(&list, &plain,
	      "{\"\",\"NULL\",\"null\",\"{}\",\"a,b\",\"a;b\",\" a\t\n\v\","
	      "\"\\\"\",\"\\\\\",\"a\\\"b\\\\c\\\"\\\"\",\"'\","
	      "\"\x01\xc3\xa4\"}");
}

static void test_dimensions(void)
{
	const struct db_value empty = EMPTY_LIST;
	const struct db_value two =
		LIST("", LIST("", NUMBER("1"), NOTHING),
		     LIST("", TEXT("}"), NUMBER("4")), EMPTY_LIST);

	check(&empty, &plain, "{}");
	check(&two, &plain, "{{1,NULL},{\"}\",4},{}}");
}

static void test_delimiter_of_the_type(void)
{
	const struct db_value list =
		LIST("", TEXT("(1,2),(3,4)"), TEXT("(5,6),(7,8)"), NOTHING);

	check(&list, &box, "{\"(1,2),(3,4)\";\"(5,6),(7,8)\";NULL}");
}

/* Each item is a document of its own, whatever it is. */
static void test_json_items(void)
{
	const struct db_value list =
		LIST("", NUMBER("1"), NOTHING, BOOL("true"), TEXT("a\"\n"),
		     OBJECT("{\"a\":1}"), LIST("[1,\"x\"]", NUMBER("1")));

	check(&list, &json,
	      "{1,NULL,true,\"\\\"a\\\\\\\"\\\\n\\\"\",\"{\\\"a\\\":1}\","
	      "\"[1,\\\"x\\\"]\"}");
}

static void test_depth_is_bounded(void)
{
	struct db_value lists[1000];
	struct err err = {0};
	struct buf out;

	for (size_t i = 0; i < COUNT(lists); i++)
		lists[i] = (struct db_value){
			.kind = DB_ARRAY,
			.data = "[]",
			.len = 2,
			.items = i > 0 ? &lists[i - 1] : NULL,
			.n_items = i > 0,
		};
	check(&lists[5], &plain, "{{{{{{}}}}}}");
	for (size_t i = 6; i < COUNT(lists); i++) {
		buf_init(&out, MAX_TEXT);
		CHECK(pg_array_put(&out, &lists[i], &plain, &err) == -EINVAL);
		CHECK_TEXT(err.msg,
			   "an array of PostgreSQL has at most 6 dimensions");
		buf_finish(&out);
	}
	check(&lists[999], &json, "{\"[]\"}");
}

static void test_text_that_does_not_fit(void)
{
	const struct db_value list = LIST("", TEXT("12345"), TEXT("67890"));
	struct err err = {0};
	struct buf out;

	for (size_t max = 0; max < 17; max++) {
		buf_init(&out, max);
		CHECK(pg_array_put(&out, &list, &plain, &err) == 0);
		CHECK(out.failed);
		CHECK(pg_array_put(&out, &list, &json, &err) == 0);
		CHECK(out.failed && buf_take(&out) == NULL);
	}
}

int main(void)
{
	test_items();
	test_texts_are_quoted();
	test_dimensions();
	test_delimiter_of_the_type();
	test_json_items();
	test_depth_is_bounded();
	test_text_that_does_not_fit();
	return 0;
}
