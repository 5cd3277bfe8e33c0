/* SPDX-License-Identifier: MIT */
/*
 * An HTTP server in a thread of the test that answers by a script: the n-th
 * connection gets the n-th answer, and the last one from then on. One
 * connection at a time, one request each.
 */
#ifndef CONNFS_TESTS_UNIT_HTTP_SERVER_H
#define CONNFS_TESTS_UNIT_HTTP_SERVER_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { HTTP_REQUEST_MAX = 16384, HTTP_REQUESTS_MAX = 16 };

enum http_manner {
	HTTP_ANSWERS,
	HTTP_DROPS,      /* reads the request and closes */
	HTTP_STALLS,     /* reads the request, and is silent until they close */
	HTTP_DRIPS,      /* sends the head, then a byte each 10 ms for ever */
	HTTP_CUTS_SHORT, /* closes before the end of the body */
};

struct http_answer {
	enum http_manner manner;
	const char *status;  /* "200 OK" */
	const char *headers; /* lines that end with \r\n; null: none */
	const char *body;    /* null: none */
	size_t body_len;     /* 0: of the string */
};

struct http_server {
	pthread_t thread;
	int fd;
	int wake; /* eventfd: to end */
	uint16_t port;
	char host[32]; /* "127.0.0.1:port" */
	char url[48];  /* "http://127.0.0.1:port" */
	const struct http_answer *script;
	size_t n_script;
	pthread_mutex_t mutex;
	pthread_cond_t arrived; /* a request */
	size_t n_requests;      /* mutex */
	/* mutex; head and body as they came */
	char requests[HTTP_REQUESTS_MAX][HTTP_REQUEST_MAX];
};

/* script lives until the stop. */
void http_server_start(struct http_server *server,
		       const struct http_answer *script, size_t n_script);
void http_server_stop(struct http_server *server);

/* Until that many requests were read. */
void http_server_wait(struct http_server *server, size_t n_requests);
size_t http_server_count(struct http_server *server);

/*
 * The value of a header of the n-th request, null when there is none; good
 * until the next call.
 */
const char *http_server_header(struct http_server *server, size_t n,
			       const char *name);
const char *http_server_body(struct http_server *server, size_t n);

#endif
