/* SPDX-License-Identifier: MIT */
#include "auth/aws/endpoint.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "auth/aws/region.h"
#include "auth/aws/text.h"
#include "auth/env.h"
#include "common/cleanup.h"

static const struct {
	const char *host;
	const char *scope;
	const char *key;
	const char *variable;
	bool gov_is_fips; /* its plain name in GovCloud is a FIPS endpoint */
} services[] = {
	[AWS_SERVICE_SSM] = {"ssm", "ssm", "ssm", "AWS_ENDPOINT_URL_SSM", true},
	[AWS_SERVICE_SECRETS_MANAGER] = {"secretsmanager", "secretsmanager",
					 "secrets_manager",
					 "AWS_ENDPOINT_URL_SECRETS_MANAGER",
					 false},
	[AWS_SERVICE_STS] = {"sts", "sts", "sts", "AWS_ENDPOINT_URL_STS", true},
	[AWS_SERVICE_REDSHIFT] = {"redshift", "redshift", "redshift",
				  "AWS_ENDPOINT_URL_REDSHIFT", true},
	[AWS_SERVICE_REDSHIFT_SERVERLESS] =
		{"redshift-serverless", "redshift-serverless",
		 "redshift_serverless", "AWS_ENDPOINT_URL_REDSHIFT_SERVERLESS",
		 false},
	[AWS_SERVICE_SSO] = {"portal.sso", "awsssoportal", "sso",
			     "AWS_ENDPOINT_URL_SSO", true},
	[AWS_SERVICE_SSO_OIDC] = {"oidc", "sso-oauth", "sso_oidc",
				  "AWS_ENDPOINT_URL_SSO_OIDC", true},
};

const char *aws_service_name(enum aws_service service)
{
	return services[service].scope;
}

const char *aws_service_key(enum aws_service service)
{
	return services[service].key;
}

/* The variable decides, if there is one. */
static bool flag(const char *name, const char *of_profile)
{
	auto_free char *set = auth_env(name);
	const char *value = set != NULL ? set : of_profile;

	return value != NULL && strcasecmp(value, "true") == 0;
}

/* Digits, a terminated port; 0: it is none. */
static unsigned port_of(const char *text)
{
	unsigned port = 0;

	for (; *text >= '0' && *text <= '9' && port <= UINT16_MAX; text++)
		port = port * 10 + (unsigned)(*text - '0');
	return *text == '\0' && port <= UINT16_MAX ? port : 0;
}

/* How much of text is a name, or an address in brackets; 0: nothing. */
static size_t host_span(const char *text)
{
	static const char of_name[] = "0123456789abcdefghijklmnopqrstuvwxyz"
				      "ABCDEFGHIJKLMNOPQRSTUVWXYZ-._";
	size_t len;

	if (*text != '[')
		return strspn(text, of_name);
	len = 1 + strspn(text + 1, "0123456789abcdefABCDEF:.");
	return len > 1 && text[len] == ']' ? len + 1 : 0;
}

/* Printable, and nothing in it that ends a path. */
static bool is_path(const char *text)
{
	for (; *text != '\0'; text++)
		if (*text <= ' ' || *text >= 0x7f ||
		    strchr("?#\\\"<>", *text) != NULL)
			return false;
	return true;
}

/*
 * The URL as it is used: scheme and host in lower case, no port that goes
 * without saying, no "/" at its end; for free(). 0, -EINVAL or -ENOMEM.
 */
static int clean_url(char **out, const char *url)
{
	bool tls = strncasecmp(url, "https://", strlen("https://")) == 0;
	unsigned own_port = tls ? 443 : 80, port = own_port;
	auto_free char *authority = NULL;
	char suffix[8] = "";
	const char *host, *path;
	size_t len, path_len;

	if (!tls && strncasecmp(url, "http://", strlen("http://")) != 0)
		return -EINVAL;
	host = url + (tls ? strlen("https://") : strlen("http://"));
	path = host + strcspn(host, "/");
	authority = strndup(host, (size_t)(path - host));
	if (authority == NULL)
		return -ENOMEM;
	len = host_span(authority);
	if (authority[len] == ':')
		port = port_of(authority + len + 1);
	else if (authority[len] != '\0')
		return -EINVAL;
	if (len == 0 || port == 0 || !is_path(path))
		return -EINVAL;
	authority[len] = '\0';
	for (char *p = authority; *p != '\0'; p++)
		*p = aws_lower(*p);
	path_len = strlen(path);
	while (path_len > 0 && path[path_len - 1] == '/')
		path_len--;
	if (port != own_port)
		(void)snprintf(suffix, sizeof(suffix), ":%u", port);
	if (asprintf(out, "%s://%s%s%.*s", tls ? "https" : "http", authority,
		     suffix, (int)path_len, path) < 0) {
		*out = NULL;
		return -ENOMEM;
	}
	return 0;
}

static int no_memory(struct err *err)
{
	return err_sys(err, ENOMEM, "cannot make an endpoint");
}

static int override(char **out, const char *where, const char *url,
		    struct err *err)
{
	int rc = clean_url(out, url);

	if (rc == -EINVAL)
		return err_set(err, EINVAL,
			       "%s: not the http:// or https:// URL of a host",
			       where);
	return rc < 0 ? no_memory(err) : 0;
}

/* Its dual-stack names in the large partitions are the ordinary ones. */
static bool is_dualstack_already(enum aws_service service,
				 const struct aws_partition *partition)
{
	return service == AWS_SERVICE_SECRETS_MANAGER &&
	       (strcmp(partition->name, "aws") == 0 ||
		strcmp(partition->name, "aws-us-gov") == 0 ||
		strcmp(partition->name, "aws-cn") == 0);
}

static int standard(char **out, enum aws_service service, const char *region,
		    const struct aws_endpoint_profile *profile, struct err *err)
{
	bool fips = flag("AWS_USE_FIPS_ENDPOINT", profile->fips);
	bool dualstack = flag("AWS_USE_DUALSTACK_ENDPOINT", profile->dualstack);
	const struct aws_partition *partition;
	const char *suffix;

	/* It becomes a part of the name that the request is sent to. */
	if (region == NULL || !aws_region_is_valid(region))
		return err_set(err, EINVAL,
			       "region: must be letters, digits and \"-\"");
	partition = aws_partition_of(region);
	suffix = partition->suffix;
	if (dualstack && !is_dualstack_already(service, partition))
		suffix = partition->dualstack_suffix;
	if (!dualstack && services[service].gov_is_fips &&
	    strcmp(partition->name, "aws-us-gov") == 0)
		fips = false;
	if (asprintf(out, "https://%s%s.%s.%s", services[service].host,
		     fips ? "-fips" : "", region, suffix) < 0) {
		*out = NULL;
		return no_memory(err);
	}
	return 0;
}

int aws_endpoint(char **out, enum aws_service service, const char *region,
		 const struct aws_endpoint_profile *profile, struct err *err)
{
	const char *variable = services[service].variable;
	auto_free char *own = auth_env(variable);
	auto_free char *all = auth_env("AWS_ENDPOINT_URL");
	const struct {
		const char *where;
		const char *url;
	} overrides[] = {
		{variable, own},
		{"AWS_ENDPOINT_URL", all},
		{"endpoint_url of the service", profile->service_url},
		{"endpoint_url", profile->endpoint_url},
	};
	bool ignore =
		flag("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", profile->ignore);

	*out = NULL;
	for (size_t i = 0; i < sizeof(overrides) / sizeof(*overrides); i++)
		if (!ignore && overrides[i].url != NULL &&
		    *overrides[i].url != '\0')
			return override(out, overrides[i].where,
					overrides[i].url, err);
	return standard(out, service, region, profile, err);
}
