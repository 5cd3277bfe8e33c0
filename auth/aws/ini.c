/* SPDX-License-Identifier: MIT */
#include "auth/aws/ini.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const char blanks[] = " \t\r\v\f";

/* Where the reading of one file has come to. */
struct reader {
	struct aws_ini *ini;
	const char *path;
	bool is_credentials;
	unsigned line;
	bool in_section;
	ssize_t section; /* of ini->sections; -1: one that does not count */
	const char *key; /* whose block may follow: its value is empty */
	size_t indent;   /* of that key */
};

static bool is_blank(char c)
{
	return c != '\0' && strchr(blanks, c) != NULL;
}

static char *trim(char *text)
{
	size_t len;

	text += strspn(text, blanks);
	len = strlen(text);
	while (len > 0 && is_blank(text[len - 1]))
		len--;
	text[len] = '\0';
	return text;
}

/* "#" and ";" in a value need a blank before them: they occur in URLs. */
static void cut_comment(char *text)
{
	for (char *p = text; *p != '\0'; p++) {
		if ((*p == '#' || *p == ';') &&
		    (p == text || is_blank(p[-1]))) {
			*p = '\0';
			return;
		}
	}
}

static char *unquote(char *name)
{
	size_t len;

	name = trim(name);
	len = strlen(name);
	if (len >= 2 && (name[0] == '"' || name[0] == '\'') &&
	    name[len - 1] == name[0]) {
		name[len - 1] = '\0';
		name++;
	}
	return name;
}

/* The text behind a word and blanks, or null. */
static char *after_word(char *text, const char *word)
{
	size_t len = strlen(word);

	if (strncmp(text, word, len) != 0 || !is_blank(text[len]))
		return NULL;
	return text + len;
}

struct aws_section *aws_ini_find(const struct aws_ini *ini,
				 enum aws_section_kind kind, const char *name)
{
	for (size_t i = 0; i < ini->n_sections; i++) {
		struct aws_section *s = &ini->sections[i];

		if (s->kind == kind && strcmp(s->name, name) == 0)
			return s;
	}
	return NULL;
}

/* Room for one more in an array that doubles when it is full. */
static int grow(void **array, size_t n, size_t size)
{
	void *more;

	if ((n & (n - 1)) != 0)
		return 0;
	more = reallocarray(*array, n == 0 ? 1 : 2 * n, size);
	if (more == NULL)
		return -ENOMEM;
	*array = more;
	return 0;
}

static struct aws_section *add_section(struct reader *r,
				       enum aws_section_kind kind,
				       const char *name)
{
	struct aws_ini *ini = r->ini;
	void *sections = ini->sections;
	struct aws_section *s;

	if (grow(&sections, ini->n_sections, sizeof(*s)) < 0)
		return NULL;
	ini->sections = sections;
	s = &ini->sections[ini->n_sections++];
	*s = (struct aws_section){
		.kind = kind,
		.name = name,
		.path = r->path,
		.line = r->line,
	};
	return s;
}

/*
 * Of a file of config only what has a prefix is a profile, but for [default],
 * which does not count beside [profile default].
 */
static int open_section(struct reader *r, enum aws_section_kind kind,
			const char *name, bool is_prefixed)
{
	struct aws_section *s = aws_ini_find(r->ini, kind, name);

	if (s == NULL)
		s = add_section(r, kind, name);
	if (s == NULL)
		return -ENOMEM;
	r->section = s - r->ini->sections;
	if (r->is_credentials)
		return 0;
	if (is_prefixed && !s->is_prefixed) {
		s->n_entries = 0;
		free(s->entries);
		s->entries = NULL;
		s->bad_line = 0;
		s->line = r->line;
		s->is_prefixed = true;
	} else if (!is_prefixed && s->is_prefixed) {
		r->section = -1;
	}
	return 0;
}

static int read_config_section(struct reader *r, char *text)
{
	char *name;

	name = after_word(text, "profile");
	if (name != NULL)
		return open_section(r, AWS_SECTION_PROFILE, unquote(name),
				    true);
	name = after_word(text, "sso-session");
	if (name != NULL)
		return open_section(r, AWS_SECTION_SSO_SESSION, unquote(name),
				    true);
	name = after_word(text, "services");
	if (name != NULL)
		return open_section(r, AWS_SECTION_SERVICES, unquote(name),
				    true);
	name = unquote(text);
	if (strcmp(name, "default") == 0)
		return open_section(r, AWS_SECTION_PROFILE, name, false);
	r->section = -1;
	return 0;
}

/* text begins behind "[". */
static int read_section(struct reader *r, char *text, struct err *err)
{
	char *end = strchr(text, ']');
	int rc;

	if (end == NULL)
		return err_set(err, EINVAL,
			       "%s line %u: the name of a section has no end",
			       r->path, r->line);
	*end = '\0';
	text = trim(text);
	r->in_section = true;
	r->key = NULL;
	if (r->is_credentials)
		rc = open_section(r, AWS_SECTION_PROFILE, unquote(text), false);
	else
		rc = read_config_section(r, text);
	return rc < 0 ? err_set(err, ENOMEM, "%s: out of memory", r->path) : 0;
}

static void lower(char *text)
{
	for (; *text != '\0'; text++) {
		if (*text >= 'A' && *text <= 'Z')
			*text = (char)(*text - 'A' + 'a');
	}
}

static int add_entry(struct reader *r, const struct aws_entry *entry)
{
	struct aws_section *s = &r->ini->sections[r->section];
	void *entries = s->entries;

	if (grow(&entries, s->n_entries, sizeof(*entry)) < 0)
		return -ENOMEM;
	s->entries = entries;
	s->entries[s->n_entries++] = *entry;
	return 0;
}

/* A line that is no comment, no section and not empty. */
static int read_entry(struct reader *r, char *text, struct err *err)
{
	size_t indent = strspn(text, blanks);
	char *equals = strchr(text, '=');
	struct aws_entry entry = {.path = r->path, .line = r->line};
	char *key;

	if (!r->in_section)
		return err_set(err, EINVAL,
			       "%s line %u stands before the first [section]",
			       r->path, r->line);
	if (r->section < 0)
		return 0;
	if (r->key != NULL && indent > r->indent)
		entry.block = r->key;
	else
		r->key = NULL;
	if (equals != NULL)
		*equals = '\0';
	key = trim(text);
	if (equals == NULL || *key == '\0') {
		struct aws_section *s = &r->ini->sections[r->section];

		s->bad_path = r->path;
		s->bad_line = r->line;
		return 0;
	}
	lower(key);
	cut_comment(equals + 1);
	entry.key = key;
	entry.value = trim(equals + 1);
	if (entry.block == NULL && *entry.value == '\0') {
		r->key = key;
		r->indent = indent;
	}
	if (add_entry(r, &entry) < 0)
		return err_set(err, ENOMEM, "%s: out of memory", r->path);
	return 0;
}

int aws_ini_add(struct aws_ini *ini, char *text, const char *path,
		bool is_credentials, struct err *err)
{
	struct reader r = {
		.ini = ini,
		.path = path,
		.is_credentials = is_credentials,
	};
	int rc = 0;

	if (strncmp(text, "\xef\xbb\xbf", 3) == 0)
		text += 3;
	while (*text != '\0' && rc == 0) {
		char *next = strchrnul(text, '\n');
		const char *start;

		if (*next != '\0')
			*next++ = '\0';
		r.line++;
		start = text + strspn(text, blanks);
		if (*start == '[')
			rc = read_section(&r, text + (start - text) + 1, err);
		else if (*start != '\0' && *start != '#' && *start != ';')
			rc = read_entry(&r, text, err);
		text = next;
	}
	return rc;
}

void aws_ini_finish(struct aws_ini *ini)
{
	for (size_t i = 0; i < ini->n_sections; i++)
		free(ini->sections[i].entries);
	free(ini->sections);
	*ini = (struct aws_ini){0};
}
