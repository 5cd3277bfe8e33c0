/* SPDX-License-Identifier: MIT */
#include "auth/aws/metadata.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "auth/aws/exchange.h"
#include "auth/aws/settings.h"
#include "auth/env.h"
#include "common/cleanup.h"
#include "common/clock.h"

enum {
	CONNECT_MS = 1000,
	TOKEN_MS = 1000, /* behind a second hop the answer never comes */
	TOTAL_MS = 2000,
	ATTEMPTS = 3,
	WAIT_MS = 100, /* before the second; then twice as long */
	REMEMBER_MS = 30000,
	URL_SIZE = 256,
};

#define TOKEN_HEADER "x-aws-ec2-metadata-token: "

/* A failure that is not looked for again for a while. */
struct memory {
	char url[URL_SIZE];
	uint64_t until; /* monotonic, ms; 0: nothing is remembered */
	struct err error;
};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static struct memory no_service; /* mutex, like all below */
static struct memory no_role;
static char region_url[URL_SIZE]; /* of whom region is */
static char region[AWS_REGION_SIZE];

static void remember(struct memory *m, const char *url, const struct err *why)
{
	auto_lock(&mutex);
	(void)snprintf(m->url, sizeof(m->url), "%s", url);
	m->until = clock_mono_ms() + REMEMBER_MS;
	m->error = *why;
}

static int recall(const struct memory *m, const char *url, struct err *err)
{
	auto_lock(&mutex);
	if (clock_mono_ms() >= m->until || strcmp(m->url, url) != 0)
		return 0;
	if (err != NULL)
		*err = m->error;
	return -m->error.code;
}

bool aws_metadata_is_disabled(void)
{
	auto_free char *value = auth_env("AWS_EC2_METADATA_DISABLED");

	return value != NULL && strcasecmp(value, "true") == 0;
}

/* The variable, else the key of the profile; for free(), or null. */
static char *option(const struct aws_settings *settings, const char *variable,
		    const char *key)
{
	const struct aws_section *section = NULL;
	auto_free char *name = NULL;
	char *value = auth_env(variable);
	const char *of_profile;
	bool is_named;

	if (value != NULL)
		return value;
	name = aws_settings_profile(settings, &is_named);
	if (name != NULL)
		(void)aws_profiles_find(&section, settings->profiles,
					AWS_SECTION_PROFILE, name, NULL);
	of_profile = aws_section_get(section, key);
	return of_profile != NULL ? strdup(of_profile) : NULL;
}

/* "http://169.254.169.254", or what is configured; for free(). */
static char *url_of(const struct aws_settings *settings)
{
	auto_free char *mode = NULL;
	char *url = option(settings, "AWS_EC2_METADATA_SERVICE_ENDPOINT",
			   "ec2_metadata_service_endpoint");
	size_t len;

	if (url == NULL) {
		mode = option(settings,
			      "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE",
			      "ec2_metadata_service_endpoint_mode");
		if (mode != NULL && strcasecmp(mode, "ipv6") == 0)
			return strdup("http://[fd00:ec2::254]");
		return strdup("http://169.254.169.254");
	}
	len = strlen(url);
	while (len > 0 && url[len - 1] == '/')
		url[--len] = '\0';
	return url;
}

/*
 * Who stumbles is asked again; silence is not, each time of which takes a
 * second. -EAGAIN: it stumbles on.
 */
static int ask_for_token(struct http_response *response,
			 const struct http_request *request, struct err *err)
{
	for (unsigned i = 1;; i++) {
		int rc = aws_exchange(response, request, 1, err);
		unsigned status = response->status;

		if (rc < 0 || (status != 429 && status < 500))
			return rc;
		http_response_finish(response);
		if (i == ATTEMPTS ||
		    http_sleep((unsigned)WAIT_MS << (i - 1)) < 0)
			return err_set(err, EAGAIN,
				       "the metadata service answered %u",
				       status);
	}
}

/* A token of 6 hours; more than one is as good. */
static int get_token(struct aws_metadata *m, struct err *err)
{
	static const char *const headers[] = {
		"x-aws-ec2-metadata-token-ttl-seconds: 21600",
		NULL,
	};
	struct http_request request = {
		.method = "PUT",
		.headers = headers,
		.connect_timeout_ms = CONNECT_MS,
		.timeout_ms = TOKEN_MS,
		.direct = true,
	};
	struct http_response response = {0};
	auto_free char *url = NULL;
	int rc;

	if (asprintf(&url, "%s/latest/api/token", m->url) < 0) {
		url = NULL;
		return err_set(err, ENOMEM, "out of memory");
	}
	request.url = url;
	rc = ask_for_token(&response, &request, err);
	if (rc == 0 && (response.status != 200 || response.body.len == 0))
		rc = err_set(err, EACCES,
			     "the metadata service refused a session of "
			     "version 2 (status %u)",
			     response.status);
	secret_finish(&m->header);
	if (rc == 0 && (secret_append(&m->header, TOKEN_HEADER,
				      strlen(TOKEN_HEADER)) < 0 ||
			secret_append(&m->header, response.body.data,
				      response.body.len) < 0))
		rc = err_set(err, ENOMEM, "out of memory");
	http_response_finish(&response);
	return rc;
}

int aws_metadata_open(struct aws_metadata *out,
		      const struct aws_settings *settings, struct err *err)
{
	struct err why = {0};
	int rc;

	*out = (struct aws_metadata){.url = url_of(settings)};
	if (out->url == NULL)
		return err_set(err, ENOMEM, "out of memory");
	rc = recall(&no_service, out->url, err);
	if (rc < 0)
		return rc;
	rc = get_token(out, &why);
	if (rc < 0) {
		if (rc != -ENOMEM && rc != -ECANCELED && rc != -EAGAIN)
			remember(&no_service, out->url, &why);
		if (err != NULL)
			*err = why;
	}
	return rc;
}

void aws_metadata_close(struct aws_metadata *metadata)
{
	free(metadata->url);
	secret_finish(&metadata->header);
	*metadata = (struct aws_metadata){0};
}

static int get_once(struct aws_metadata *m, const char *url,
		    struct http_response *response, struct err *err)
{
	const char *const headers[] = {m->header.data, NULL};
	const struct http_request request = {
		.method = "GET",
		.url = url,
		.headers = headers,
		.connect_timeout_ms = CONNECT_MS,
		.timeout_ms = TOTAL_MS,
		.direct = true,
	};

	return aws_exchange(response, &request, ATTEMPTS, err);
}

int aws_metadata_get(struct aws_metadata *metadata, const char *path,
		     struct secret *out, struct err *err)
{
	struct http_response response = {0};
	auto_free char *url = NULL;
	int rc;

	secret_finish(out);
	if (asprintf(&url, "%s/latest/meta-data/%s", metadata->url, path) < 0) {
		url = NULL;
		return err_set(err, ENOMEM, "out of memory");
	}
	rc = get_once(metadata, url, &response, err);
	/* The token has expired, or the service forgot it. */
	if (rc == 0 && response.status == 401) {
		http_response_finish(&response);
		rc = get_token(metadata, err);
		if (rc == 0)
			rc = get_once(metadata, url, &response, err);
	}
	if (rc == 0 && response.status == 404)
		rc = err_set(err, ENOENT, "the metadata service has no %s",
			     path);
	else if (rc == 0 && response.status != 200)
		rc = err_set(err, EIO,
			     "the metadata service answered %u for %s",
			     response.status, path);
	if (rc == 0 &&
	    secret_set(out, response.body.data, response.body.len) < 0)
		rc = err_set(err, ENOMEM, "out of memory");
	http_response_finish(&response);
	return rc;
}

void aws_metadata_set_no_role(const struct aws_metadata *metadata,
			      const struct err *why)
{
	remember(&no_role, metadata->url, why);
}

int aws_metadata_no_role(const struct aws_settings *settings, struct err *err)
{
	auto_free char *url = url_of(settings);

	if (url == NULL)
		return err_set(err, ENOMEM, "out of memory");
	return recall(&no_role, url, err);
}

static bool known_region(const char *url, char out[AWS_REGION_SIZE])
{
	auto_lock(&mutex);
	if (region[0] == '\0' || strcmp(region_url, url) != 0)
		return false;
	memcpy(out, region, AWS_REGION_SIZE);
	return true;
}

int aws_metadata_region(const struct aws_settings *settings,
			char out[AWS_REGION_SIZE])
{
	auto_metadata struct aws_metadata m = {0};
	auto_secret struct secret text = {0};
	auto_free char *url = NULL;
	int rc;

	if (aws_metadata_is_disabled())
		return -ENOENT;
	url = url_of(settings);
	if (url == NULL)
		return -ENOMEM;
	if (known_region(url, out))
		return 0;
	rc = aws_metadata_open(&m, settings, NULL);
	if (rc == 0)
		rc = aws_metadata_get(&m, "placement/region", &text, NULL);
	if (rc < 0)
		return rc;
	if (text.len == 0 || text.len >= AWS_REGION_SIZE ||
	    !aws_region_is_valid(text.data))
		return -EINVAL;
	auto_lock(&mutex);
	(void)snprintf(region_url, sizeof(region_url), "%s", url);
	memcpy(region, text.data, text.len + 1);
	memcpy(out, region, AWS_REGION_SIZE);
	return 0;
}
