/* SPDX-License-Identifier: MIT */
/* An environment with nothing of AWS in it but two files below check_dir. */
#ifndef CONNFS_TESTS_UNIT_AWS_HOME_H
#define CONNFS_TESTS_UNIT_AWS_HOME_H

#include <stdlib.h>

#include "tests/unit/check.h"

/* After check_init(), before threads. */
static inline void aws_home_init(void)
{
	static const char *const names[] = {
		"AWS_ACCESS_KEY_ID",
		"AWS_SECRET_ACCESS_KEY",
		"AWS_SESSION_TOKEN",
		"AWS_SECURITY_TOKEN",
		"AWS_CREDENTIAL_EXPIRATION",
		"AWS_PROFILE",
		"AWS_REGION",
		"AWS_DEFAULT_REGION",
		"AWS_ROLE_ARN",
		"AWS_ROLE_SESSION_NAME",
		"AWS_WEB_IDENTITY_TOKEN_FILE",
		"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
		"AWS_CONTAINER_CREDENTIALS_FULL_URI",
		"AWS_CONTAINER_AUTHORIZATION_TOKEN",
		"AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
		"AWS_EC2_METADATA_SERVICE_ENDPOINT",
		"AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE",
		"AWS_ENDPOINT_URL",
		"AWS_ENDPOINT_URL_STS",
		"AWS_ENDPOINT_URL_SSO",
		"AWS_ENDPOINT_URL_SSO_OIDC",
		"AWS_CA_BUNDLE",
	};

	for (size_t i = 0; i < COUNT(names); i++)
		CHECK(unsetenv(names[i]) == 0);
	CHECK(setenv("HOME", check_dir, 1) == 0);
	CHECK(setenv("AWS_CONFIG_FILE", check_path("config"), 1) == 0);
	CHECK(setenv("AWS_SHARED_CREDENTIALS_FILE", check_path("credentials"),
		     1) == 0);
	CHECK(setenv("AWS_EC2_METADATA_DISABLED", "true", 1) == 0);
}

#endif
