/* SPDX-License-Identifier: MIT */
/*
 * What the environment and the profile in use say, besides keys: region,
 * endpoints, certificates. Any thread.
 */
#ifndef CONNFS_AUTH_AWS_SETTINGS_H
#define CONNFS_AUTH_AWS_SETTINGS_H

#include <stdbool.h>

#include "auth/aws/endpoint.h"
#include "auth/aws/profile.h"
#include "auth/aws/region.h"
#include "common/err.h"

struct aws_settings {
	struct aws_profiles *profiles; /* a reference */
	const char *profile; /* as asked for; null: AWS_PROFILE, "default" */
	const char *region;  /* as asked for; null */
};

/* The files as they are. Strings are borrowed. 0 or -ENOMEM. */
int aws_settings_init(struct aws_settings *out, const char *profile,
		      const char *region, struct err *err);
void aws_settings_finish(struct aws_settings *settings);
#define auto_settings __attribute__((cleanup(aws_settings_finish)))

/*
 * The profile in use, for free(). *is_named: somebody chose it, so that it has
 * to be there. Null: out of memory.
 */
char *aws_settings_profile(const struct aws_settings *settings, bool *is_named);

/*
 * See aws_identity_region(); first is what goes before all of that, or null.
 * May ask the instance it runs on, for 2 s at most.
 */
int aws_settings_region(const struct aws_settings *settings, const char *first,
			char out[AWS_REGION_SIZE], struct err *err);

/* See aws_endpoint(). */
int aws_settings_endpoint(const struct aws_settings *settings,
			  enum aws_service service, const char *region,
			  char **out, struct err *err);

/* AWS_CA_BUNDLE or ca_bundle, for free(); null: neither. */
char *aws_settings_ca_file(const struct aws_settings *settings);

#endif
