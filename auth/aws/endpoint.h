/* SPDX-License-Identifier: MIT */
/* Where the APIs of AWS are. */
#ifndef CONNFS_AUTH_AWS_ENDPOINT_H
#define CONNFS_AUTH_AWS_ENDPOINT_H

#include <stdbool.h>

#include "common/err.h"

enum aws_service {
	AWS_SERVICE_SSM,
	AWS_SERVICE_SECRETS_MANAGER,
	AWS_SERVICE_STS,
	AWS_SERVICE_REDSHIFT,
	AWS_SERVICE_REDSHIFT_SERVERLESS,
	AWS_SERVICE_SSO,      /* portal.sso */
	AWS_SERVICE_SSO_OIDC, /* oidc */
};

/* As in the scope of a signature: "secretsmanager". */
const char *aws_service_name(enum aws_service service);

/*
 * What a profile says of endpoints; all may be null. The environment
 * (AWS_ENDPOINT_URL[_SERVICE], AWS_IGNORE_CONFIGURED_ENDPOINT_URLS,
 * AWS_USE_FIPS_ENDPOINT, AWS_USE_DUALSTACK_ENDPOINT) is looked at by the call.
 */
struct aws_endpoint_profile {
	const char *service_url;  /* of [services ..], for this service */
	const char *endpoint_url; /* of the profile, for all of them */
	const char *ignore;       /* ignore_configured_endpoint_urls */
	const char *fips;         /* use_fips_endpoint */
	const char *dualstack;    /* use_dualstack_endpoint */
};

/* The name of the block in [services ..]: "secrets_manager". */
const char *aws_service_key(enum aws_service service);

/*
 * "https://ssm.eu-west-1.amazonaws.com", or what is configured instead, for
 * free(): no "/" at its end, its base path kept, no port that is the scheme's
 * own. 0, -EINVAL (err names the variable or key with a bad URL, or region),
 * -ENOMEM. region may be null where there is an override.
 */
int aws_endpoint(char **out, enum aws_service service, const char *region,
		 const struct aws_endpoint_profile *profile, struct err *err);

#endif
