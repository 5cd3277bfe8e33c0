/* SPDX-License-Identifier: MIT */
/* Who may use a connection, and the text of client.json. */
#include "fs/access.h"

#include <grp.h>

#include "common/buf.h"
#include "common/err.h"
#include "fs/caller.h"
#include "fs/cgroup.h"
#include "fs/config.h"
#include "tests/unit/check.h"
#include "tests/unit/children.h"

static uid_t rule_uids[] = {1000, 1001};
static gid_t rule_gids[] = {24, 2000};

static const struct access_rule nobody;
static const struct access_rule everyone = {.everyone = true};
static const struct access_rule root = {.uids = (uid_t[]){0}, .n_uids = 1};
static const struct access_rule users = {.uids = rule_uids, .n_uids = 2};
static const struct access_rule groups = {.gids = rule_gids, .n_gids = 2};
static const struct access_rule both = {
	.uids = rule_uids, .n_uids = 2, .gids = rule_gids, .n_gids = 2};

static void run_with_group(int ready, void *arg)
{
	static const gid_t gids[] = {23, 24};

	(void)arg;
	CHECK(setgroups(2, gids) == 0);
	child_stays(ready);
}

static void run_without_groups(int ready, void *arg)
{
	CHECK(setgroups(0, NULL) == 0);
	run_staying(ready, arg);
}

static struct caller identify(pid_t pid, uid_t uid, gid_t gid)
{
	struct caller c;

	CHECK(caller_identify(&c, pid, uid, gid) == 0);
	return c;
}

static void test_rules(void)
{
	pid_t in_group = child_start(run_with_group, NULL);
	pid_t plain = child_start(run_without_groups, NULL);
	const struct {
		const struct access_rule *rule;
		pid_t pid;
		uid_t uid;
		gid_t gid;
		bool allowed;
	} cases[] = {
		{&nobody, plain, 0, 0, true}, /* the owner */
		{&nobody, plain, 1000, 1000, false},
		{&everyone, plain, 1000, 1000, true},
		{&users, plain, 1000, 1000, true},
		{&users, plain, 1001, 1000, true},
		{&users, plain, 1002, 1000, false},
		{&users, in_group, 1002, 24, false},
		{&groups, plain, 1000, 2000, true},
		{&groups, plain, 1000, 1000, false},
		{&groups, in_group, 1000, 1000, true},
		{&both, in_group, 1002, 1000, true},
		{&both, plain, 1000, 1000, true},
		{&both, plain, 1002, 1000, false},
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct caller c =
			identify(cases[i].pid, cases[i].uid, cases[i].gid);
		struct caller_names names;

		caller_describe(&c, &names);
		CHECK(access_allowed(cases[i].rule, &c) == cases[i].allowed);
		CHECK(access_still_allowed(cases[i].rule, &c, &names) ==
		      cases[i].allowed);
		caller_names_finish(&names);
	}
	child_end(in_group);
	child_end(plain);
}

/* Root of a container that has only its pids to itself. */
static void test_uid_0_elsewhere_is_an_ordinary_caller(void)
{
	struct caller c = identify(getpid(), 0, 0);

	c.pid_ns++;
	CHECK(!access_allowed(&nobody, &c));
	CHECK(!access_allowed(&users, &c));
	CHECK(access_allowed(&root, &c));
	CHECK(access_allowed(&everyone, &c));
}

/* Of a control group of these, by rules for each of its sides. */
static struct cgroup job = {
	.path = NULL,
	.names = {.container = "0123456789abcdef"},
};

static char never[] = "/never";

static bool lets_in(const struct access_rule *rule, const char *path,
		    bool trusted)
{
	struct caller c = {.uid = 1000, .gid = 1000};
	struct caller_names names = {.cgroup = &job};
	char copy[300];

	(void)snprintf(copy, sizeof(copy), "%s", path);
	job.path = copy;
	job.trusted = trusted;
	return access_still_allowed(rule, &c, &names);
}

/* A star ends at a slash, a backslash is itself, "/" is the root alone. */
static void test_globs_on_paths(void)
{
	static struct {
		char glob[24];
		const char *path;
		bool matches;
	} cases[] = {
		{"/jobs/etl", "/jobs/etl", true},
		{"/jobs/etl", "/jobs/etl/step", false},
		{"/jobs/etl", "/jobs/etl2", false},
		{"/jobs/*", "/jobs/etl", true},
		{"/jobs/*", "/jobs/.etl", true},
		{"/jobs/*", "/jobs/etl/step", false},
		{"/jobs/*", "/jobs", false},
		{"/jobs/*/step", "/jobs/etl/step", true},
		{"/jobs/*/step", "/jobs/a/b/step", false},
		{"/jobs?etl", "/jobs/etl", false},
		{"/jobs[/]etl", "/jobs/etl", false},
		{"/jobs/[a-e]*", "/jobs/etl", true},
		{"/jobs/[!a-e]*", "/jobs/etl", false},
		{"/a\\x2db", "/a\\x2db", true},
		{"/a\\x2db", "/ax2db", false},
		{"/a[*]", "/a*", true},
		{"/a[*]", "/ab", false},
		{"/", "/", true},
		{"/*", "/", false},
		{"/*", "/jobs", true},
		{"/jobs/\xc3\xa9?", "/jobs/\xc3\xa9t", true},
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		char *globs[] = {never, cases[i].glob};
		struct access_rule rule = {.cgroups = globs, .n_cgroups = 2};

		CHECK(lets_in(&rule, cases[i].path, true) == cases[i].matches);
		CHECK(!lets_in(&rule, cases[i].path, false));
	}
}

static void test_globs_on_containers(void)
{
	static struct {
		char glob[24];
		bool matches;
	} cases[] = {
		{"0123456789abcdef", true},
		{"0123456789ab*", true},
		{"0123456789ab", false},
		{"*", true},
		{"0*f", true},
		{"", false},
	};
	struct cgroup none = {.path = job.path, .trusted = true};
	struct caller c = {.uid = 1000, .gid = 1000};
	struct caller_names names = {.cgroup = &none};

	for (size_t i = 0; i < COUNT(cases); i++) {
		char *globs[] = {cases[i].glob};
		struct access_rule rule = {.containers = globs,
					   .n_containers = 1};

		CHECK(lets_in(&rule, "/", true) == cases[i].matches);
		CHECK(!lets_in(&rule, "/", false));
		CHECK(!access_still_allowed(&rule, &c, &names));
	}
}

/* They are read from trusted directories only, so the path may be any. */
static void test_attributes(void)
{
	struct cgroup_attribute has[] = {
		{.name = "account", .value = "etl", .is_text = true},
		{.name = "shift", .value = "night", .is_text = false},
	};
	static struct {
		char name[16];
		char value[16];
		bool matches;
	} cases[] = {
		{"account", "etl", true},  {"account", "batch", false},
		{"account", "", false},    {"account", "etl ", false},
		{"account", "e*", false},  {"accoun", "etl", false},
		{"shift", "night", false}, {"owner", "etl", false},
	};

	job.attributes = has;
	job.n_attributes = COUNT(has);
	for (size_t i = 0; i < COUNT(cases); i++) {
		char *values[] = {never, cases[i].value};
		struct access_attribute asked = {cases[i].name, values, 2};
		struct access_rule rule = {.attributes = &asked,
					   .n_attributes = 1};

		CHECK(lets_in(&rule, "/", true) == cases[i].matches);
		CHECK(lets_in(&rule, "/", false) == cases[i].matches);
	}
	job.n_attributes = 0;
}

/* The groups of who has gone are those it had; nobody else's are read. */
static void test_groups_of_who_is_gone(void)
{
	pid_t child = child_start(run_with_group, NULL);
	struct caller c = identify(child, 1000, 1000);
	struct caller_names names;

	caller_describe(&c, &names);
	child_end(child);
	CHECK(!access_allowed(&groups, &c));
	CHECK(access_still_allowed(&groups, &c, &names));
	caller_names_finish(&names);
}

static void test_client_json(void)
{
	gid_t gids[] = {4, 24};
	char path[] = "/jobs/\x1b\xffweb";
	struct caller c = {
		.uid = 1000,
		.gid = 100,
		.tid = 12,
		.self = {.pid = 11, .birth = 5},
		.pgid = 10,
		.sid = 9,
		.mnt_ns = 4026531832,
		.pid_ns = 4026531836,
	};
	struct cgroup_attribute attributes[] = {
		{.name = "account", .value = "e\"tl", .is_text = true},
		{.name = "shift"},
	};
	struct cgroup group = {
		.path = path,
		.trusted = true,
		.names = {.container = "web"},
		.attributes = attributes,
		.n_attributes = 2,
	};
	struct caller_names names = {
		.user = "alice",
		.comm = "my \"cat\"",
		.cgroup = &group,
		.groups = gids,
		.n_groups = 2,
	};
	struct caller_env env = {.realm = "prod"};
	struct buf out;

	buf_init(&out, 4096);
	CHECK(access_identity_json(&out, &c, &names, &env, "connfs-alice") ==
	      0);
	CHECK_TEXT(buf_cstr(&out), "{\n"
				   "  \"uid\": 1000,\n"
				   "  \"gid\": 100,\n"
				   "  \"user\": \"alice\",\n"
				   "  \"groups\": [4, 24],\n"
				   "  \"pid\": 11,\n"
				   "  \"pgid\": 10,\n"
				   "  \"sid\": 9,\n"
				   "  \"comm\": \"my \\\"cat\\\"\",\n"
				   "  \"exe\": null,\n"
				   "  \"cgroup\": \"/jobs/web\",\n"
				   "  \"cgroup_trusted\": true,\n"
				   "  \"container\": \"web\",\n"
				   "  \"pod_uid\": null,\n"
				   "  \"attributes\": {\"account\": "
				   "\"e\\\"tl\", \"shift\": null},\n"
				   "  \"mnt_ns\": 4026531832,\n"
				   "  \"pid_ns\": 4026531836,\n"
				   "  \"user_ns\": null,\n"
				   "  \"realm\": \"prod\",\n"
				   "  \"job_id\": null,\n"
				   "  \"application_name\": \"connfs-alice\",\n"
				   "  \"owner\": false\n"
				   "}\n");
	buf_finish(&out);
}

static void test_client_json_of_the_owner(void)
{
	struct caller c = identify(getpid(), 0, 0);
	struct caller_names names = {0};
	struct caller_env env = {0};
	struct buf out;

	buf_init(&out, 4096);
	CHECK(access_identity_json(&out, &c, &names, &env, "") == 0);
	CHECK(strstr(buf_cstr(&out), "\n  \"groups\": [],\n") != NULL);
	CHECK(strstr(buf_cstr(&out), "\n  \"cgroup\": null,\n"
				     "  \"cgroup_trusted\": false,\n"
				     "  \"container\": null,\n"
				     "  \"pod_uid\": null,\n"
				     "  \"attributes\": {},\n") != NULL);
	CHECK(strstr(buf_cstr(&out), "\n  \"owner\": true\n}\n") != NULL);
	buf_finish(&out);
	buf_init(&out, 100);
	CHECK(access_identity_json(&out, &c, &names, &env, "") == -ENOMEM);
	buf_finish(&out);
}

int main(int argc, char **argv)
{
	struct err err;

	check_init(argc, argv);
	CHECK(geteuid() == 0);
	CHECK(caller_init(&err) == 0);
	test_rules();
	test_uid_0_elsewhere_is_an_ordinary_caller();
	test_globs_on_paths();
	test_globs_on_containers();
	test_attributes();
	test_groups_of_who_is_gone();
	test_client_json();
	test_client_json_of_the_owner();
	return 0;
}
