/* SPDX-License-Identifier: MIT */
/* What the tests of config share: SOURCE from a text, and its complaints. */
#ifndef CONNFS_TESTS_UNIT_CONFIG_LOADING_H
#define CONNFS_TESTS_UNIT_CONFIG_LOADING_H

#include "common/err.h"
#include "fs/config.h"
#include "tests/unit/check.h"

/* A spec that is good, to be varied. */
#define HEAD "\"conn_id\": \"shop\", \"enabled\": true"
#define PG                                                      \
	"{" HEAD ", \"type\": \"postgres\", \"host\": \"db\", " \
	"\"user\": \"u\", \"database\": \"d\""
#define MY                                                   \
	"{" HEAD ", \"type\": \"mysql\", \"host\": \"db\", " \
	"\"user\": \"u\", \"database\": \"d\""
#define LITE "{" HEAD ", \"type\": \"sqlite3\", \"host\": \"/x.db\""

static inline struct config *load(const char *name, const char *const *options)
{
	struct config *config;
	struct err err = {0};
	int rc = config_load(&config, check_path(name), options, &err);

	CHECK_TEXT(err.msg, "");
	CHECK(rc == 0);
	return config;
}

/* The whole text, in which @ stands for the directory. */
static inline void check_message(const char *got, const char *expected)
{
	char text[2048];
	size_t n = 0;

	for (const char *p = expected; *p != '\0'; p++) {
		if (*p == '@')
			n += (size_t)snprintf(text + n, sizeof(text) - n, "%s",
					      check_dir);
		else
			text[n++] = *p;
		CHECK(n < sizeof(text));
	}
	text[n] = '\0';
	CHECK_TEXT(got, text);
}

static inline void refuse(const char *name, const char *const *options,
			  const char *error)
{
	struct config *config;
	struct err err = {0};
	int rc = config_load(&config, check_path(name), options, &err);

	check_message(err.msg, error);
	CHECK(rc < 0 && rc == -err.code && config == NULL);
}

/* A spec that is bad; error is what stands behind the name of the file. */
static inline void refuse_one(const char *json, const char *error)
{
	struct config *config;
	char expected[1024];

	check_write("bad.json", 0600, json);
	config = load("bad.json", NULL);
	CHECK(config->n_specs == 0 && config->n_errors == 1);
	(void)snprintf(expected, sizeof(expected), "@/bad.json: %s", error);
	check_message(config->errors[0].text, expected);
	check_message(config->errors[0].file, "@/bad.json");
	CHECK_TEXT(config->errors[0].conn_id,
		   strncmp(error, "shop", 4) == 0 ? "shop" : NULL);
	config_destroy(config);
}

/* The config of one good spec. */
static inline struct config *load_one(const char *json)
{
	struct config *config;

	check_write("one.json", 0600, json);
	config = load("one.json", NULL);
	CHECK_TEXT(config->n_errors > 0 ? config->errors[0].text : "", "");
	CHECK(config->n_specs == 1);
	return config;
}

/* The whole of connection.json. */
static inline void check_shown(const struct spec *spec, const char *expected)
{
	char *text = spec_text(spec);

	CHECK_TEXT(text, expected);
	free(text);
}

/* connection.json has this piece. */
static inline bool is_shown(const struct spec *spec, const char *piece)
{
	char *text = spec_text(spec);
	bool found;

	CHECK(text != NULL);
	found = strstr(text, piece) != NULL;
	free(text);
	return found;
}

#endif
