/* SPDX-License-Identifier: MIT */
/* What is taken out of the XML of AWS's query services. */
#include "auth/aws/xml.h"

#include <errno.h>

#include "tests/unit/check.h"

enum { FIELDS = 3 };

/* Null: not there. */
static void check_names(const char *text, const char *const names[FIELDS],
			const char *const expected[FIELDS])
{
	struct secret values[FIELDS] = {{0}};
	struct aws_xml_field fields[FIELDS];
	struct err err = {0};

	for (size_t i = 0; i < FIELDS; i++) {
		CHECK(secret_set(&values[i], "old", 3) == 0);
		fields[i] = (struct aws_xml_field){names[i], &values[i]};
	}
	CHECK(aws_xml_get(text, strlen(text), fields, FIELDS, &err) == 0);
	for (size_t i = 0; i < FIELDS; i++) {
		CHECK_TEXT(values[i].data, expected[i]);
		secret_finish(&values[i]);
	}
}

static void check_refused(const char *text, size_t len)
{
	struct secret value = {0};
	const struct aws_xml_field field = {"Code", &value};
	struct err err = {0};

	CHECK(aws_xml_get(text, len, &field, 1, &err) == -EINVAL);
	CHECK(err.code == EINVAL && err.msg[0] != '\0');
	CHECK(strstr(err.msg, "hunter2") == NULL);
	CHECK(value.data == NULL);
}

static void test_answers_of_sts(void)
{
	static const char text[] =
		"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
		"<AssumeRoleResponse xmlns=\"https://sts.amazonaws.com/doc/"
		"2011-06-15/\">\n <AssumeRoleResult>\n  <Credentials>\n"
		"   <AccessKeyId>ASIAEXAMPLE</AccessKeyId>\n"
		"   <SecretAccessKey>a&amp;b&lt;c&#43;d/e</SecretAccessKey>\n"
		"   <SessionToken/>\n"
		"  </Credentials>\n </AssumeRoleResult>\n"
		"</AssumeRoleResponse>\n";
	static const char *const names[] = {"AccessKeyId", "SecretAccessKey",
					    "SessionToken"};
	static const char *const expected[] = {"ASIAEXAMPLE", "a&b<c+d/e",
					       NULL};

	check_names(text, names, expected);
}

static void test_local_names_and_the_first_count(void)
{
	static const char *const names[] = {"Code", "Message", "Absent"};
	static const char *const expected[] = {"first", "caf\xc3\xa9", NULL};

	check_names("<?xml version='1.0' encoding='ISO-8859-1'?>"
		    "<e:Error xmlns:e='x'><e:Code>first</e:Code>"
		    "<e:Message>caf\xe9</e:Message><e:Code>second</e:Code>"
		    "</e:Error>",
		    names, expected);
}

static void test_text_of_inner_elements_is_not_theirs(void)
{
	static const char *const names[] = {"Outer", "Inner", "Last"};
	static const char *const expected[] = {"ab", "in", "<&>"};

	check_names("<R><Outer>a<Inner>in</Inner>b</Outer>"
		    "<Last><![CDATA[<&>]]></Last></R>",
		    names, expected);
}

static void test_what_is_not_xml_is_refused(void)
{
	static const char bomb[] =
		"<!DOCTYPE r [<!ENTITY a \"hunter2\">]><r><Code>&a;</Code></r>";
	static const char file[] =
		"<!DOCTYPE r [<!ENTITY a SYSTEM \"file:///etc/passwd\">]>"
		"<r><Code>&a;</Code></r>";
	static const char html[] =
		"<!DOCTYPE html><html><Code>hunter2</Code></html>";
	char deep[4 * 100 + 1];

	check_refused("", 0);
	check_refused("hunter2", 7);
	check_refused("<r><Code>hunter2</Code>", 23);
	check_refused("<r><Code>hunter2\0</Code></r>", 28);
	check_refused("<r><Code>\xff</Code></r>", 21);
	check_refused(bomb, sizeof(bomb) - 1);
	check_refused(file, sizeof(file) - 1);
	check_refused(html, sizeof(html) - 1);
	for (size_t i = 0; i < 100; i++)
		memcpy(deep + 4 * i, "<aa>", 5);
	check_refused(deep, sizeof(deep) - 1);
}

/* Long values come from the parser in pieces. */
static void test_long_values(void)
{
	enum { LEN = 70000 };
	static char text[LEN + 64];
	struct secret value = {0};
	const struct aws_xml_field field = {"V", &value};
	size_t len = 6;

	memcpy(text, "<r><V>", 6);
	while (len < LEN) {
		memcpy(text + len, "x&amp;\n", 7);
		len += 7;
	}
	memcpy(text + len, "</V></r>", 8);
	CHECK(aws_xml_get(text, len + 8, &field, 1, NULL) == 0);
	CHECK(value.len == (len - 6) / 7 * 3);
	for (size_t i = 0; i < value.len; i += 3)
		CHECK(memcmp(value.data + i, "x&\n", 3) == 0);
	secret_finish(&value);
}

int main(void)
{
	test_answers_of_sts();
	test_local_names_and_the_first_count();
	test_text_of_inner_elements_is_not_theirs();
	test_what_is_not_xml_is_refused();
	test_long_values();
	return 0;
}
