/* SPDX-License-Identifier: MIT */
/* One HTTP exchange, with servers that do what they should not. */
#include "auth/aws/http.h"

#include <errno.h>
#include <netdb.h>
#include <semaphore.h>

#include "auth/aws/http_url.h"
#include "common/clock.h"
#include "tests/unit/http_server.h"
#include "tests/unit/loopback.h"

enum {
	PLENTY_MS = 20000, /* never reached */
	SHORT_MS = 300,
	SOON_MS = 5000, /* what took less did not wait for anything else */
};

/*
 * Name servers: silent for one name, and know none of the others. (libc's own
 * parameters have reserved names.)
 */
static sem_t silence;

/* NOLINTNEXTLINE(readability-inconsistent-declaration-parameter-name) */
int getaddrinfo(const char *name, const char *service,
		const struct addrinfo *hints, struct addrinfo **result)
{
	if (strcmp(name, "silent.test") == 0)
		CHECK(sem_wait(&silence) == 0);
	return EAI_NONAME;
}

static struct http_request get(const char *url)
{
	return (struct http_request){
		.method = "GET",
		.url = url,
		.connect_timeout_ms = PLENTY_MS,
		.timeout_ms = PLENTY_MS,
		.direct = true,
	};
}

static void check_perform(struct http_response *response,
			  const struct http_request *request)
{
	struct err err = {0};

	if (http_perform(response, request, &err) != HTTP_OK)
		(void)fprintf(stderr, "%s: %s\n", request->url, err.msg);
	CHECK(err.code == 0);
}

/* Null msg: any, but for a secret. */
static void check_fails(const struct http_request *request,
			enum http_failure failure, int code, const char *msg)
{
	struct http_response response;
	struct err err = {0};
	enum http_failure got = http_perform(&response, request, &err);

	if (got != failure)
		(void)fprintf(stderr, "%s: %s\n", request->url, err.msg);
	CHECK(got == failure);
	CHECK(response.body.data == NULL);
	http_response_finish(&response);
	if (msg != NULL)
		CHECK_TEXT(err.msg, msg);
	CHECK(err.code == code);
	CHECK(strstr(err.msg, "hunter2") == NULL);
}

static void test_request_and_answer(void)
{
	static const struct http_answer script = {
		.status = "400 Bad Request",
		.headers = "Date: Sun, 30 Aug 2015 12:36:00 GMT\r\n"
			   "x-amz-retry-after: 1500\r\n"
			   "x-amzn-ErrorType: Throttling:http://x\r\n"
			   "x-amzn-RequestId: 1-2-3\r\n",
		.body = "the body",
	};
	static const char *const headers[] = {"X-One: first",
					      "Authorization: hunter2", NULL};
	struct http_server server;
	struct http_response response;
	struct http_request request;
	char url[128];

	http_server_start(&server, &script, 1);
	(void)snprintf(url, sizeof(url), "%s/a/b?c=d", server.url);
	request = get(url);
	request.headers = headers;
	check_perform(&response, &request);
	CHECK(response.status == 400);
	CHECK_TEXT(response.body.data, "the body");
	CHECK(response.date == 1440938160);
	CHECK(response.retry_after_ms == 1500);
	CHECK_TEXT(response.error_type, "Throttling:http://x");
	CHECK_TEXT(response.request_id, "1-2-3");
	http_response_finish(&response);

	CHECK(strncmp(server.requests[0], "GET /a/b?c=d HTTP/1.1\r\n", 23) ==
	      0);
	CHECK_TEXT(http_server_header(&server, 0, "X-One"), "first");
	CHECK_TEXT(http_server_header(&server, 0, "Authorization"), "hunter2");
	CHECK_TEXT(http_server_header(&server, 0, "Host"), server.host);
	CHECK(http_server_header(&server, 0, "Accept") == NULL);
	CHECK(http_server_header(&server, 0, "Content-Type") == NULL);
	CHECK(http_server_header(&server, 0, "User-Agent") == NULL);
	http_server_stop(&server);
}

static void test_bodies_are_sent_at_once(void)
{
	static const struct http_answer script = {.status = "204 No Content"};
	static const char *const headers[] = {"content-type: text/x",
					      "Accept: application/json", NULL};
	static char body[8000];
	struct http_server server;
	struct http_response response;
	struct http_request request;

	memset(body, 'x', sizeof(body) - 1);
	http_server_start(&server, &script, 1);
	request = get(server.url);
	request.method = "PUT";
	request.headers = headers;
	request.body = body;
	request.body_len = sizeof(body) - 1;
	check_perform(&response, &request);
	CHECK(response.status == 204 && response.body.data == NULL);
	CHECK(response.date == 0 && response.retry_after_ms == -1);
	CHECK_TEXT(response.error_type, "");
	http_response_finish(&response);
	CHECK(strncmp(server.requests[0], "PUT / HTTP/1.1\r\n", 16) == 0);
	CHECK_TEXT(http_server_header(&server, 0, "Content-Type"), "text/x");
	CHECK_TEXT(http_server_header(&server, 0, "Accept"),
		   "application/json");
	CHECK(http_server_header(&server, 0, "Expect") == NULL);
	CHECK_TEXT(http_server_body(&server, 0), body);
	http_server_stop(&server);
}

/* What a cache kept has the time of then; other values are no times at all. */
static void test_headers_that_are_not_believed(void)
{
	static const struct http_answer script[] = {
		{.status = "200 OK",
		 .headers = "Date: Sun, 30 Aug 2015 12:36:00 GMT\r\n"
			    "Age: 3600\r\nx-amz-retry-after: -5\r\n"},
		{.status = "200 OK",
		 .headers = "Date: tomorrow\r\nx-amz-retry-after: 5 s\r\n"},
		{.status = "200 OK",
		 .headers = "x-amz-retry-after: 99999999999999999999\r\n"},
	};
	static const int64_t delays[] = {-1, -1, 3600000};
	struct http_server server;

	http_server_start(&server, script, COUNT(script));
	for (size_t i = 0; i < COUNT(script); i++) {
		struct http_request request = get(server.url);
		struct http_response response;

		check_perform(&response, &request);
		CHECK(response.date == 0);
		CHECK(response.retry_after_ms == delays[i]);
		http_response_finish(&response);
	}
	http_server_stop(&server);
}

static void test_redirects_are_not_followed(void)
{
	struct http_answer script = {.status = "302 Found"};
	struct http_server server;
	struct http_response response;
	struct http_request request;
	char location[128];

	http_server_start(&server, &script, 1);
	(void)snprintf(location, sizeof(location), "Location: %s/other\r\n",
		       server.url);
	script.headers = location;
	request = get(server.url);
	check_perform(&response, &request);
	CHECK(response.status == 302);
	http_response_finish(&response);
	CHECK(http_server_count(&server) == 1);
	http_server_stop(&server);
}

static void test_bodies_have_a_limit(void)
{
	static char body[HTTP_BODY_MAX + 1];
	struct http_answer script[] = {
		{.status = "200 OK", .body = body, .body_len = HTTP_BODY_MAX},
		{.status = "200 OK",
		 .body = body,
		 .body_len = HTTP_BODY_MAX + 1},
	};
	struct http_server server;
	struct http_response response;
	struct http_request request;
	char msg[128];

	memset(body, 'x', sizeof(body));
	http_server_start(&server, script, COUNT(script));
	request = get(server.url);
	check_perform(&response, &request);
	CHECK(response.body.len == HTTP_BODY_MAX);
	CHECK(memcmp(response.body.data, body, HTTP_BODY_MAX) == 0);
	http_response_finish(&response);
	(void)snprintf(msg, sizeof(msg), "%s: the answer is too long",
		       server.host);
	check_fails(&request, HTTP_FATAL, EIO, msg);
	http_server_stop(&server);
}

static void test_connections_that_are_lost(void)
{
	static const struct http_answer script[] = {
		{.manner = HTTP_DROPS},
		{.manner = HTTP_CUTS_SHORT, .status = "200 OK", .body = "part"},
	};
	struct http_server server;
	struct http_request request;
	char msg[128];

	http_server_start(&server, script, COUNT(script));
	request = get(server.url);
	(void)snprintf(msg, sizeof(msg), "%s: the connection was lost",
		       server.host);
	check_fails(&request, HTTP_TRANSIENT, EIO, msg);
	check_fails(&request, HTTP_TRANSIENT, EIO, msg);
	http_server_stop(&server);
}

/* A byte now and then is no reason to wait for ever. */
static void test_time_is_limited(void)
{
	static const struct http_answer script[] = {
		{.manner = HTTP_DRIPS, .status = "200 OK"},
		{.manner = HTTP_STALLS},
	};
	struct http_server server;
	struct http_request request;
	char msg[128];

	http_server_start(&server, script, COUNT(script));
	request = get(server.url);
	request.timeout_ms = SHORT_MS;
	(void)snprintf(msg, sizeof(msg), "%s: no answer in time", server.host);
	for (size_t i = 0; i < COUNT(script); i++) {
		uint64_t start = clock_mono_ms();

		check_fails(&request, HTTP_TRANSIENT, ETIMEDOUT, msg);
		CHECK(clock_mono_ms() - start >= SHORT_MS / 2);
		CHECK(clock_mono_ms() - start < SOON_MS);
	}
	http_server_stop(&server);
}

static void test_nobody_listens(void)
{
	struct http_request request;
	char url[64], msg[128];
	uint16_t port;
	int fd = loopback_socket(false, &port);

	(void)snprintf(url, sizeof(url), "http://127.0.0.1:%u/?hunter2", port);
	(void)snprintf(msg, sizeof(msg), "127.0.0.1:%u: Connection refused",
		       port);
	request = get(url);
	check_fails(&request, HTTP_TRANSIENT, ECONNREFUSED, msg);
	CHECK(close(fd) == 0);
}

static void test_names(void)
{
	struct http_request request = get("https://unknown.test/?t=hunter2");
	uint64_t start;

	check_fails(&request, HTTP_TRANSIENT, EHOSTUNREACH,
		    "unknown.test: the host name is not known");
	request = get("http://silent.test:81/");
	request.timeout_ms = SHORT_MS;
	start = clock_mono_ms();
	check_fails(&request, HTTP_TRANSIENT, ETIMEDOUT,
		    "silent.test:81: cannot be reached in time");
	CHECK(clock_mono_ms() - start < SOON_MS);
	CHECK(sem_post(&silence) == 0);
}

static void test_requests_that_are_not_sent(void)
{
	static const char *const urls[] = {
		"",
		"hunter2",
		"ftp://host/hunter2",
		"file:///hunter2",
		"http://user:hunter2@host/",
		"http://ho st/hunter2",
		"http://host:99999/hunter2",
	};
	static const char *const headers[] = {"X: hunter2\r\nY: 2", NULL};
	struct http_request request;

	for (size_t i = 0; i < COUNT(urls); i++) {
		request = get(urls[i]);
		check_fails(&request, HTTP_FATAL, EIO, NULL);
	}
	request = get("http://127.0.0.1:1/");
	request.headers = headers;
	check_fails(&request, HTTP_FATAL, EIO,
		    "127.0.0.1:1: a header would have control characters");
}

/* Metadata and loopback are asked directly; all others by the environment. */
static void test_proxies(void)
{
	static const struct http_answer script = {.status = "200 OK"};
	struct http_server server;
	struct http_response response;
	struct http_request request = get("http://elsewhere.test/x");
	char proxy[128];

	http_server_start(&server, &script, 1);
	(void)snprintf(proxy, sizeof(proxy), "http://user:hunter2@%s",
		       server.host);
	CHECK(setenv("http_proxy", proxy, 1) == 0);
	request.direct = false;
	check_perform(&response, &request);
	http_response_finish(&response);
	CHECK(strncmp(server.requests[0], "GET http://elsewhere.test/x ", 28) ==
	      0);
	request.direct = true;
	check_fails(&request, HTTP_TRANSIENT, EHOSTUNREACH,
		    "elsewhere.test: the host name is not known");
	http_server_stop(&server);

	request.direct = false;
	check_fails(&request, HTTP_TRANSIENT, ECONNREFUSED, NULL);
	CHECK(setenv("http_proxy", "http://user:hunter2@proxy.test", 1) == 0);
	check_fails(&request, HTTP_TRANSIENT, EHOSTUNREACH,
		    "elsewhere.test: the name of the proxy is not known");
	CHECK(setenv("http_proxy", "odd://user:hunter2@proxy.test", 1) == 0);
	check_fails(&request, HTTP_TRANSIENT, EHOSTUNREACH,
		    "elsewhere.test: cannot be reached");
	CHECK(unsetenv("http_proxy") == 0);
}

static void test_parts_of_urls(void)
{
	static const struct {
		const char *url, *host, *path, *query;
		bool loopback;
	} cases[] = {
		{"https://ssm.eu-west-1.amazonaws.com",
		 "ssm.eu-west-1.amazonaws.com", "/", NULL, false},
		{"https://host:443/a/", "host", "/a/", NULL, false},
		{"http://host:443/?a=b&c", "host:443", "/", "a=b&c", false},
		{"http://127.0.0.2:8000/x", "127.0.0.2:8000", "/x", NULL, true},
		{"http://LOCALHOST", "LOCALHOST", "/", NULL, true},
		{"http://[::1]:80/", "[::1]", "/", NULL, true},
		{"http://[fd00:ec2::254]:81/", "[fd00:ec2::254]:81", "/", NULL,
		 false},
		{"http://128.0.0.1/", "128.0.0.1", "/", NULL, false},
		{"http://127.example.com/", "127.example.com", "/", NULL,
		 false},
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct http_url url;

		CHECK(http_url_parse(&url, cases[i].url, NULL) == 0);
		CHECK_TEXT(url.host, cases[i].host);
		CHECK_TEXT(url.path, cases[i].path);
		CHECK_TEXT(url.query, cases[i].query);
		CHECK(url.loopback == cases[i].loopback);
		http_url_finish(&url);
	}
}

static void test_sleep(void)
{
	uint64_t start = clock_mono_ms();

	CHECK(http_sleep(0) == 0);
	CHECK(http_sleep(50) == 0);
	CHECK(clock_mono_ms() - start >= 50);
}

static void *stop_when_asked(void *arg)
{
	http_server_wait(arg, 1);
	http_stop();
	return NULL;
}

/* The last one: nothing works afterwards. */
static void test_stop_ends_what_is_under_way(void)
{
	static const struct http_answer script = {.manner = HTTP_STALLS};
	uint64_t start = clock_mono_ms();
	struct http_server server;
	struct http_request request;
	pthread_t thread;
	char msg[128];

	http_server_start(&server, &script, 1);
	(void)snprintf(msg, sizeof(msg), "%s: given up: connfs ends",
		       server.host);
	CHECK(pthread_create(&thread, NULL, stop_when_asked, &server) == 0);
	request = get(server.url);
	check_fails(&request, HTTP_FATAL, ECANCELED, msg);
	CHECK(pthread_join(thread, NULL) == 0);
	check_fails(&request, HTTP_FATAL, ECANCELED, msg);
	CHECK(http_sleep(PLENTY_MS) == -ECANCELED);
	CHECK(clock_mono_ms() - start < SOON_MS);
	CHECK(http_server_count(&server) == 1);
	http_server_stop(&server);
}

int main(int argc, char **argv)
{
	check_init(argc, argv);
	CHECK(sem_init(&silence, 0, 0) == 0);
	test_request_and_answer();
	test_bodies_are_sent_at_once();
	test_headers_that_are_not_believed();
	test_redirects_are_not_followed();
	test_bodies_have_a_limit();
	test_connections_that_are_lost();
	test_time_is_limited();
	test_nobody_listens();
	test_names();
	test_requests_that_are_not_sent();
	test_proxies();
	test_parts_of_urls();
	test_sleep();
	test_stop_ends_what_is_under_way();
	return 0;
}
