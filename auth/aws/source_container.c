/* SPDX-License-Identifier: MIT */
/* The agent beside a container: ECS, EKS Pod Identity. */
#include "auth/aws/source.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "auth/aws/error.h"
#include "auth/aws/exchange.h"
#include "auth/aws/files.h"
#include "auth/aws/http_url.h"
#include "auth/aws/text.h"
#include "auth/env.h"
#include "common/cleanup.h"

enum {
	CONNECT_MS = 1000,
	TOTAL_MS = 2000,
	ATTEMPTS = 3,
	TOKEN_MAX = 64 * 1024, /* bytes */
	HOST_SIZE = 256,
};

struct container_source {
	struct aws_source base;
	char *url;
	bool direct;
	char *token_file; /* null: the variable, or none */
};

/* Whom a token may be sent to without TLS. */
static bool is_known(const char *host)
{
	struct in6_addr loopback6 = IN6ADDR_LOOPBACK_INIT;
	struct in6_addr eks6 = {0};
	struct in6_addr v6;
	struct in_addr v4;

	if (strcasecmp(host, "localhost") == 0)
		return true;
	if (inet_pton(AF_INET, host, &v4) == 1)
		return ntohl(v4.s_addr) >> 24 == 127 ||
		       strcmp(host, "169.254.170.2") == 0 ||
		       strcmp(host, "169.254.170.23") == 0;
	if (inet_pton(AF_INET6, host, &v6) != 1)
		return false;
	(void)inet_pton(AF_INET6, "fd00:ec2::23", &eks6);
	return memcmp(&v6, &loopback6, sizeof(v6)) == 0 ||
	       memcmp(&v6, &eks6, sizeof(v6)) == 0;
}

/* Without port and brackets. False: it is too long. */
static bool bare_host(char out[HOST_SIZE], const char *authority)
{
	const char *from = authority;
	size_t len;

	if (*from == '[') {
		from++;
		len = strcspn(from, "]");
	} else {
		len = strcspn(from, ":");
	}
	if (len >= HOST_SIZE)
		return false;
	memcpy(out, from, len);
	out[len] = '\0';
	return true;
}

static int check_url(struct container_source *s, struct err *err)
{
	auto_http_url struct http_url url = {0};
	char host[HOST_SIZE];
	struct err why = {0};

	if (http_url_parse(&url, s->url, &why) < 0)
		return err_set(err, EINVAL,
			       "AWS_CONTAINER_CREDENTIALS_FULL_URI: %s",
			       why.msg);
	s->direct = bare_host(host, url.host) && is_known(host);
	if (!s->direct &&
	    strncasecmp(s->url, "https://", strlen("https://")) != 0)
		return err_set(err, EINVAL,
			       "AWS_CONTAINER_CREDENTIALS_FULL_URI: %.100s is "
			       "neither https nor an address of this machine "
			       "or of the agents of ECS and EKS",
			       url.host);
	return 0;
}

static const char authorization_name[] = "Authorization: ";

/* The header with the token, if there is one. */
static int authorization(const struct container_source *s, struct aws_text *out,
			 struct err *err)
{
	auto_secret struct secret token = {0};
	struct err why = {0};
	int rc;

	if (s->token_file != NULL) {
		if (aws_file_read_line(&token, s->token_file, TOKEN_MAX, &why) <
		    0)
			return err_set(
				err, why.code,
				"AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE: %s",
				why.msg);
	} else {
		rc = auth_taken_env(&token,
				    "AWS_CONTAINER_AUTHORIZATION_TOKEN");
		if (rc == -ENOENT)
			return 0;
		if (rc < 0)
			return err_set(err, ENOMEM, "out of memory");
		if (strpbrk(token.data, "\r\n") != NULL)
			return err_set(err, EINVAL,
				       "AWS_CONTAINER_AUTHORIZATION_TOKEN "
				       "holds more than one line");
	}
	aws_text_puts(out, authorization_name);
	aws_text_put(out, token.data, token.len);
	return out->failed ? err_set(err, ENOMEM, "out of memory") : 0;
}

/* header: what authorization() made; null: nothing. */
static int read_answer(struct aws_keys *out,
		       const struct http_response *response, const char *header,
		       struct err *err)
{
	auto_aws_json struct aws_json *json = NULL;
	auto_secret struct secret message = {0};
	int rc = aws_json_parse(&json, response->body.data, response->body.len,
				"the answer of the container's agent", err);

	if (response->status == 200)
		return rc < 0 ? rc
			      : aws_keys_from_json(out, json,
						   &aws_platform_key_names,
						   err);
	if (rc == 0 && aws_json_get(json, "Message", &message) != 1)
		(void)aws_json_get(json, "message", &message);
	if (header != NULL)
		aws_error_hide(&message, header + strlen(authorization_name));
	return err_set(err, EACCES, "the container's agent answered %u%s%.200s",
		       response->status, message.len > 0 ? ": " : "",
		       message.len > 0 ? message.data : "");
}

static int container_fetch(struct aws_source *source, struct aws_keys *out,
			   struct err *err)
{
	const struct container_source *s =
		(const struct container_source *)source;
	const char *headers[] = {"Accept: application/json", NULL, NULL};
	const struct http_request request = {
		.method = "GET",
		.url = s->url,
		.headers = headers,
		.connect_timeout_ms = CONNECT_MS,
		.timeout_ms = TOTAL_MS,
		.direct = s->direct,
	};
	auto_aws_text struct aws_text header = {0};
	struct http_response response = {0};
	int rc = authorization(s, &header, err);

	if (rc < 0)
		return rc;
	headers[1] = header.secret.data;
	rc = aws_exchange(&response, &request, ATTEMPTS, err);
	if (rc == 0)
		rc = read_answer(out, &response, headers[1], err);
	http_response_finish(&response);
	return rc;
}

static void container_destroy(struct aws_source *source)
{
	struct container_source *s = (struct container_source *)source;

	free(s->url);
	free(s->token_file);
	free(s);
}

static const struct aws_source_ops container_ops = {
	.fetch = container_fetch,
	.destroy = container_destroy,
};

static int find_url(struct container_source *s, struct err *err)
{
	auto_free char *relative =
		auth_env("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");

	if (relative != NULL) {
		s->direct = true;
		if (relative[0] != '/')
			return err_set(err, EINVAL,
				       "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI "
				       "does not begin with /");
		if (asprintf(&s->url, "http://169.254.170.2%s", relative) < 0)
			s->url = NULL;
		return s->url != NULL ? 0
				      : err_set(err, ENOMEM, "out of memory");
	}
	s->url = auth_env("AWS_CONTAINER_CREDENTIALS_FULL_URI");
	if (s->url == NULL)
		return err_set(err, ENOENT,
			       "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI and "
			       "AWS_CONTAINER_CREDENTIALS_FULL_URI are not set");
	return check_url(s, err);
}

int aws_container_source_create(struct aws_source **out, struct err *err)
{
	struct container_source *s = calloc(1, sizeof(*s));
	int rc;

	*out = NULL;
	if (s == NULL)
		return err_set(err, ENOMEM, "out of memory");
	s->base =
		(struct aws_source){.ops = &container_ops, .name = "container"};
	s->token_file = auth_env("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE");
	rc = find_url(s, err);
	if (rc < 0) {
		container_destroy(&s->base);
		return rc;
	}
	*out = &s->base;
	return 0;
}
