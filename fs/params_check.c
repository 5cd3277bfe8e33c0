/* SPDX-License-Identifier: MIT */
#include "fs/params_check.h"

#include <errno.h>
#include <string.h>

#include "common/err.h"

/* What may come next, or what the next byte belongs to. */
enum state {
	VALUE,
	VALUE_OR_END,
	NAME,
	NAME_OR_END,
	COLON,
	COMMA_OR_END,
	STRING,
	STRING_TAIL, /* a character of several bytes */
	ESCAPE,
	ESCAPE_HEX,
	PAIR_BACKSLASH, /* the other half of a surrogate pair */
	PAIR_U,
	WORD,
	MINUS,
	ZERO,
	INTEGER,
	POINT,
	FRACTION,
	EXPONENT,
	EXPONENT_SIGN,
	EXPONENT_DIGITS,
	COMPLETE,
};

static bool is_blank(unsigned char byte)
{
	return byte == ' ' || byte == '\n' || byte == '\t' || byte == '\r';
}

static bool is_digit(unsigned char byte)
{
	return byte >= '0' && byte <= '9';
}

/* A member's value inside of an object that is one value itself. */
static bool in_document(const struct params_check *c)
{
	return c->document > 0;
}

static int count_value(struct params_check *c, struct err *err)
{
	if (in_document(c) || c->depth == 0)
		return 0;
	c->n_values++;
	if (c->depth == 1 && ++c->n > PARAMS_MAX)
		return err_set(err, EINVAL, "more than %d parameters",
			       PARAMS_MAX);
	if (c->n_values > PARAMS_MAX_VALUES)
		return err_set(err, EFBIG, "more than %d values",
			       PARAMS_MAX_VALUES);
	return 0;
}

static int open_bracket(struct params_check *c, unsigned char byte,
			struct err *err)
{
	if (c->depth == PARAMS_MAX_DEPTH)
		return err_set(err, EINVAL, "nested deeper than %d levels",
			       PARAMS_MAX_DEPTH);
	c->open[c->depth] = (char)byte;
	c->start[c->depth] = c->offset;
	c->depth++;
	if (byte == '{' && c->depth > 1 && !in_document(c))
		c->document = c->depth;
	c->state = byte == '{' ? NAME_OR_END : VALUE_OR_END;
	return 0;
}

static int close_bracket(struct params_check *c, struct err *err)
{
	bool copied = !in_document(c) || c->document == c->depth;

	if (c->document == c->depth)
		c->document = 0;
	c->depth--;
	c->state = c->depth > 0 ? COMMA_OR_END : COMPLETE;
	if (c->depth == 0 || !copied)
		return 0;
	c->n_copied += c->offset + 1 - c->start[c->depth] + 1;
	if (c->n_copied > PARAMS_MAX_COPIED)
		return err_set(err, EFBIG,
			       "arrays this long are nested too deeply");
	return 0;
}

static int not_a_value(struct err *err)
{
	return err_set(err, EINVAL,
		       "a value is expected: text in double quotes, a number, "
		       "true, false or null");
}

static int begin_word(struct params_check *c, const char *rest)
{
	c->word = rest;
	c->state = WORD;
	return 0;
}

static int begin_value(struct params_check *c, unsigned char byte,
		       struct err *err)
{
	int rc;

	if (c->depth == 0 && byte != '[' && byte != '{')
		return err_set(err, EINVAL,
			       "parameters are an array, as in [1, \"two\"], or "
			       "an object with their names");
	rc = count_value(c, err);
	if (rc < 0)
		return rc;
	switch (byte) {
	case '[':
	case '{':
		return open_bracket(c, byte, err);
	case '"':
		c->is_name = false;
		c->state = STRING;
		return 0;
	case 't':
		return begin_word(c, "rue");
	case 'f':
		return begin_word(c, "alse");
	case 'n':
		return begin_word(c, "ull");
	case '-':
		c->state = MINUS;
		return 0;
	case '0':
		c->state = ZERO;
		return 0;
	default:
		c->state = INTEGER;
		if (is_digit(byte))
			return 0;
		return not_a_value(err);
	}
}

static char closing(const struct params_check *c)
{
	return c->open[c->depth - 1] == '[' ? ']' : '}';
}

/* Between values. */
static int in_structure(struct params_check *c, unsigned char byte,
			struct err *err)
{
	if (is_blank(byte))
		return 0;
	switch (c->state) {
	case VALUE_OR_END:
		if (byte == ']')
			return close_bracket(c, err);
		return begin_value(c, byte, err);
	case NAME_OR_END:
	case NAME:
		if (byte == '}' && c->state == NAME_OR_END)
			return close_bracket(c, err);
		c->is_name = true;
		c->state = STRING;
		if (byte == '"')
			return 0;
		return err_set(err, EINVAL,
			       "a name in double quotes is expected here");
	case COLON:
		c->state = VALUE;
		if (byte == ':')
			return 0;
		return err_set(err, EINVAL,
			       "a colon is expected here, behind the name");
	case COMMA_OR_END:
		if (byte == (unsigned char)closing(c))
			return close_bracket(c, err);
		c->state = closing(c) == ']' ? VALUE : NAME;
		if (byte == ',')
			return 0;
		return err_set(err, EINVAL, "a comma or %c is expected here",
			       closing(c));
	case COMPLETE:
		return err_set(err, EINVAL,
			       "the parameters are complete before this");
	default:
		return begin_value(c, byte, err);
	}
}

/* The first byte of a character of several: RFC 3629. */
static int begin_character(struct params_check *c, unsigned char byte,
			   struct err *err)
{
	c->tail_min = 0x80;
	c->tail_max = 0xbf;
	c->n_tail = byte < 0xe0 ? 1 : byte < 0xf0 ? 2 : 3;
	if (byte == 0xe0)
		c->tail_min = 0xa0;
	else if (byte == 0xed)
		c->tail_max = 0x9f;
	else if (byte == 0xf0)
		c->tail_min = 0x90;
	else if (byte == 0xf4)
		c->tail_max = 0x8f;
	c->state = STRING_TAIL;
	if (byte < 0xc2 || byte > 0xf4)
		return err_set(err, EINVAL, "this byte is not UTF-8");
	return 0;
}

static int in_character(struct params_check *c, unsigned char byte,
			struct err *err)
{
	if (byte < c->tail_min || byte > c->tail_max)
		return err_set(err, EINVAL, "this byte is not UTF-8");
	c->tail_min = 0x80;
	c->tail_max = 0xbf;
	if (--c->n_tail == 0)
		c->state = STRING;
	return 0;
}

static int in_string(struct params_check *c, unsigned char byte,
		     struct err *err)
{
	if (byte == '"') {
		c->state = c->is_name ? COLON : COMMA_OR_END;
		return 0;
	}
	if (byte == '\\') {
		c->state = ESCAPE;
		return 0;
	}
	if (byte >= 0x80)
		return begin_character(c, byte, err);
	if (byte < 0x20)
		return err_set(err, EINVAL,
			       "a control character inside a string: write it "
			       "as \\n, \\t or \\u00..");
	return 0;
}

/* Four digits are there. */
static int end_unit(struct params_check *c, struct err *err)
{
	bool low = c->unit >= 0xdc00 && c->unit <= 0xdfff;

	c->state = STRING;
	if (low != (c->high != 0))
		return err_set(err, EINVAL, "half of a surrogate pair");
	c->high = 0;
	if (c->unit >= 0xd800 && c->unit <= 0xdbff) {
		c->high = c->unit;
		c->state = PAIR_BACKSLASH;
	}
	if (c->unit == 0)
		return err_set(err, EINVAL,
			       "\\u0000: no database takes a NUL in a text");
	return 0;
}

static int in_hex(struct params_check *c, unsigned char byte, struct err *err)
{
	unsigned char lower = byte | 0x20;
	unsigned digit;

	if (is_digit(byte))
		digit = (unsigned)byte - '0';
	else if (lower >= 'a' && lower <= 'f')
		digit = (unsigned)lower - 'a' + 10;
	else
		return err_set(err, EINVAL, "\\u takes four hex digits");
	c->unit = c->unit << 4 | digit;
	return ++c->n_hex == 4 ? end_unit(c, err) : 0;
}

static int in_escape(struct params_check *c, unsigned char byte,
		     struct err *err)
{
	switch (c->state) {
	case ESCAPE_HEX:
		return in_hex(c, byte, err);
	case PAIR_BACKSLASH:
		c->state = PAIR_U;
		if (byte == '\\')
			return 0;
		return err_set(err, EINVAL, "half of a surrogate pair");
	case PAIR_U:
		if (byte != 'u')
			return err_set(err, EINVAL, "half of a surrogate pair");
		break;
	default:
		c->state = STRING;
		if (byte != '\0' && strchr("\"\\/bfnrt", byte) != NULL)
			return 0;
		if (byte != 'u')
			return err_set(err, EINVAL,
				       "JSON has no such escape; a backslash is "
				       "written as two");
	}
	c->unit = 0;
	c->n_hex = 0;
	c->state = ESCAPE_HEX;
	return 0;
}

static int in_word(struct params_check *c, unsigned char byte, struct err *err)
{
	if (byte != (unsigned char)*c->word)
		return not_a_value(err);
	if (*++c->word == '\0')
		c->state = COMMA_OR_END;
	return 0;
}

/* The state of a number after one more byte; COMMA_OR_END: it is not of it. */
static enum state number_state(enum state state, unsigned char byte)
{
	bool digit = is_digit(byte), e = (byte | 0x20) == 'e';

	switch (state) {
	case MINUS:
		return byte == '0' ? ZERO : digit ? INTEGER : COMMA_OR_END;
	case ZERO:
		return byte == '.' ? POINT : e ? EXPONENT : COMMA_OR_END;
	case INTEGER:
		return digit         ? INTEGER
		       : byte == '.' ? POINT
		       : e           ? EXPONENT
				     : COMMA_OR_END;
	case POINT:
		return digit ? FRACTION : COMMA_OR_END;
	case FRACTION:
		return digit ? FRACTION : e ? EXPONENT : COMMA_OR_END;
	case EXPONENT:
		if (byte == '+' || byte == '-')
			return EXPONENT_SIGN;
		return digit ? EXPONENT_DIGITS : COMMA_OR_END;
	default:
		return digit ? EXPONENT_DIGITS : COMMA_OR_END;
	}
}

static int in_number(struct params_check *c, unsigned char byte,
		     struct err *err)
{
	enum state before = (enum state)c->state;

	c->state = (int)number_state(before, byte);
	if (c->state != COMMA_OR_END)
		return 0;
	if (before == MINUS || before == POINT || before == EXPONENT ||
	    before == EXPONENT_SIGN)
		return err_set(err, EINVAL, "a digit is expected here");
	if (is_digit(byte))
		return err_set(err, EINVAL,
			       "a number does not begin with a zero");
	return in_structure(c, byte, err);
}

static int take_byte(struct params_check *c, unsigned char byte,
		     struct err *err)
{
	switch (c->state) {
	case STRING:
		return in_string(c, byte, err);
	case STRING_TAIL:
		return in_character(c, byte, err);
	case ESCAPE:
	case ESCAPE_HEX:
	case PAIR_BACKSLASH:
	case PAIR_U:
		return in_escape(c, byte, err);
	case WORD:
		return in_word(c, byte, err);
	case MINUS:
	case ZERO:
	case INTEGER:
	case POINT:
	case FRACTION:
	case EXPONENT:
	case EXPONENT_SIGN:
	case EXPONENT_DIGITS:
		return in_number(c, byte, err);
	default:
		return in_structure(c, byte, err);
	}
}

/* Bytes that need no second look: most of any long text. */
static size_t plain_span(enum state state, const char *data, size_t len)
{
	size_t i = 0;

	if (state == STRING) {
		while (i < len && (signed char)data[i] >= 0x20 &&
		       data[i] != '"' && data[i] != '\\')
			i++;
	} else if (state == INTEGER || state == FRACTION) {
		while (i < len && is_digit((unsigned char)data[i]))
			i++;
	}
	return i;
}

int params_check(struct params_check *c, const char *data, size_t len,
		 struct err *err)
{
	size_t i = 0;
	int rc;

	while (i < len) {
		size_t n = plain_span((enum state)c->state, data + i, len - i);

		i += n;
		c->offset += n;
		if (i == len)
			break;
		rc = take_byte(c, (unsigned char)data[i], err);
		if (rc < 0)
			return rc;
		i++;
		c->offset++;
	}
	return c->state == COMPLETE;
}

bool params_check_blank(const struct params_check *c)
{
	return c->depth == 0 && c->state == VALUE;
}

int params_check_end(const struct params_check *c, struct err *err)
{
	if (c->state >= STRING && c->state <= PAIR_U)
		return err_set(err, EINVAL, "the text ends inside a string");
	if (c->depth == 0)
		return err_set(err, EINVAL, "there are no parameters");
	return err_set(err, EINVAL, "the text ends before its last %c",
		       c->open[0] == '[' ? ']' : '}');
}
