/* SPDX-License-Identifier: MIT */
/*
 * Where keys come from: the providers, and the chain that chooses one of them.
 * identity.c and tests only, besides the providers themselves.
 *
 * A source knows nothing of time and caching. It belongs to one thread at a
 * time, and borrows its settings for as long as it lives.
 */
#ifndef CONNFS_AUTH_AWS_SOURCE_H
#define CONNFS_AUTH_AWS_SOURCE_H

#include <stdbool.h>
#include <stddef.h>

#include "auth/aws/json.h"
#include "auth/aws/keys.h"
#include "auth/aws/settings.h"
#include "common/err.h"

enum { AWS_SOURCE_NAME_SIZE = 64, AWS_SOURCE_DIGEST_SIZE = 32 };

struct aws_source;

struct aws_source_ops {
	/*
	 * Keys as they are there. May block on the network. 0, or a negative
	 * errno with a text that says what to do; who calls puts the name of
	 * the source before it.
	 */
	int (*fetch)(struct aws_source *source, struct aws_keys *out,
		     struct err *err);
	void (*destroy)(struct aws_source *source); /* frees it */
	/*
	 * It may give keys that have expired, which AWS goes on to accept when
	 * the service that renews them is ill.
	 */
	bool is_stable;
};

/* Embedded as the first member of every source. */
struct aws_source {
	const struct aws_source_ops *ops;
	char name[AWS_SOURCE_NAME_SIZE]; /* "profile etl", for people */
};

void aws_source_destroy(struct aws_source *source); /* null is allowed */

/* Its keys; err begins with its name. */
int aws_source_fetch(struct aws_source *source, struct aws_keys *out,
		     struct err *err);

/*
 * The first that is configured; no network. digest tells whether what the files
 * say of it has changed. -ENOENT: none is, err lists what was looked for; other
 * errors tell what is wrong with the one that is.
 */
int aws_chain_create(struct aws_source **out,
		     unsigned char digest[AWS_SOURCE_DIGEST_SIZE],
		     const struct aws_settings *settings, struct err *err);

/*
 * The providers. profile is the name of the section, for texts; what is null of
 * strings is not given.
 */

/* AWS_ACCESS_KEY_ID .. */
int aws_env_source_create(struct aws_source **out, struct err *err);

int aws_static_source_create(struct aws_source **out,
			     const struct aws_section *section,
			     struct err *err);

/* credential_process */
int aws_process_source_create(struct aws_source **out, const char *command,
			      struct err *err);

/* Splits as a POSIX shell does, without expanding anything; for free() each. */
int aws_process_split(char ***argv, const char *command, struct err *err);
void aws_process_argv_free(char **argv);

struct aws_web_identity {
	const char *token_file;
	const char *role_arn;
	const char *session_name;
	const char *region; /* of the profile */
};
int aws_web_identity_source_create(struct aws_source **out,
				   const struct aws_web_identity *config,
				   const struct aws_settings *settings,
				   struct err *err);

struct aws_sso {
	const char *session; /* null: the old form */
	const char *start_url;
	const char *region;
	const char *account_id;
	const char *role_name;
	const char *profile;
};
int aws_sso_source_create(struct aws_source **out, const struct aws_sso *config,
			  const struct aws_settings *settings, struct err *err);

/* AWS_CONTAINER_CREDENTIALS_RELATIVE_URI or _FULL_URI: one of them is set. */
int aws_container_source_create(struct aws_source **out, struct err *err);

/* The instance's role; hint is what a failure ends with, or null. */
int aws_imds_source_create(struct aws_source **out,
			   const struct aws_settings *settings,
			   const char *hint, struct err *err);

/* AssumeRole with what inner gives; inner is the source's, also on failure. */
struct aws_role; /* sts.h */
int aws_role_source_create(struct aws_source **out, struct aws_source *inner,
			   const struct aws_role *role,
			   const struct aws_settings *settings,
			   struct err *err);

/* What the sources with JSON call what is in an answer. */
struct aws_key_names {
	const char *access_key;
	const char *secret_key;
	const char *session_token;
	const char *expiration; /* ISO 8601; null: not read */
};

/* In the answers of containers and instances. */
extern const struct aws_key_names aws_platform_key_names;

/* -EINVAL: one of them is missing or not what it should be. */
int aws_keys_from_json(struct aws_keys *out, const struct aws_json *json,
		       const struct aws_key_names *names, struct err *err);

#endif
