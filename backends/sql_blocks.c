/* SPDX-License-Identifier: MIT */
#include "backends/sql_blocks.h"

enum place {
	START, /* a statement may begin here, or go on after a label */
	FIRST, /* behind its first word, which may be a label */
	PLAIN, /* within it */
	AFTER_END,
	CREATE, /* up to what is created */
	ALTER,
	TOP_BEGIN, /* a transaction, unless NOT ATOMIC follows */
	TOP_BEGIN_NOT,
	HEADER, /* of a stored program */
	TRIGGER_ORDER,
	DECLARE, /* .. CONTINUE HANDLER FOR conditions */
	HANDLER,
	HANDLER_FOR,
	CONDITION,
	AFTER_CONDITION,
};

enum key {
	K_NONE,
	K_AGGREGATE,
	K_ALTER,
	K_AS,
	K_ATOMIC,
	K_BEGIN,
	K_BRANCH, /* its condition ends with THEN */
	K_CASE,
	K_CREATE,
	K_DECLARE,
	K_DEFINER,
	K_DO,
	K_EACH,
	K_ELSE,
	K_END,
	K_EVENT,
	K_EXCEPTION,
	K_FOLLOWS,
	K_FOR,
	K_FUNCTION,
	K_HANDLER,
	K_HANDLER_KIND,
	K_IF,
	K_LOOP,
	K_NOT,
	K_OR,
	K_OPTION, /* of a procedure */
	K_PACKAGE,
	K_PROCEDURE,
	K_REPEAT,
	K_REPLACE,
	K_RETURN,
	K_RETURNS,
	K_ROW,
	K_SQLSTATE,
	K_THEN,
	K_TRIGGER,
	K_UNTIL,
	K_WHILE,
};

static const struct {
	const char *word;
	enum key key;
} keys[] = {
	{"aggregate", K_AGGREGATE},
	{"alter", K_ALTER},
	{"as", K_AS},
	{"atomic", K_ATOMIC},
	{"begin", K_BEGIN},
	{"case", K_CASE},
	{"comment", K_OPTION},
	{"contains", K_OPTION},
	{"continue", K_HANDLER_KIND},
	{"create", K_CREATE},
	{"data", K_OPTION},
	{"declare", K_DECLARE},
	{"definer", K_DEFINER},
	{"deterministic", K_OPTION},
	{"do", K_DO},
	{"each", K_EACH},
	{"else", K_ELSE},
	{"elseif", K_BRANCH},
	{"elsif", K_BRANCH},
	{"end", K_END},
	{"event", K_EVENT},
	{"exception", K_EXCEPTION},
	{"exit", K_HANDLER_KIND},
	{"follows", K_FOLLOWS},
	{"for", K_FOR},
	{"function", K_FUNCTION},
	{"handler", K_HANDLER},
	{"if", K_IF},
	{"invoker", K_OPTION},
	{"is", K_AS},
	{"language", K_OPTION},
	{"loop", K_LOOP},
	{"modifies", K_OPTION},
	{"no", K_OPTION},
	{"not", K_NOT},
	{"or", K_OR},
	{"package", K_PACKAGE},
	{"precedes", K_FOLLOWS},
	{"procedure", K_PROCEDURE},
	{"reads", K_OPTION},
	{"repeat", K_REPEAT},
	{"replace", K_REPLACE},
	{"return", K_RETURN},
	{"returns", K_RETURNS},
	{"row", K_ROW},
	{"security", K_OPTION},
	{"sql", K_OPTION},
	{"sqlstate", K_SQLSTATE},
	{"then", K_THEN},
	{"trigger", K_TRIGGER},
	{"undo", K_HANDLER_KIND},
	{"until", K_UNTIL},
	{"value", K_SQLSTATE},
	{"when", K_BRANCH},
	{"while", K_WHILE},
};

static enum key key_of(const char *word, size_t len)
{
	for (size_t i = 0; i < sizeof(keys) / sizeof(*keys); i++) {
		if (sql_word_is(word, len, keys[i].word))
			return keys[i].key;
	}
	return K_NONE;
}

static void go_on(struct sql_blocks *b, enum place place)
{
	b->place = place;
	b->parens = 0;
	b->cases = 0;
	b->head = false;
	b->until = false;
}

static void open_block(struct sql_blocks *b, enum place place)
{
	b->depth++;
	go_on(b, place);
}

static void close_block(struct sql_blocks *b)
{
	if (b->depth > 0)
		b->depth--;
	go_on(b, AFTER_END);
}

static bool in_package(const struct sql_blocks *b)
{
	return b->program == K_PACKAGE && b->depth == 1;
}

static void begin(struct sql_blocks *b)
{
	if (b->depth == 0 && b->program == K_NONE) {
		go_on(b, TOP_BEGIN);
		return;
	}
	/* A package's own BEGIN shares its END. */
	if (in_package(b) && b->routine == K_NONE)
		go_on(b, START);
	else
		open_block(b, START);
	b->routine = K_NONE;
	b->declares = false;
}

static void enter_header(struct sql_blocks *b, enum key program)
{
	if (b->program == K_PACKAGE)
		b->routine = program;
	else
		b->program = program;
	b->type = false;
	if (program == K_PACKAGE)
		b->depth = 1;
	go_on(b, HEADER);
}

/* A word where a statement may begin. */
static void take_start(struct sql_blocks *b, enum key key)
{
	bool top = b->depth == 0 && b->program == K_NONE;

	switch (key) {
	case K_BEGIN:
		begin(b);
		return;
	case K_LOOP:
	case K_REPEAT:
		open_block(b, START);
		return;
	case K_IF:
	case K_CASE:
		open_block(b, PLAIN);
		return;
	case K_WHILE:
	case K_FOR:
		open_block(b, PLAIN);
		b->head = true;
		return;
	case K_END:
		close_block(b);
		return;
	case K_UNTIL:
		go_on(b, PLAIN);
		b->until = true;
		return;
	case K_ELSE:
	case K_EXCEPTION:
	case K_NOT: /* BEGIN NOT ATOMIC within a body */
	case K_ATOMIC:
		return;
	case K_BRANCH:
		go_on(b, PLAIN);
		return;
	case K_DECLARE:
		go_on(b, DECLARE);
		return;
	case K_FOLLOWS:
		go_on(b, b->program == K_TRIGGER ? TRIGGER_ORDER : FIRST);
		return;
	case K_PROCEDURE:
	case K_FUNCTION:
		if (in_package(b))
			enter_header(b, key);
		else
			go_on(b, FIRST);
		return;
	case K_CREATE:
		go_on(b, top ? CREATE : PLAIN);
		return;
	case K_ALTER:
		go_on(b, top ? ALTER : PLAIN);
		return;
	default:
		go_on(b, FIRST);
	}
}

/* A word within a statement. */
static void take_plain(struct sql_blocks *b, enum key key)
{
	switch (key) {
	case K_CASE:
		b->cases++;
		break;
	case K_END:
		if (b->cases > 0)
			b->cases--;
		else if (b->until)
			close_block(b);
		break;
	case K_THEN:
		if (b->cases == 0)
			go_on(b, START);
		break;
	case K_DO:
	case K_LOOP:
		if (b->head && b->cases == 0 && b->parens == 0)
			go_on(b, START);
		break;
	default:
		break;
	}
}

static void take_create(struct sql_blocks *b, enum key key)
{
	/* Part of the definer's name; there is no other operator. */
	if (b->last != '\0')
		return;
	switch (key) {
	case K_OR:
	case K_REPLACE:
	case K_DEFINER:
	case K_AGGREGATE:
		return;
	case K_PROCEDURE:
	case K_FUNCTION:
	case K_TRIGGER:
	case K_PACKAGE:
		if (b->place == CREATE)
			enter_header(b, key);
		else
			go_on(b, PLAIN);
		return;
	case K_EVENT:
		enter_header(b, key);
		return;
	default:
		go_on(b, PLAIN);
	}
}

/*
 * A function's body is RETURN or a block; RETURN without RETURNS before it is
 * Oracle's word for that.
 */
static bool begins_function(struct sql_blocks *b, enum key key)
{
	bool type = b->type;

	switch (key) {
	case K_RETURN:
	case K_RETURNS:
		b->type = true;
		return type && key == K_RETURN;
	case K_BEGIN:
	case K_IF:
	case K_CASE:
	case K_LOOP:
	case K_WHILE:
	case K_REPEAT:
	case K_FOR:
		return type;
	default:
		return false;
	}
}

/* A word of a program's header, outside of parentheses. */
static void take_header(struct sql_blocks *b, enum key key)
{
	enum key program = (enum key)b->program;

	if (b->routine != K_NONE)
		program = (enum key)b->routine;
	switch (program) {
	case K_PROCEDURE:
	case K_FUNCTION:
		if (key == K_AS) {
			b->declares = true;
			go_on(b, START);
		} else if (program == K_FUNCTION
				   ? begins_function(b, key)
				   : b->type && key != K_OPTION &&
					     key != K_NOT && key != K_DEFINER) {
			take_start(b, key);
		}
		break;
	case K_PACKAGE:
		if (key == K_AS)
			go_on(b, START);
		else if (key == K_PROCEDURE || key == K_FUNCTION ||
			 key == K_DECLARE || key == K_BEGIN)
			take_start(b, key);
		break;
	case K_TRIGGER:
		if (key == K_ROW && b->type)
			go_on(b, START);
		b->type = key == K_EACH;
		break;
	default: /* an event */
		if (key == K_DO && b->cases == 0)
			go_on(b, START);
		else
			take_plain(b, key);
	}
}

/* Moves on when the word is the one expected, else it is any statement. */
static void expect(struct sql_blocks *b, enum key key, enum key expected,
		   enum place next)
{
	if (key == expected) {
		b->place = next;
	} else {
		b->place = PLAIN;
		take_plain(b, key);
	}
}

static void take_key(struct sql_blocks *b, enum key key)
{
	switch ((enum place)b->place) {
	case START:
	case AFTER_CONDITION:
		take_start(b, key);
		break;
	case FIRST:
		b->place = PLAIN;
		take_plain(b, key);
		break;
	case PLAIN:
		take_plain(b, key);
		break;
	case AFTER_END:
		break;
	case CREATE:
	case ALTER:
		take_create(b, key);
		break;
	case TOP_BEGIN:
		expect(b, key, K_NOT, TOP_BEGIN_NOT);
		break;
	case TOP_BEGIN_NOT:
		if (key == K_ATOMIC)
			open_block(b, START);
		else
			b->place = PLAIN;
		break;
	case HEADER:
		if (b->parens == 0)
			take_header(b, key);
		break;
	case TRIGGER_ORDER:
		b->place = START;
		break;
	case DECLARE:
		expect(b, key, K_HANDLER_KIND, HANDLER);
		break;
	case HANDLER:
		expect(b, key, K_HANDLER, HANDLER_FOR);
		break;
	case HANDLER_FOR:
		expect(b, key, K_FOR, CONDITION);
		break;
	case CONDITION:
		if (key != K_SQLSTATE && key != K_NOT)
			b->place = AFTER_CONDITION;
		break;
	}
}

/* What is no word: a quoted name, a string, a parenthesis, an operator. */
static void take_other(struct sql_blocks *b, enum sql_token token, char c)
{
	switch ((enum place)b->place) {
	case START: /* <<label>> */
		if (token == SQL_NAME)
			b->place = FIRST;
		else if (c != '<' && c != '>')
			b->place = PLAIN;
		break;
	case FIRST:
		b->place = c == ':' || c == '>' ? START : PLAIN;
		break;
	case TRIGGER_ORDER:
		b->place = START;
		break;
	case CONDITION:
		b->place = AFTER_CONDITION;
		break;
	case AFTER_CONDITION:
		b->place = c == ',' ? CONDITION : PLAIN;
		break;
	case TOP_BEGIN:
	case TOP_BEGIN_NOT:
	case DECLARE:
	case HANDLER:
	case HANDLER_FOR:
		b->place = PLAIN;
		break;
	default:
		break;
	}
}

static bool take_semicolon(struct sql_blocks *b)
{
	if (b->depth == 0 && !b->declares)
		return true;
	/* In a package, a routine that has no body here. */
	if (b->depth == 1 && !b->declares)
		b->routine = K_NONE;
	go_on(b, START);
	return false;
}

bool sql_blocks_take(struct sql_blocks *b, enum sql_token token,
		     const char *word, size_t len)
{
	bool dotted = b->last == '.' || b->last == '@';

	if (token == SQL_SEMICOLON)
		return take_semicolon(b);
	if (token == SQL_MARK || (b->place == PLAIN && b->depth == 0))
		return false;
	if (token == SQL_OPEN)
		b->parens++;
	if (token == SQL_CLOSE && b->parens > 0 && --b->parens == 0 &&
	    b->place == HEADER)
		b->type = b->type || b->program == K_PROCEDURE ||
			  b->routine == K_PROCEDURE;
	if (token == SQL_WORD)
		take_key(b, dotted ? K_NONE : key_of(word, len));
	else
		take_other(b, token, *word);
	b->last = '\0';
	if (token == SQL_OTHER)
		b->last = *word;
	return false;
}
