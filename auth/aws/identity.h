/* SPDX-License-Identifier: MIT */
/*
 * Whose AWS credentials: the provider chain, or a profile, and maybe a role
 * that is assumed from there. Identities are shared by all that name the same,
 * obtained once for any number of callers, and renewed ahead of their expiry
 * in the background for as long as somebody holds them.
 *
 * Any thread; calls that say so block on the network.
 */
#ifndef CONNFS_AUTH_AWS_IDENTITY_H
#define CONNFS_AUTH_AWS_IDENTITY_H

#include <stddef.h>
#include <stdint.h>

#include "auth/aws/call.h"
#include "auth/aws/endpoint.h"
#include "auth/aws/keys.h"
#include "auth/aws/region.h"
#include "common/err.h"

struct aws_identity;

struct aws_tag {
	const char *key;
	const char *value;
};

/* Borrowed for the call; all may be null. */
struct aws_identity_config {
	const char *profile; /* null: the chain decides */
	const char *region;  /* of the spec; null: see aws_identity_region() */
	/* A role that is assumed with what profile or the chain give. */
	const char *role_arn;
	const char *external_id;  /* the value itself */
	const char *session_name; /* cleaned by the callee; null: connfs */
	const struct aws_tag *tags;
	size_t n_tags;
};

/* Finds or makes it; no network, no file is read. 0 or -ENOMEM. */
int aws_identity_get(struct aws_identity **out,
		     const struct aws_identity_config *config, struct err *err);
struct aws_identity *aws_identity_ref(struct aws_identity *identity);
void aws_identity_unref(struct aws_identity *identity); /* null is allowed */

/*
 * Keys with at least min_left seconds to live, if such can be had: keys that
 * still work are given when renewing them fails. May block. 0, or a negative
 * errno and a text that names the source and what to do.
 */
int aws_identity_keys(struct aws_identity *identity, unsigned min_left,
		      struct aws_keys *out, struct err *err);

/* Signs by it. The signer lives as long as the identity. */
const struct aws_signer *aws_identity_signer(struct aws_identity *identity);

/*
 * The region where nothing better is known: config's, AWS_REGION,
 * AWS_DEFAULT_REGION, the profile's, the instance's own. May block. -EINVAL:
 * none; err says where it can be given.
 */
int aws_identity_region(struct aws_identity *identity,
			char out[AWS_REGION_SIZE], struct err *err);

/* See aws_endpoint(); with what the profile says. May read files. */
int aws_identity_endpoint(struct aws_identity *identity,
			  enum aws_service service, const char *region,
			  char **out, struct err *err);

/* AWS_CA_BUNDLE or the profile's ca_bundle, for free(); null: none. */
char *aws_identity_ca_file(struct aws_identity *identity);

struct aws_identity_status {
	char source[64];    /* "environment", "profile etl", "imds"; "": none */
	int64_t expires_at; /* Unix seconds of AWS's clock; 0: never, unknown */
	struct err error;   /* of the last attempt; code 0: it did not fail */
};
void aws_identity_status(struct aws_identity *identity,
			 struct aws_identity_status *out);

#endif
