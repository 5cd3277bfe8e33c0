/* SPDX-License-Identifier: MIT */
/* A call of AWS's API at a server with a script, and its outcome. */
#ifndef CONNFS_TESTS_UNIT_CALL_SCENE_H
#define CONNFS_TESTS_UNIT_CALL_SCENE_H

#include "auth/aws/call.h"
#include "tests/unit/http_server.h"

enum {
	PLENTY_MS = 20000, /* never reached */
	SHORT_MS = 300,
	SOON_MS = 5000, /* what took less did not wait for anything else */
};

#define JSON_ERROR(type) "{\"__type\":\"" type "\",\"message\":\"Because\"}"

/* Hands out "old" keys, then, asked for fresh ones, "new". */
struct keys_given {
	bool temporary;
	unsigned n, n_fresh;
	int rc;
};

struct scene {
	struct http_server server;
	struct keys_given given;
	struct aws_signer signer;
	struct aws_call call;
	struct secret answer;
	struct aws_error error;
	struct err err;
	uint64_t took_ms;
	size_t n_sent;
	int rc;
};

/* A call of GetParameter, signed; to be changed before it is made. */
void scene_prepare(struct scene *s, const struct http_answer *script,
		   size_t n_script);
void scene_call(struct scene *s);
void scene_play(struct scene *s, const struct http_answer *script,
		size_t n_script); /* both */
void scene_finish(struct scene *s);

#endif
