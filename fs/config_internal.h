/* SPDX-License-Identifier: MIT */
/*
 * Between the parts of config: config.c puts together what config_source.c
 * reads, config_settings.c and config_spec.c understand. All of it runs in the
 * one thread that is inside config_load(); nothing is kept of the JSON.
 */
#ifndef CONNFS_FS_CONFIG_INTERNAL_H
#define CONNFS_FS_CONFIG_INTERNAL_H

#include <jansson.h>

#include "fs/config.h"

/* config_values.c: how one JSON value becomes one member of a struct. */
enum value_kind {
	VALUE_OTHER,    /* not set from here */
	VALUE_NOTE,     /* char *: any string */
	VALUE_TEXT,     /* char *: not empty */
	VALUE_PATH,     /* char *: absolute */
	VALUE_DIR,      /* char *: absolute, a directory to write to */
	VALUE_TEMPLATE, /* char *: with {realm} and the like */
	VALUE_BOOL,     /* bool: true or false, nothing else */
	VALUE_DURATION, /* unsigned, ms: 1.5, "90", "15m", "200 ms" */
	VALUE_SECONDS,  /* unsigned, s: the same, whole seconds */
	VALUE_COUNT,    /* unsigned: 5 or "5" */
	VALUE_PORT,     /* uint16_t: 5432 or "5432" */
	VALUE_SIZE,     /* uint64_t, bytes: 1024, "1024", "8MiB", "8M" */
};

struct value_rule {
	const char *key;
	enum value_kind kind;
	size_t offset; /* of the member */
	uint64_t min;  /* of a number, in the unit of the member */
	uint64_t max;  /* the same; of a string its bytes, 0: any */
};

/* 0, -EINVAL or -ENOMEM; err begins with the key. Replaces a string. */
int value_set(void *object, const struct value_rule *rule, const json_t *value,
	      struct err *err);

/* "90s" or "1500ms", which value_set() reads as the same. */
void value_duration_text(char out[32], unsigned ms);

/* x-* and X-*: everybody's own. */
bool value_is_private_key(const char *key);

/* Which of the words that are known comes nearest to one that is not. */
struct guess {
	const char *word;
	const char *best; /* null: none is near */
	size_t distance;
};

void guess_try(struct guess *guess, const char *known);

/* -EINVAL, `what "word"` and the guess. */
int guess_fail(const struct guess *guess, const char *what, struct err *err);

/* config_source.c: a file of SOURCE that is JSON. */
struct config_file {
	char *path;      /* as shown in errors */
	bool is_private; /* nobody but its owner can read it */
	json_t *json;
	const json_t *settings; /* part of json; null: none */
	const json_t *specs;    /* an array, or one spec; null: none */
};

struct config_source {
	struct config_file *files;
	size_t n_files;
};

/*
 * What can be read of source; a bad file of a directory goes to config's
 * errors. On failure err names the path.
 */
int source_read(struct config_source *out, struct config *config,
		const char *source, struct err *err);
void source_finish(struct config_source *source);

/* config_settings.c: the defaults. 0 or -ENOMEM. */
int settings_init(struct settings *settings);
/* No two files may set the same. */
int settings_apply(struct settings *settings, const struct config_file *file,
		   struct err *err);
/*
 * What file has set in old, and no other file sets. How many, or -ENOMEM.
 */
int settings_keep(struct settings *settings, const struct settings *old,
		  const char *file);
int settings_apply_options(struct settings *settings,
			   const char *const *options, struct err *err);
void settings_finish(struct settings *settings);

/* config_spec.c: whether key is one of a spec. */
bool spec_has_key(const char *key);

/* conn_id of object when it has a good one, else null and err. */
const char *spec_conn_id(const json_t *object, struct err *err);

/* object has a good conn_id. err begins with the key. */
int spec_create(struct spec **out, const struct config_file *file,
		const json_t *object, const struct settings *settings,
		struct err *err);

/* config_aws.c: whether spec logs in by a token. */
enum token_use {
	TOKEN_NEVER,
	TOKEN_MAYBE, /* if secret_id has no password */
	TOKEN_ALWAYS,
};

/* The plain fields of spec are set, and its engine. */
enum token_use aws_token_use(const struct spec *spec, const json_t *object);

/*
 * What the fields that have to do with AWS have to be, and what stands for
 * those of dsql that are missing. The plain fields of spec are set.
 */
int aws_resolve(struct spec *spec, const json_t *object, struct err *err);

/*
 * A DSQL cluster is dialled by another name than its own, which the server's
 * certificate does not have.
 */
bool aws_is_private_link(const struct spec *spec);

/* 0, or why value, the value of key, is no name of an SSM parameter. */
int aws_check_parameter(const char *key, const json_t *value, struct err *err);

/*
 * config_tls.c: the keys ssl and sslmode of object into spec->sslmode and
 * spec->token_sslmode, and tls_fingerprint; spec->ca_cert and
 * spec->connect_host are set already.
 */
int tls_resolve(struct spec *spec, const json_t *object, struct err *err);

/* config_password.c: whether object says where a password comes from. */
bool password_is_given(const json_t *object);

/* The keys password and password_*, and all that AWS needs: spec->auth. */
int password_resolve(struct spec *spec, const struct config_file *file,
		     const json_t *object, const struct settings *settings,
		     struct err *err);

/* config_access.c. On failure *out is for access_finish() as well. */
int access_parse(struct access_rule *out, const json_t *value, struct err *err);
void access_finish(struct access_rule *access);

/* config_queries.c. On failure, too, spec is for queries_finish(). */
int queries_parse(struct spec *spec, const json_t *value, struct err *err);
void queries_finish(struct spec *spec);

/* config_keep.c: an object of specs, as settings make a spec of it. */
int spec_digest(unsigned char out[SPEC_DIGEST_SIZE], const json_t *object,
		const struct config_file *file,
		const struct settings *settings);

/* Whether they have been made of the same, and that means the same still. */
bool spec_is_same(const struct spec *a, const struct spec *b);

/*
 * Settings of files that could not be read; before the options, and before any
 * spec. 0 or -ENOMEM.
 */
int config_keep_settings(struct config *config, const struct config *old);

/*
 * Specs in place of those that are wrong. config->specs is sorted, and seen has
 * the first file of every conn_id. 0 or -ENOMEM.
 */
int config_keep_specs(struct config *config, const struct config *old,
		      const json_t *seen);

/* config.c: the reference goes over, on failure too. 0 or -ENOMEM. */
int config_add_spec(struct config *config, struct spec *spec);
void config_sort(struct config *config);

/* config.c: adds to the end of a complaint. 0 or -ENOMEM. */
int config_amend(struct config_error *error, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* config.c: adds to the errors: fmt is the whole line. 0 or -ENOMEM. */
int config_complain(struct config *config, const char *file,
		    const char *conn_id, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

#endif
