/* SPDX-License-Identifier: MIT */
/* credential_process: a program that prints keys as JSON. */
#include "auth/aws/source.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "auth/program.h"
#include "auth/provider.h"
#include "common/cleanup.h"

enum {
	OUTPUT_MAX = 64 * 1024, /* bytes */
	WORDS_MAX = 1000,
};

struct process_source {
	struct aws_source base;
	char **argv;
};

void aws_process_argv_free(char **argv)
{
	for (size_t i = 0; argv != NULL && argv[i] != NULL; i++)
		free(argv[i]);
	free(argv);
}

/*
 * Copies what stands behind an opening quote, without the closing one. Returns
 * what follows; null: it is not closed.
 */
static const char *copy_quoted(char **to, const char *from, char quote)
{
	for (; *from != quote; from++) {
		if (*from == '\0')
			return NULL;
		if (quote == '"' && *from == '\\' &&
		    (from[1] == '"' || from[1] == '\\'))
			from++;
		*(*to)++ = *from;
	}
	return from + 1;
}

/* Copies one word. Returns what follows; null: a quote is not closed. */
static const char *copy_word(char *to, const char *from)
{
	while (from != NULL && *from != '\0' && strchr(" \t", *from) == NULL) {
		if (*from == '\'' || *from == '"') {
			from = copy_quoted(&to, from + 1, *from);
			continue;
		}
		if (*from == '\\' && *++from == '\0')
			return NULL;
		*to++ = *from++;
	}
	*to = '\0';
	return from;
}

int aws_process_split(char ***argv, const char *command, struct err *err)
{
	char **words = calloc(WORDS_MAX + 1, sizeof(*words));
	size_t n = 0;

	*argv = NULL;
	if (words == NULL)
		return err_set(err, ENOMEM, "out of memory");
	while (command != NULL && n < WORDS_MAX) {
		command += strspn(command, " \t");
		if (*command == '\0')
			break;
		words[n] = malloc(strlen(command) + 1);
		if (words[n] == NULL) {
			aws_process_argv_free(words);
			return err_set(err, ENOMEM, "out of memory");
		}
		command = copy_word(words[n++], command);
	}
	if (command == NULL || *command != '\0' || n == 0) {
		aws_process_argv_free(words);
		return err_set(err, EINVAL, "credential_process: %s",
			       command == NULL ? "it ends inside of a quote"
			       : n == 0        ? "no program is named"
					       : "too many words");
	}
	*argv = words;
	return 0;
}

/* Version 1 is all there is. */
static int check_version(const struct aws_json *json, struct err *err)
{
	auto_secret struct secret version = {0};

	if (aws_json_get(json, "Version", &version) != 1 ||
	    strcmp(version.data, "1") != 0)
		return err_set(err, EINVAL,
			       "credential_process: its output has no "
			       "\"Version\": 1");
	return 0;
}

static int process_fetch(struct aws_source *source, struct aws_keys *out,
			 struct err *err)
{
	static const struct aws_key_names names = {
		.access_key = "AccessKeyId",
		.secret_key = "SecretAccessKey",
		.session_token = "SessionToken",
		.expiration = "Expiration",
	};
	const struct process_source *s = (const struct process_source *)source;
	const struct program program = {
		.what = "credential_process",
		.argv = s->argv,
		.max = OUTPUT_MAX,
		.limit_ms = auth_command_limit_ms,
	};
	auto_secret struct secret text = {0};
	auto_aws_json struct aws_json *json = NULL;
	struct err why = {0};
	int rc = program_run(&text, &program, err);

	if (rc == 0)
		rc = aws_json_parse(&json, text.data, text.len,
				    "credential_process: its output", err);
	if (rc == 0)
		rc = check_version(json, err);
	if (rc < 0)
		return rc;
	if (aws_keys_from_json(out, json, &names, &why) < 0)
		return err_set(err, why.code, "credential_process: %s",
			       why.msg);
	return 0;
}

static void process_destroy(struct aws_source *source)
{
	struct process_source *s = (struct process_source *)source;

	aws_process_argv_free(s->argv);
	free(s);
}

static const struct aws_source_ops process_ops = {
	.fetch = process_fetch,
	.destroy = process_destroy,
};

int aws_process_source_create(struct aws_source **out, const char *command,
			      struct err *err)
{
	struct process_source *s = calloc(1, sizeof(*s));
	int rc;

	*out = NULL;
	if (s == NULL)
		return err_set(err, ENOMEM, "out of memory");
	s->base.ops = &process_ops;
	rc = aws_process_split(&s->argv, command, err);
	if (rc < 0) {
		free(s);
		return rc;
	}
	*out = &s->base;
	return 0;
}
