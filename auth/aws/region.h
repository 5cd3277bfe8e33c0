/* SPDX-License-Identifier: MIT */
/* What the names of AWS hosts and regions tell. Pure; any thread. */
#ifndef CONNFS_AUTH_AWS_REGION_H
#define CONNFS_AUTH_AWS_REGION_H

#include <stdbool.h>
#include <stddef.h>

enum {
	AWS_REGION_SIZE = 64,
	AWS_LABEL_SIZE = 64, /* a label of a host name, terminated */
	AWS_HOST_SIZE = 256,
};

enum aws_family {
	AWS_RDS,
	AWS_DSQL,
	AWS_REDSHIFT,
	AWS_REDSHIFT_SERVERLESS,
};

struct aws_partition {
	const char *name;             /* "aws-cn", as in an ARN */
	const char *suffix;           /* "amazonaws.com.cn" */
	const char *dualstack_suffix; /* "api.amazonwebservices.com.cn" */
};

/* A region that fits none is taken for one of "aws". Never null. */
const struct aws_partition *aws_partition_of(const char *region);

/* Letters, digits and "-" only, so that it can stand in a host name. */
bool aws_region_is_valid(const char *region);

/* The region that a host name of the family tells. False: it tells none. */
bool aws_region_of_host(char out[AWS_REGION_SIZE], enum aws_family family,
			const char *host);

/*
 * The first label of a name that AWS gave: the cluster's or workgroup's name,
 * or a DSQL cluster's id. False: it is another name (a CNAME, an address), or
 * has no such label.
 */
bool aws_label_of_host(char out[AWS_LABEL_SIZE], enum aws_family family,
		       const char *host);

/* 26 lower case letters and digits. */
bool aws_is_dsql_id(const char *text);

#endif
