/* SPDX-License-Identifier: MIT */
/*
 * The lines of the files of profile.h; profile.c only. Keys and values stand in
 * the text itself, which is cut up for it and has to stay where it is.
 */
#ifndef CONNFS_AUTH_AWS_INI_H
#define CONNFS_AUTH_AWS_INI_H

#include <stdbool.h>
#include <stddef.h>

#include "auth/aws/profile.h"
#include "common/err.h"

struct aws_entry {
	const char *key;   /* lower case */
	const char *value; /* without blanks around it */
	const char *block; /* the key whose block it is in; null: in none */
	const char *path;  /* of its file, not owned */
	unsigned line;
};

struct aws_section {
	enum aws_section_kind kind;
	const char *name;
	const char *path; /* where it begins, first */
	unsigned line;
	bool is_prefixed; /* [profile default] */
	struct aws_entry *entries;
	size_t n_entries;
	const char *bad_path; /* a line that is none of key and value */
	unsigned bad_line;    /* 0: none */
};

struct aws_ini {
	struct aws_section *sections;
	size_t n_sections;
};

/*
 * Adds what text says, whose path has to stay as well. 0, -ENOMEM, or -EINVAL
 * with file and line: what comes before the first section, or a section
 * without an end.
 */
int aws_ini_add(struct aws_ini *ini, char *text, const char *path,
		bool is_credentials, struct err *err);
void aws_ini_finish(struct aws_ini *ini);

/* Null: there is none. */
struct aws_section *aws_ini_find(const struct aws_ini *ini,
				 enum aws_section_kind kind, const char *name);

#endif
