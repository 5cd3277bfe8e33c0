/* SPDX-License-Identifier: MIT */
/*
 * What is kept of credentials, until when, and what creds/ says of it. The
 * attempts to obtain one are the test's own, and so is the clock.
 *
 *     test_auth_life DIRECTORY
 */
#include "auth/auth.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdatomic.h>

#include "auth/resolution.h"
#include "tests/unit/check.h"
#include "tests/unit/fake_clock.h"

enum { N_THREADS = 200 };

/* What the next attempts bring; life 0: it does not expire. */
static struct {
	const char *error; /* null: they succeed */
	enum resolution_keep keep;
	int64_t life;
	bool is_token;
	bool was_kept;
} script;

static atomic_int n_runs;
static struct resolution_wish wished; /* of the last one */
static atomic_bool holds;             /* attempts wait for `go` */
static sem_t begun, go;

int __wrap_resolution_run(struct resolution *resolution,
			  struct resolution_wish wish, struct resolved *out,
			  struct err *err);
int __wrap_resolution_run(struct resolution *resolution,
			  struct resolution_wish wish, struct resolved *out,
			  struct err *err)
{
	struct credential *c = &out->credential;
	char password[32];
	int n;

	wished = wish;
	CHECK(resolution_expect(resolution, out) == 0);
	n = snprintf(password, sizeof(password), "password %d", ++n_runs);
	if (holds) {
		CHECK(sem_post(&begun) == 0);
		CHECK(sem_wait(&go) == 0);
	}
	if (script.error != NULL)
		return err_set(err, ETIMEDOUT, "%s", script.error);
	CHECK(secret_set(&c->password, password, (size_t)n) == 0);
	if (script.life != 0)
		c->expires_at = fake_clock_now() + script.life;
	c->is_token = script.is_token;
	c->was_kept = script.was_kept;
	out->keep = script.keep;
	return 0;
}

static atomic_int n_waiting;

int __real_pthread_cond_wait(pthread_cond_t *cond, pthread_mutex_t *mutex);
int __wrap_pthread_cond_wait(pthread_cond_t *cond, pthread_mutex_t *mutex);
int __wrap_pthread_cond_wait(pthread_cond_t *cond, pthread_mutex_t *mutex)
{
	n_waiting++;
	return __real_pthread_cond_wait(cond, mutex);
}

static struct auth *create(enum auth_token token)
{
	const struct auth_config config = {
		.conn_id = "shop",
		.user = "scott",
		.host = "shop.abc.eu-west-1.rds.amazonaws.com",
		.database = "shop",
		.needs_login = true,
		.token = token,
	};
	struct auth *auth;

	CHECK(auth_create(&auth, &config, NULL) == 0);
	script.error = NULL;
	script.life = 900;
	script.keep = token == AUTH_TOKEN_RDS ? KEEP_SIGNED : KEEP_TEMPORARY;
	script.is_token = true;
	script.was_kept = false;
	n_runs = 0;
	return auth;
}

static void check_get(struct auth *auth, const char *password, bool was_kept)
{
	struct credential c;
	struct err err = {0};

	CHECK(auth_get(auth, &c, &err) == 0);
	CHECK_TEXT(err.msg, "");
	CHECK_TEXT(c.user, "scott");
	CHECK_TEXT(c.host, "shop.abc.eu-west-1.rds.amazonaws.com");
	CHECK_TEXT(c.database, "shop");
	CHECK_TEXT(c.password.data, password);
	CHECK(c.is_token == script.is_token);
	CHECK(c.was_kept == was_kept);
	credential_finish(&c);
}

static void check_get_fails(struct auth *auth, const char *error)
{
	struct credential c;
	struct err err = {0};

	CHECK(auth_get(auth, &c, &err) == -EKEYREJECTED);
	CHECK(err.code == EKEYREJECTED);
	CHECK_TEXT(err.msg, error);
}

/* life: seconds left; 0: nothing that expires is held. */
static void check_status(struct auth *auth, enum auth_state state, int64_t life,
			 const char *error)
{
	struct auth_status status;

	auth_status(auth, &status);
	CHECK_TEXT(auth_state_name(status.state), auth_state_name(state));
	CHECK_TEXT(status.user, "scott");
	CHECK_TEXT(status.host, "shop.abc.eu-west-1.rds.amazonaws.com");
	CHECK_TEXT(status.error.msg, error);
	CHECK(status.expires_at == (life != 0 ? fake_clock_now() + life : 0));
}

static void check_peek(struct auth *auth, const char *password)
{
	auto_secret struct secret got = {0};

	CHECK(auth_peek(auth, &got) == (password != NULL ? 0 : -ENODATA));
	CHECK_TEXT(got.data, password);
}

/* Time goes on, and whatever the refresher does then is done. */
static void advance(int64_t seconds)
{
	fake_clock_await_sleep(fake_clock_advance(seconds * 1000));
}

/* One is made for every login, and another before it expires. */
static void test_signed_tokens(void)
{
	struct auth *auth = create(AUTH_TOKEN_RDS);
	struct auth_status status;

	auth_status(auth, &status);
	CHECK(status.state == AUTH_STATE_NONE && status.issued_at == 0);
	CHECK_TEXT(status.source, "rds-iam");
	check_peek(auth, NULL);
	check_get(auth, "password 1", false);
	check_get(auth, "password 2", false);
	check_peek(auth, "password 2");
	auth_status(auth, &status);
	CHECK(status.issued_at == fake_clock_now());
	advance(599);
	CHECK(n_runs == 2);
	check_status(auth, AUTH_STATE_VALID, 301, "");
	advance(1);
	CHECK(n_runs == 3);
	check_status(auth, AUTH_STATE_VALID, 900, "");
	check_peek(auth, "password 3");
	advance(600);
	CHECK(n_runs == 4);
	auth_destroy(auth);
}

/* Days, each token used once in a while. */
static void test_lives_on(void)
{
	struct auth *auth = create(AUTH_TOKEN_REDSHIFT);

	check_get(auth, "password 1", false);
	for (int i = 0; i < 3 * 24 * 6; i++) {
		advance(600);
		check_status(auth, AUTH_STATE_VALID, 900, "");
		CHECK(n_runs == i + 2);
	}
	auth_destroy(auth);
}

/* What AWS gave is used until it is about to expire. */
static void test_temporary_passwords_are_kept(void)
{
	struct auth *auth = create(AUTH_TOKEN_REDSHIFT);

	check_get(auth, "password 1", false);
	check_get(auth, "password 1", true);
	advance(600);
	check_get(auth, "password 2", true);
	script.error = "AWS is away";
	advance(839);
	n_runs = 0;
	check_get(auth, "password 2", true);
	CHECK(n_runs == 0);
	/* A minute before its end a login looks for another. */
	advance(1);
	n_runs = 0;
	check_get(auth, "password 2", true);
	CHECK(n_runs == 1);
	script.error = NULL;
	check_get(auth, "password 2", false);
	auth_destroy(auth);
}

/* Each part of the way down, and up again. */
static void test_a_renewal_that_fails(void)
{
	struct auth *auth = create(AUTH_TOKEN_RDS);

	check_get(auth, "password 1", false);
	script.error = "keys are away";
	advance(600);
	CHECK(n_runs == 2);
	check_status(auth, AUTH_STATE_EXPIRING, 300, "keys are away");
	check_get(auth, "password 1", true);
	CHECK(n_runs == 3);
	check_peek(auth, "password 1");
	/* It is tried again and again. */
	advance(10);
	CHECK(n_runs == 4);
	script.error = NULL;
	advance(60);
	CHECK(n_runs == 5);
	check_status(auth, AUTH_STATE_VALID, 900, "");

	script.error = "keys are gone";
	advance(600);
	check_status(auth, AUTH_STATE_EXPIRING, 300, "keys are gone");
	advance(299);
	check_get(auth, "password 5", true);
	advance(1);
	check_status(auth, AUTH_STATE_FAILED, 0, "keys are gone");
	check_peek(auth, NULL);
	check_get_fails(auth, "keys are gone");
	script.error = NULL;
	n_runs = 0;
	check_get(auth, "password 1", false);
	check_status(auth, AUTH_STATE_VALID, 900, "");
	auth_destroy(auth);
}

/* AWS is away for longer than what there was lasts; nobody has to be there. */
static void test_a_renewal_that_comes_too_late(void)
{
	struct auth *auth = create(AUTH_TOKEN_REDSHIFT);
	int before;

	check_get(auth, "password 1", false);
	script.error = "AWS is away";
	advance(900);
	check_status(auth, AUTH_STATE_FAILED, 0, "AWS is away");
	before = n_runs;
	for (int i = 0; i < 600; i++)
		advance(1);
	/* Once a minute. */
	CHECK(n_runs - before >= 9 && n_runs - before <= 12);
	script.error = NULL;
	advance(60);
	check_status(auth, AUTH_STATE_VALID, 900, "");
	advance(600);
	check_status(auth, AUTH_STATE_VALID, 900, "");
	auth_destroy(auth);

	/* Who never had anything is not missed. */
	auth = create(AUTH_TOKEN_REDSHIFT);
	script.error = "AWS is away";
	check_get_fails(auth, "AWS is away");
	advance(900);
	CHECK(n_runs == 1);
	auth_destroy(auth);
}

/* The machine slept: the state is that of this moment, not of the last call. */
static void test_expired_while_asleep(void)
{
	struct auth *auth = create(AUTH_TOKEN_RDS);
	unsigned sleeps;

	check_get(auth, "password 1", false);
	holds = true;
	sleeps = fake_clock_advance(901000);
	check_status(auth, AUTH_STATE_EXPIRED, -1, "");
	check_peek(auth, NULL);
	CHECK(sem_wait(&begun) == 0);
	check_status(auth, AUTH_STATE_EXPIRED, -1, "");
	holds = false;
	CHECK(sem_post(&go) == 0);
	fake_clock_await_sleep(sleeps);
	check_status(auth, AUTH_STATE_VALID, 900, "");
	check_get(auth, "password 3", false);
	auth_destroy(auth);
}

/* Keys that end in a moment are used up, without haste. */
static void test_short_lives(void)
{
	struct auth *auth = create(AUTH_TOKEN_RDS);

	script.life = 3;
	check_get(auth, "password 1", false);
	advance(1);
	CHECK(n_runs == 1);
	advance(1);
	CHECK(n_runs == 2);
	check_status(auth, AUTH_STATE_VALID, 3, "");
	auth_destroy(auth);

	auth = create(AUTH_TOKEN_RDS);
	script.life = 1;
	check_get(auth, "password 1", false);
	check_status(auth, AUTH_STATE_VALID, 1, "");
	auth_destroy(auth);
}

/* The owner may be the thread that answers the kernel, and is not held up. */
static void test_destroyed_while_it_is_renewed(void)
{
	struct auth *auth = create(AUTH_TOKEN_RDS);
	unsigned sleeps;

	check_get(auth, "password 1", false);
	holds = true;
	sleeps = fake_clock_advance(600000);
	CHECK(sem_wait(&begun) == 0);
	auth_destroy(auth);
	holds = false;
	CHECK(sem_post(&go) == 0);
	fake_clock_await_sleep(sleeps);
	CHECK(n_runs == 2);
}

static void *get_first(void *arg)
{
	check_get(arg, "password 1", false);
	return NULL;
}

static void test_many_wait_for_one_attempt(void)
{
	struct auth *auth = create(AUTH_TOKEN_REDSHIFT);
	pthread_t threads[N_THREADS];

	holds = true;
	n_waiting = 0;
	for (size_t i = 0; i < N_THREADS; i++)
		CHECK(pthread_create(&threads[i], NULL, get_first, auth) == 0);
	CHECK(sem_wait(&begun) == 0);
	while (n_waiting < N_THREADS - 1)
		CHECK(sched_yield() == 0);
	holds = false;
	CHECK(sem_post(&go) == 0);
	for (size_t i = 0; i < N_THREADS; i++)
		CHECK(pthread_join(threads[i], NULL) == 0);
	CHECK(n_runs == 1);
	auth_destroy(auth);
}

/* True: another login is worth it. */
static bool reject(struct auth *auth, const char *password, bool was_kept)
{
	struct credential used = {
		.is_token = script.is_token,
		.was_kept = was_kept,
	};
	bool again;

	CHECK(secret_set(&used.password, password, strlen(password)) == 0);
	again = auth_reject(auth, &used, "no");
	secret_finish(&used.password);
	return again;
}

static void test_rejected(void)
{
	struct auth *auth = create(AUTH_TOKEN_DSQL);
	struct auth_status status;

	script.is_token = false;
	script.life = 0;
	script.keep = KEEP_VALUES;
	check_get(auth, "password 1", false);
	CHECK(!reject(auth, "password 1", false));
	auth_status(auth, &status);
	CHECK(status.state == AUTH_STATE_FAILED);
	CHECK_TEXT(status.error.msg, "no");
	check_peek(auth, NULL);
	check_get(auth, "password 2", false);
	CHECK(wished.forget && !wished.fresh && !wished.fresh_keys);
	/* One that is outdated already says nothing of what is kept. */
	CHECK(reject(auth, "password 1", false));
	check_status(auth, AUTH_STATE_VALID, 0, "");
	check_peek(auth, "password 2");
	script.was_kept = true;
	check_get(auth, "password 3", true);
	CHECK(!wished.forget);
	CHECK(reject(auth, "password 3", true));
	auth_destroy(auth);

	auth = create(AUTH_TOKEN_RDS);
	check_get(auth, "password 1", false);
	check_get(auth, "password 2", false);
	CHECK(reject(auth, "password 1", false));
	auth_status(auth, &status);
	CHECK(status.state == AUTH_STATE_FAILED && status.expires_at == 0);
	CHECK(strncmp(status.error.msg, "no (", 4) == 0);
	check_get(auth, "password 3", false);
	check_status(auth, AUTH_STATE_VALID, 900, "");
	auth_destroy(auth);
}

static void *get_second(void *arg)
{
	check_get(arg, "password 2", false);
	return NULL;
}

static void *get_third(void *arg)
{
	check_get(arg, "password 3", false);
	return NULL;
}

/* An attempt that began before the refusal may bring what was refused. */
static void test_rejected_during_an_attempt(void)
{
	struct auth *auth = create(AUTH_TOKEN_DSQL);
	pthread_t second, third;

	script.is_token = false;
	script.life = 0;
	script.keep = KEEP_VALUES;
	check_get(auth, "password 1", false);
	holds = true;
	CHECK(pthread_create(&second, NULL, get_second, auth) == 0);
	CHECK(sem_wait(&begun) == 0);
	CHECK(!reject(auth, "password 1", false));
	CHECK(pthread_create(&third, NULL, get_third, auth) == 0);
	CHECK(sem_post(&go) == 0);
	CHECK(sem_wait(&begun) == 0);
	CHECK(n_runs == 3 && wished.forget);
	CHECK(pthread_join(second, NULL) == 0);
	holds = false;
	CHECK(sem_post(&go) == 0);
	CHECK(pthread_join(third, NULL) == 0);
	auth_destroy(auth);
}

/* Two had the same, and were refused: one other is enough for both. */
static void test_rejected_by_two(void)
{
	struct auth *auth = create(AUTH_TOKEN_REDSHIFT);
	pthread_t second;

	check_get(auth, "password 1", false);
	CHECK(reject(auth, "password 1", false));
	holds = true;
	CHECK(pthread_create(&second, NULL, get_second, auth) == 0);
	CHECK(sem_wait(&begun) == 0);
	CHECK(reject(auth, "password 1", true));
	holds = false;
	CHECK(sem_post(&go) == 0);
	CHECK(pthread_join(second, NULL) == 0);
	check_get(auth, "password 2", true);
	CHECK(n_runs == 2);
	/* Nobody has said anything of this one. */
	CHECK(reject(auth, "password 2", true));
	check_get(auth, "password 3", false);
	auth_destroy(auth);
}

/* What works still does when obtaining it anew fails. */
static void test_a_refresh_that_fails(void)
{
	static const struct {
		enum resolution_keep keep;
		int64_t life;
		enum auth_state state;
	} cases[] = {
		{KEEP_ALWAYS, 0, AUTH_STATE_VALID},
		{KEEP_VALUES, 0, AUTH_STATE_VALID},
		{KEEP_SIGNED, 900, AUTH_STATE_VALID},
		{KEEP_TEMPORARY, 900, AUTH_STATE_VALID},
		{KEEP_FILE, 0, AUTH_STATE_FAILED},
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct auth *auth = create(AUTH_TOKEN_RDS);
		struct err err = {0};
		bool valid = cases[i].state == AUTH_STATE_VALID;

		script.keep = cases[i].keep;
		script.life = cases[i].life;
		CHECK(auth_refresh(auth, NULL) == 0);
		CHECK(wished.fresh);
		script.error = "away";
		CHECK(auth_refresh(auth, &err) == -EKEYREJECTED);
		CHECK_TEXT(err.msg, "away");
		check_status(auth, cases[i].state, cases[i].life, "away");
		check_peek(auth, valid ? "password 1" : NULL);
		auth_destroy(auth);
	}
}

/* A clock that is wrong by more than a life. */
static void test_expired_when_it_comes(void)
{
	struct auth *auth = create(AUTH_TOKEN_REDSHIFT);

	script.life = -5;
	check_get_fails(auth,
			"redshift-iam: what AWS gave has expired already (is "
			"the clock of this machine right?)");
	auth_destroy(auth);
}

int main(int argc, char **argv)
{
	check_init(argc, argv);
	CHECK(sem_init(&begun, 0, 0) == 0 && sem_init(&go, 0, 0) == 0);
	test_signed_tokens();
	test_lives_on();
	test_temporary_passwords_are_kept();
	test_a_renewal_that_fails();
	test_a_renewal_that_comes_too_late();
	test_expired_while_asleep();
	test_short_lives();
	test_destroyed_while_it_is_renewed();
	test_many_wait_for_one_attempt();
	test_rejected();
	test_rejected_during_an_attempt();
	test_rejected_by_two();
	test_a_refresh_that_fails();
	test_expired_when_it_comes();
	return 0;
}
