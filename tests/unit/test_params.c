/* SPDX-License-Identifier: MIT */
/*
 * params.json as text: what is taken and what comes of it, what is refused and
 * how that reads, however the text is cut; and, for random texts, jansson's
 * opinion.
 *
 *     test_params [ROUNDS]
 */
#include "fs/params.h"

#include <errno.h>
#include <jansson.h>
#include <stdint.h>

#include "backends/value.h"
#include "common/buf.h"
#include "common/err.h"
#include "tests/unit/check.h"
#include "tests/unit/params_feed.h"

enum { DEFAULT_ROUNDS = 200000, ROOM = 64 * 1024 * 1024 };

static uint64_t seed = 88172645463325252u;

static uint64_t random_bits(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed;
}

/* What a driver would see, as text. */
static void show_values(struct buf *out, const struct db_value *values,
			size_t n)
{
	static const char *const kinds[] = {"null", "bool",  "number",
					    "text", "array", "object"};

	for (size_t i = 0; i < n; i++) {
		const struct db_value *v = &values[i];

		if (i > 0)
			buf_puts(out, " ");
		if (v->name != NULL)
			buf_printf(out, "%s=", v->name);
		buf_puts(out, kinds[v->kind]);
		CHECK((v->data == NULL) == (v->kind == DB_NULL));
		if (v->data == NULL)
			continue;
		CHECK(strlen(v->data) == v->len);
		buf_printf(out, "<%s>", v->data);
		if (v->kind == DB_ARRAY) {
			buf_puts(out, "(");
			show_values(out, v->items, v->n_items);
			buf_puts(out, ")");
		}
	}
}

static const char *show(const struct params *p)
{
	static struct buf out;
	const struct db_args *args = params_args(p);

	buf_finish(&out);
	buf_init(&out, ROOM);
	if (args != NULL)
		show_values(&out, args->values, args->n);
	return buf_cstr(&out);
}

struct sample {
	const char *text;
	const char *expected;
};

static const struct sample sound[] = {
	{"[]", ""},
	{"{}", ""},
	{" [ ]\r\n\t ", ""},
	{"[null]", "null"},
	{"[true,false]", "bool<true> bool<false>"},
	{"[0,-0,12,-3.50,1e5,1E+05,0.1e-7]",
	 "number<0> number<-0> number<12> number<-3.50> number<1e5> "
	 "number<1E+05> number<0.1e-7>"},
	{"[12345678901234567890123456789012345678]",
	 "number<12345678901234567890123456789012345678>"},
	{"[\"\"]", "text<>"},
	{"[\"'; drop table x; --\"]", "text<'; drop table x; -->"},
	{"[\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"]", "text<\"\\/\b\f\n\r\t>"},
	{"[\"\\u0041\\u00e9\\u20AC\\ud83d\\ude00\\uffff\\u0001\"]",
	 "text<A\u00e9\u20ac\U0001f600\uffff\x01>"},
	{"[\"a\u00e9\u20ac\U0001f600\U0010ffff\x7f\"]",
	 "text<a\u00e9\u20ac\U0001f600\U0010ffff\x7f>"},
	{" [1 , [ 2,[],[null , \"a\"]] ] ",
	 "number<1> array<[ 2,[],[null , \"a\"]]>(number<2> array<[]>() "
	 "array<[null , \"a\"]>(null text<a>))"},
	{"[[1],[2,3]]",
	 "array<[1]>(number<1>) array<[2,3]>(number<2> number<3>)"},
	{"[{}, [{\"a\": [1, {\"}]\\\"\": \"]\\\\\"}]}, 2]]",
	 "object<{}> array<[{\"a\": [1, {\"}]\\\"\": \"]\\\\\"}]}, 2]>"
	 "(object<{\"a\": [1, {\"}]\\\"\": \"]\\\\\"}]}> number<2>)"},
	{"[{\"a\":1,\"a\":2}]", "object<{\"a\":1,\"a\":2}>"},
	{"{\"a\":1,\":b\":[true],\"@c\":null,\"$1\":{\"x\":[]},\"::\":\"\"}",
	 "a=number<1> b=array<[true]>(bool<true>) c=null "
	 "1=object<{\"x\":[]}> :=text<>"},
	{" { \"\\u0061\\n\" : 1 , \"b\" : \"\\u0062\" } ",
	 "a\n=number<1> b=text<b>"},
};

#define VALUE_EXPECTED                                           \
	"a value is expected: text in double quotes, a number, " \
	"true, false or null"

static const struct sample unsound[] = {
	{"1", "line 1, column 1: parameters are an array, as in [1, \"two\"], "
	      "or an object with their names"},
	{"\n \"x\"", "line 2, column 2: parameters are an array, as in "
		     "[1, \"two\"], or an object with their names"},
	{"[hello]", "line 1, column 2: " VALUE_EXPECTED},
	{"['x']", "line 1, column 2: " VALUE_EXPECTED},
	{"[\"\u00e9\", tru]", "line 1, column 10: " VALUE_EXPECTED},
	{"[nulL]", "line 1, column 5: " VALUE_EXPECTED},
	{"[,]", "line 1, column 2: " VALUE_EXPECTED},
	{"[1,]", "line 1, column 4: " VALUE_EXPECTED},
	{"[1,\n2 3]", "line 2, column 3: a comma or ] is expected here"},
	{"[1}", "line 1, column 3: a comma or ] is expected here"},
	{"[truefalse]", "line 1, column 6: a comma or ] is expected here"},
	{"[\"a\"\"b\"]", "line 1, column 5: a comma or ] is expected here"},
	{"[\"a\"\xff]", "line 1, column 5: a comma or ] is expected here"},
	{"[01]", "line 1, column 3: a number does not begin with a zero"},
	{"[-]", "line 1, column 3: a digit is expected here"},
	{"[-a]", "line 1, column 3: a digit is expected here"},
	{"[1.]", "line 1, column 4: a digit is expected here"},
	{"[1.e5]", "line 1, column 4: a digit is expected here"},
	{"[1e]", "line 1, column 4: a digit is expected here"},
	{"[1e+]", "line 1, column 5: a digit is expected here"},
	{"[.5]", "line 1, column 2: " VALUE_EXPECTED},
	{"[+1]", "line 1, column 2: " VALUE_EXPECTED},
	{"[0x1]", "line 1, column 3: a comma or ] is expected here"},
	{"[NaN]", "line 1, column 2: " VALUE_EXPECTED},
	{"[1] 2", "line 1, column 5: the parameters are complete before this"},
	{"[1]]", "line 1, column 4: the parameters are complete before this"},
	{"[\"a\nb\"]", "line 1, column 4: a control character inside a string: "
		       "write it as \\n, \\t or \\u00.."},
	{"[\"\t\"]", "line 1, column 3: a control character inside a string: "
		     "write it as \\n, \\t or \\u00.."},
	{"[\"\\x\"]", "line 1, column 4: JSON has no such escape; a backslash "
		      "is written as two"},
	{"[\"\\u12g4\"]", "line 1, column 7: \\u takes four hex digits"},
	{"[\"\\u0000\"]",
	 "line 1, column 8: \\u0000: no database takes a NUL in a text"},
	{"[{\"a\":\"\\u0000\"}]",
	 "line 1, column 13: \\u0000: no database takes a NUL in a text"},
	{"[\"\\ud800\"]", "line 1, column 9: half of a surrogate pair"},
	{"[\"\\ud800\\n\"]", "line 1, column 10: half of a surrogate pair"},
	{"[\"\\ud800\\u0041\"]", "line 1, column 14: half of a surrogate pair"},
	{"[\"\\ud800\\ud800\"]", "line 1, column 14: half of a surrogate pair"},
	{"[\"\\udc00\"]", "line 1, column 8: half of a surrogate pair"},
	{"[\"\xff\"]", "line 1, column 3: this byte is not UTF-8"},
	{"[\"\xc0\x80\"]", "line 1, column 3: this byte is not UTF-8"},
	{"[\"\xed\xa0\x80\"]", "line 1, column 4: this byte is not UTF-8"},
	{"[\"\xf4\x90\x80\x80\"]", "line 1, column 4: this byte is not UTF-8"},
	{"[\"\xe2\x82\"]", "line 1, column 4: this byte is not UTF-8"},
	{"[\"\x80\"]", "line 1, column 3: this byte is not UTF-8"},
	{"{1:2}", "line 1, column 2: a name in double quotes is expected here"},
	{"{a:2}", "line 1, column 2: a name in double quotes is expected here"},
	{"{\"a\" 2}",
	 "line 1, column 6: a colon is expected here, behind the name"},
	{"{\"a\":}", "line 1, column 6: " VALUE_EXPECTED},
	{"{\"a\":1]", "line 1, column 7: a comma or } is expected here"},
	{"{\"a\":1,}",
	 "line 1, column 8: a name in double quotes is expected here"},
	{"{\"a\":1, \"b\":2,\n\"a\":3}",
	 "line 2, column 1: the name a stands here again"},
	{"{\"a\":1,\":a\":2}",
	 "line 1, column 8: the name a stands here again"},
	{"{\"\":1}", "line 1, column 2: an empty name"},
	{"{\"a\":1,\"$\":1}", "line 1, column 8: an empty name"},
	{"\xef\xbb\xbf[1]", "line 1, column 1: parameters are an array, as in "
			    "[1, \"two\"], or an object with their names"},
};

static const struct sample unfinished[] = {
	{"[", "line 1, column 2: the text ends before its last ]"},
	{"{\"a\": [1, 2]\n",
	 "line 2, column 1: the text ends before its last }"},
	{"[1, \"a", "line 1, column 7: the text ends inside a string"},
	{"[\"\\", "line 1, column 4: the text ends inside a string"},
	{"[12", "line 1, column 4: the text ends before its last ]"},
	{"[tr", "line 1, column 4: the text ends before its last ]"},
};

static void check_sound(const struct sample *s, size_t first, size_t each)
{
	struct params *p = params_create();
	struct buf text;
	struct err err = {0};
	int rc = feed(p, s->text, strlen(s->text), first, each, &err);

	CHECK_TEXT(err.msg, "");
	CHECK(rc == 1);
	CHECK_TEXT(show(p), s->expected);
	CHECK(params_args(p) == NULL ||
	      params_args(p)->named == (s->text[strspn(s->text, " ")] == '{'));
	CHECK(params_end(p, &err) == 0);
	buf_init(&text, 1024);
	params_text(p, &text);
	CHECK_TEXT(buf_cstr(&text), s->text);
	buf_finish(&text);
	CHECK(params_feed(p, "\n", 1, &err) == 1);
	CHECK(params_feed(p, "]", 1, &err) == -EINVAL);
	params_unref(p);
}

static void check_unsound(const struct sample *s, size_t first, size_t each)
{
	struct params *p = params_create();
	char expected[300];
	struct err err = {0};

	(void)snprintf(expected, sizeof(expected), "params.json, %s",
		       s->expected);
	CHECK(feed(p, s->text, strlen(s->text), first, each, &err) == -EINVAL);
	CHECK_TEXT(err.msg, expected);
	CHECK(err.code == EINVAL);
	err = (struct err){0};
	CHECK(params_feed(p, "[]", 2, &err) == -EINVAL);
	CHECK_TEXT(err.msg, expected);
	CHECK(params_end(p, &err) == 0); /* it was told */
	params_unref(p);
}

static void check_unfinished(const struct sample *s, size_t first, size_t each)
{
	struct params *p = params_create();
	char expected[300];
	struct err err = {0};

	(void)snprintf(expected, sizeof(expected), "params.json, %s",
		       s->expected);
	CHECK(feed(p, s->text, strlen(s->text), first, each, &err) == 0);
	CHECK(params_end(p, &err) == -EINVAL);
	CHECK_TEXT(err.msg, expected);
	CHECK(params_args(p) == NULL);
	params_unref(p);
}

static void at_every_cut(const struct sample *samples, size_t n,
			 void (*check)(const struct sample *s, size_t first,
				       size_t each))
{
	for (size_t i = 0; i < n; i++) {
		size_t len = strlen(samples[i].text);

		check(&samples[i], len, len);
		for (size_t first = 1; first < len; first++)
			check(&samples[i], first, len);
		check(&samples[i], 1, 1);
	}
}

/* One NUL byte among others cannot stand in the tables. */
static void test_nul_bytes_are_refused(void)
{
	static const char *const texts[] = {"[\0]", "[\"\0\"]", "\0[1]"};
	static const size_t lens[] = {3, 5, 4};

	for (size_t i = 0; i < COUNT(texts); i++) {
		struct params *p = params_create();
		struct err err;

		CHECK(params_feed(p, texts[i], lens[i], &err) == -EINVAL);
		params_unref(p);
	}
}

static void test_blank_text_is_none(void)
{
	struct params *p = params_create();
	struct err err;

	CHECK(params_end(p, &err) == 0);
	CHECK(params_feed(p, " \n", 2, &err) == 0);
	CHECK(params_end(p, &err) == 0);
	CHECK(params_args(p) == NULL);
	CHECK(params_args(NULL) == NULL);
	params_unref(p);
}

/* Mistakes are still mistakes, but where they are is not known any more. */
static void test_forgotten_text_takes_blanks_only(void)
{
	struct params *p = params_create();
	struct err err;

	CHECK(params_feed(p, "[\"a\"]", 5, &err) == 1);
	params_forget_text(p);
	CHECK(params_feed(p, " ", 1, &err) == 1);
	CHECK_TEXT(show(p), "text<a>");
	CHECK(params_feed(p, "\nx", 2, &err) == -EINVAL);
	CHECK_TEXT(err.msg,
		   "params.json: the parameters are complete before this");
	params_unref(p);
}

static void check_same(const struct db_value *v, const json_t *expected);

static void check_same_list(const struct db_value *values, size_t n,
			    const json_t *expected)
{
	CHECK(n == json_array_size(expected));
	for (size_t i = 0; i < n; i++)
		check_same(&values[i], json_array_get(expected, i));
}

static void check_same(const struct db_value *v, const json_t *expected)
{
	json_t *got;

	if (v->kind == DB_TEXT) {
		CHECK_TEXT(v->data, json_string_value(expected));
		return;
	}
	if (v->kind == DB_ARRAY)
		check_same_list(v->items, v->n_items, expected);
	got = json_loads(v->kind == DB_NULL ? "null" : v->data, JSON_DECODE_ANY,
			 NULL);
	CHECK(got != NULL);
	CHECK(json_equal(got, expected));
	json_decref(got);
}

static void check_same_args(const struct db_args *args, const json_t *expected)
{
	if (args == NULL) {
		CHECK(json_array_size(expected) == 0 &&
		      json_object_size(expected) == 0);
	} else if (args->named) {
		CHECK(args->n == json_object_size(expected));
		for (size_t i = 0; i < args->n; i++)
			check_same(&args->values[i],
				   json_object_get(expected,
						   args->values[i].name));
	} else {
		check_same_list(args->values, args->n, expected);
	}
}

/* A text that is JSON, nearly or wholly. */
static size_t random_text(char *out, size_t max)
{
	static const char *const parts[] = {
		"[",
		"[",
		"]",
		"]",
		"{",
		"}",
		",",
		",",
		":",
		"\"a\":",
		"\"b\":",
		"null",
		"true",
		"false",
		"0",
		"1",
		"-1.5",
		"2e3",
		"\"\"",
		"\"x\"",
		"\"\\n\\u00e9\"",
		"\"\\ud83d\\ude00\"",
		" ",
		"\n",
		"[1,2]",
		"{}",
		"[[]]",
		"\\",
		"\"",
		"\xc3\xa9",
		"e",
		".",
	};
	size_t n = 0;

	for (uint64_t left = 1 + random_bits() % 12; left > 0; left--) {
		const char *part = parts[random_bits() % COUNT(parts)];

		if (n + strlen(part) >= max)
			break;
		memcpy(out + n, part, strlen(part));
		n += strlen(part);
	}
	out[n] = '\0';
	return n;
}

/* Only an object's names are ours: a sign in front, none twice, none empty. */
static void test_as_jansson(long rounds)
{
	long n_sound = 0;

	for (long i = 0; i < rounds; i++) {
		struct params *p = params_create();
		struct err err = {0};
		char text[256];
		size_t len = random_text(text, sizeof(text));
		json_error_t why;
		json_t *expected =
			json_loads(text, JSON_REJECT_DUPLICATES, &why);
		size_t first = 1 + random_bits() % (len + 1);
		int rc = feed(p, text, len, first, 1 + random_bits() % 5, &err);

		if (rc == 0 && params_end(p, &err) == 0)
			rc = -EINVAL; /* blank */
		if ((rc == 1) != (expected != NULL) &&
		    strstr(why.text, "duplicate") == NULL) {
			(void)fprintf(stderr, "%s\n%s, %s\n", text, err.msg,
				      why.text);
			exit(1);
		}
		if (rc == 1 && expected != NULL) {
			check_same_args(params_args(p), expected);
			n_sound++;
		}
		json_decref(expected);
		params_unref(p);
	}
	CHECK(rounds < 10000 || n_sound > rounds / 200);
}

int main(int argc, char **argv)
{
	long rounds = argc > 1 ? strtol(argv[1], NULL, 10) : DEFAULT_ROUNDS;

	at_every_cut(sound, COUNT(sound), check_sound);
	at_every_cut(unsound, COUNT(unsound), check_unsound);
	at_every_cut(unfinished, COUNT(unfinished), check_unfinished);
	test_nul_bytes_are_refused();
	test_blank_text_is_none();
	test_forgotten_text_takes_blanks_only();
	test_as_jansson(rounds);
	return 0;
}
