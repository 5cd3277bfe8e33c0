/* SPDX-License-Identifier: MIT */
/* Members of JSON documents as text, and times as AWS writes them. */
#include "auth/aws/json.h"

#include <errno.h>

#include "tests/unit/check.h"

static struct aws_json *parsed(const char *text)
{
	struct err err = {0};
	struct aws_json *json;

	CHECK(aws_json_parse(&json, text, strlen(text), "it", &err) == 0);
	return json;
}

static void test_members_as_text(void)
{
	static const struct {
		const char *path;
		int rc;
		const char *text;
	} cases[] = {
		{"Parameter.Value", 1, "hunter2"},
		{"Parameter.Name", 1, "caf\xc3\xa9 \xf0\x9f\x98\x80"},
		{"Parameter.Empty", 1, NULL},
		{"Parameter.Null", 0, NULL},
		{"Parameter.Absent", 0, NULL},
		{"Absent.Value", 0, NULL},
		{"Parameter.Value.More", 0, NULL},
		{"Parameter", -EINVAL, NULL},
		{"True", -EINVAL, NULL},
		{"port", 1, "5432"},
		{"negative", 1, "-7"},
		{"large", 1, "9223372036854775807"},
		{"real", 1, "0.1"},
		{"whole", 1, "1577836800.25"},
		{"list.0.a", 1, "first"},
		{"list.1.a", 1, "second"},
		{"list.2.a", 0, NULL},
		{"list.-1.a", 0, NULL},
		{"list.x", 0, NULL},
		{"list.", 0, NULL},
		{"list.99999999999999999999", 0, NULL},
		{"twice", 1, "two"},
		{"", 0, NULL},
	};
	static const char text[] =
		"{\"Parameter\":{\"Value\":\"hunter2\",\"Name\":\"caf\\u00e9 "
		"\\ud83d\\ude00\",\"Empty\":\"\",\"Null\":null},\"True\":true,"
		"\"port\":5432,\"negative\":-7,\"large\":9223372036854775807,"
		"\"real\":0.1,\"whole\":1577836800.25,\"twice\":\"one\","
		"\"twice\":\"two\",\"list\":[{\"a\":\"first\"},"
		"{\"a\":\"second\"}]}";
	auto_aws_json struct aws_json *json = parsed(text);

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct secret value = {0};

		CHECK(secret_set(&value, "old", 3) == 0);
		CHECK(aws_json_get(json, cases[i].path, &value) == cases[i].rc);
		CHECK_TEXT(value.data, cases[i].text);
		secret_finish(&value);
	}
}

/* One long number does not take the rest away; its digits are not made up. */
static void test_numbers_that_are_too_long(void)
{
	auto_aws_json struct aws_json *json =
		parsed("{\"id\":123456789012345678901234567890,\"port\":5432,"
		       "\"password\":\"hunter2\"}");
	struct secret value = {0};

	CHECK(aws_json_get(json, "id", &value) == -EINVAL);
	CHECK(value.data == NULL);
	CHECK(aws_json_get(json, "port", &value) == 1);
	CHECK_TEXT(value.data, "5432");
	CHECK(aws_json_get(json, "password", &value) == 1);
	CHECK_TEXT(value.data, "hunter2");
	secret_finish(&value);
}

static void test_what_is_no_object(void)
{
	static const struct {
		const char *text;
		const char *msg;
	} cases[] = {
		{"", "the secret shop is not a JSON object (line 1, column 0)"},
		{"hunter2",
		 "the secret shop is not a JSON object (line 1, column 6)"},
		{"{\n\"a\":hunter2}",
		 "the secret shop is not a JSON object (line 2, column 10)"},
		{"{\"a\":\"hunter2\\u0000\"}",
		 "the secret shop is not a JSON object (line 1, column 20)"},
		{"[\"hunter2\"]", "the secret shop is not a JSON object"},
		{"{\"a\":1e999}",
		 "the secret shop is not a JSON object (line 1, column 10)"},
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct aws_json *json = (struct aws_json *)&cases;
		struct err err = {0};

		CHECK(aws_json_parse(&json, cases[i].text,
				     strlen(cases[i].text), "the secret shop",
				     &err) == -EINVAL);
		CHECK(json == NULL && err.code == EINVAL);
		CHECK_TEXT(err.msg, cases[i].msg);
	}
	aws_json_free(NULL);
}

static void test_objects_of_strings(void)
{
	static const struct aws_json_pair pairs[] = {
		{"grantType", "refresh_token"},
		{"none", NULL},
		{"refreshToken", "a\"b\\c\n\xc3\xa9"},
	};
	static const struct aws_json_pair wrong = {"a", "\xff"};
	struct secret text = {0};

	CHECK(aws_json_object(&text, pairs, COUNT(pairs)) == 0);
	CHECK_TEXT(text.data, "{\"grantType\":\"refresh_token\","
			      "\"refreshToken\":\"a\\\"b\\\\c\\n\xc3\xa9\"}");
	CHECK(aws_json_object(&text, &wrong, 1) == -EINVAL);
	CHECK(text.data == NULL);
}

static void test_times_of_answers(void)
{
	auto_aws_json struct aws_json *json =
		parsed("{\"seconds\":1577836800,\"fraction\":1577836800.999,"
		       "\"iso\":\"2020-01-01T00:00:00Z\",\"null\":null,"
		       "\"word\":\"soon\",\"negative\":-1,\"huge\":1e300,"
		       "\"list\":[]}");

	CHECK(aws_json_time(json, "seconds") == 1577836800);
	CHECK(aws_json_time(json, "fraction") == 1577836800);
	CHECK(aws_json_time(json, "iso") == 1577836800);
	CHECK(aws_json_time(json, "null") == 0);
	CHECK(aws_json_time(json, "absent") == 0);
	CHECK(aws_json_time(json, "word") == 0);
	CHECK(aws_json_time(json, "negative") == 0);
	CHECK(aws_json_time(json, "huge") == 0);
	CHECK(aws_json_time(json, "list") == 0);
}

static void test_iso_times(void)
{
	static const struct {
		const char *text;
		int64_t time;
	} cases[] = {
		{"2015-08-30T12:36:00Z", 1440938160},
		{"2015-08-30T12:36:00.000Z", 1440938160},
		{"2015-08-30T12:36:00.123456789Z", 1440938160},
		{"2015-08-30T12:36:00+00:00", 1440938160},
		{"2015-08-30T14:36:00+02:00", 1440938160},
		{"2015-08-30T07:06:00-0530", 1440938160},
		{"2015-08-30 12:36:00Z", 1440938160},
		/* Older versions of the AWS CLI. */
		{"2015-08-30T12:36:00UTC", 1440938160},
		{"2016-02-29T23:59:60Z", 1456790400},
		{"2000-02-29T00:00:00Z", 951782400},
		{"1970-01-01T00:00:01Z", 1},
		{"2038-01-19T03:14:08Z", 2147483648},
		{"9999-12-31T23:59:59Z", 253402300799},
		/* Go's way to say never. */
		{"0001-01-01T00:00:00Z", 0},
		{"1970-01-01T00:00:00Z", 0},
		{"2015-08-30T12:36:00", 0},
		{"2015-08-30T12:36Z", 0},
		{"2015-08-30", 0},
		{"2015-02-29T00:00:00Z", 0},
		{"1900-02-29T00:00:00Z", 0},
		{"2015-13-01T00:00:00Z", 0},
		{"2015-00-01T00:00:00Z", 0},
		{"2015-08-32T00:00:00Z", 0},
		{"2015-08-30T24:00:00Z", 0},
		{"2015-08-30T12:60:00Z", 0},
		{"2015-08-30T12:36:61Z", 0},
		{"2015-08-30T12:36:00+24:00", 0},
		{"2015-08-30T12:36:00+2", 0},
		{"2015-08-30T12:36:00Zz", 0},
		{"-015-08-30T12:36:00Z", 0},
		{"99999-08-30T12:36:00Z", 0},
		{"1440938160", 0},
		{"", 0},
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		if (aws_time_parse(cases[i].text) != cases[i].time)
			(void)fprintf(stderr, "%s: %lld\n", cases[i].text,
				      (long long)aws_time_parse(cases[i].text));
		CHECK(aws_time_parse(cases[i].text) == cases[i].time);
	}
}

int main(void)
{
	test_members_as_text();
	test_numbers_that_are_too_long();
	test_what_is_no_object();
	test_objects_of_strings();
	test_times_of_answers();
	test_iso_times();
	return 0;
}
