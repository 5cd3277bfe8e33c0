/* SPDX-License-Identifier: MIT */
/*
 * The metadata service of an EC2 instance, version 2 only. Where there is none
 * its silence is remembered for a while, so that a crowd does not wait for it
 * in turn. Any thread; blocks, for 2 s a call at most.
 */
#ifndef CONNFS_AUTH_AWS_METADATA_H
#define CONNFS_AUTH_AWS_METADATA_H

#include <stdbool.h>

#include "auth/aws/region.h"
#include "common/err.h"
#include "common/secret.h"

struct aws_settings;

/* AWS_EC2_METADATA_DISABLED */
bool aws_metadata_is_disabled(void);

struct aws_metadata {
	char *url;
	struct secret header; /* with the session's token */
};

/* For aws_metadata_close() in each case. 0 or a negative errno. */
int aws_metadata_open(struct aws_metadata *out,
		      const struct aws_settings *settings, struct err *err);
void aws_metadata_close(struct aws_metadata *metadata);
#define auto_metadata __attribute__((cleanup(aws_metadata_close)))

/* What stands at path, below /latest/meta-data/. -ENOENT: nothing does. */
int aws_metadata_get(struct aws_metadata *metadata, const char *path,
		     struct secret *out, struct err *err);

/*
 * That this instance has no role: aws_metadata_no_role() gives -ENOENT and that
 * text for a while, otherwise 0.
 */
void aws_metadata_set_no_role(const struct aws_metadata *metadata,
			      const struct err *why);
int aws_metadata_no_role(const struct aws_settings *settings, struct err *err);

/* The region it runs in. 0, or a negative errno when that is not known. */
int aws_metadata_region(const struct aws_settings *settings,
			char out[AWS_REGION_SIZE]);

#endif
