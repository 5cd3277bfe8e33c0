/* SPDX-License-Identifier: MIT */
#include "tests/unit/call_scene.h"

#include "common/clock.h"
#include "tests/unit/check.h"

static int give_keys(void *arg, bool fresh, struct aws_keys *out,
		     struct err *err)
{
	struct keys_given *given = arg;
	const char *token;

	given->n++;
	given->n_fresh += fresh ? 1 : 0;
	if (given->rc < 0)
		return err_set(err, -given->rc, "no keys");
	token = given->n_fresh > 0 ? "newtoken" : "oldtoken";
	CHECK(secret_set(&out->access_key, "AKIDEXAMPLE", 11) == 0);
	CHECK(secret_set(&out->secret_key, "hunter2", 7) == 0);
	if (given->temporary)
		CHECK(secret_set(&out->session_token, token, 8) == 0);
	return 0;
}

void scene_prepare(struct scene *s, const struct http_answer *script,
		   size_t n_script)
{
	memset(s, 0, sizeof(*s));
	http_server_start(&s->server, script, n_script);
	s->signer = (struct aws_signer){give_keys, &s->given};
	s->call = (struct aws_call){
		.service = AWS_SERVICE_SSM,
		.region = "eu-west-1",
		.url = s->server.url,
		.operation = "GetParameter",
		.target = "AmazonSSM",
		.body = "{\"Name\":\"p\"}",
		.body_len = 12,
		.signer = &s->signer,
	};
}

void scene_call(struct scene *s)
{
	uint64_t start = clock_mono_ms();

	CHECK(secret_set(&s->answer, "old", 3) == 0);
	s->rc = aws_call(&s->answer, &s->call, &s->error, &s->err);
	s->took_ms = clock_mono_ms() - start;
	s->n_sent = http_server_count(&s->server);
	CHECK(s->rc <= 0 && s->err.code == -s->rc);
	CHECK((s->rc == 0) == (s->err.msg[0] == '\0'));
	CHECK(strstr(s->err.msg, "hunter2") == NULL);
}

void scene_finish(struct scene *s)
{
	secret_finish(&s->answer);
	http_server_stop(&s->server);
}

void scene_play(struct scene *s, const struct http_answer *script,
		size_t n_script)
{
	scene_prepare(s, script, n_script);
	scene_call(s);
}
