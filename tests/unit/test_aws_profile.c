/* SPDX-License-Identifier: MIT */
/* auth/aws/profile.h, and what the chain makes of profiles. */
#include "auth/aws/profile.h"

#include <errno.h>
#include <stdbool.h>

#include "auth/aws/settings.h"
#include "auth/aws/source.h"
#include "tests/unit/aws_home.h"
#include "tests/unit/check.h"

static void write_files(const char *config, const char *credentials)
{
	check_write("config", 0644, config);
	check_write("credentials", 0600, credentials);
}

/* What the files say of a key; key "block.key" is one in a block. */
static void expect_value(enum aws_section_kind kind, const char *section,
			 const char *key, const char *value)
{
	auto_profiles struct aws_profiles *p = aws_profiles_get();
	const struct aws_section *found;
	struct err err = {0};
	char block[64];
	const char *dot = strchr(key, '.');

	CHECK(p != NULL);
	CHECK(aws_profiles_find(&found, p, kind, section, &err) == 0);
	if (dot == NULL) {
		CHECK_TEXT(aws_section_get(found, key), value);
		return;
	}
	(void)snprintf(block, sizeof(block), "%.*s", (int)(dot - key), key);
	CHECK_TEXT(aws_section_get_nested(found, block, dot + 1), value);
}

static void expect_profile(const char *profile, const char *key,
			   const char *value)
{
	expect_value(AWS_SECTION_PROFILE, profile, key, value);
}

static void test_files_that_are_missing_are_empty(void)
{
	(void)remove(check_path("config"));
	(void)remove(check_path("credentials"));
	expect_profile("default", "region", NULL);
}

static void test_lines_are_read_as_other_tools_do(void)
{
	write_files("\xef\xbb\xbf# a comment\r\n"
		    "; another\n"
		    "\n"
		    "[default]\r\n"
		    "region = eu-west-1\r\n"
		    "  ; a comment that is indented\n"
		    "OutPut=json\n"
		    "spaces   =   a  b \t\n"
		    "equals = a=b==\n"
		    "comment = value # not this\n"
		    "hash = https://x/#here;now\n"
		    "empty =\n"
		    "commented = # all of it\n"
		    "twice = first\n"
		    "twice = second\n"
		    "[ profile  etl ] # said the section\n"
		    "region = us-east-1\n"
		    "[profile \"with blanks\"]\n"
		    "  region = indented\n"
		    "  second = too\n"
		    "[profile 'single']\nregion = s\n"
		    "[etl]\nregion = not a profile\n"
		    "[sso-session corp]\nsso_region = us-east-1\n"
		    "[profilex]\nregion = x\n"
		    "[profile last]\nregion = no newline",
		    "");
	expect_profile("default", "region", "eu-west-1");
	expect_profile("default", "output", "json");
	expect_profile("default", "spaces", "a  b");
	expect_profile("default", "equals", "a=b==");
	expect_profile("default", "comment", "value");
	expect_profile("default", "hash", "https://x/#here;now");
	expect_profile("default", "empty", NULL);
	expect_profile("default", "commented", NULL);
	expect_profile("default", "twice", "second");
	expect_profile("etl", "region", "us-east-1");
	expect_profile("with blanks", "region", "indented");
	expect_profile("with blanks", "second", "too");
	expect_profile("single", "region", "s");
	expect_profile("profilex", "region", NULL);
	expect_profile("last", "region", "no newline");
	expect_profile("corp", "sso_region", NULL);
	expect_value(AWS_SECTION_SSO_SESSION, "corp", "sso_region",
		     "us-east-1");
}

static void test_blocks_hang_below_a_key(void)
{
	write_files("[services dev]\n"
		    "ssm =\n"
		    "  endpoint_url = http://localhost:1\n"
		    "  other = 1\n"
		    "secrets_manager = \n"
		    "\tendpoint_url = http://localhost:2\n"
		    "plain = value\n"
		    "  indented = but no block\n"
		    "[profile p]\n"
		    "s3 =\n"
		    "  region = of s3\n"
		    "region = of p\n",
		    "");
	expect_value(AWS_SECTION_SERVICES, "dev", "ssm.endpoint_url",
		     "http://localhost:1");
	expect_value(AWS_SECTION_SERVICES, "dev", "ssm.other", "1");
	expect_value(AWS_SECTION_SERVICES, "dev",
		     "secrets_manager.endpoint_url", "http://localhost:2");
	expect_value(AWS_SECTION_SERVICES, "dev", "endpoint_url", NULL);
	expect_value(AWS_SECTION_SERVICES, "dev", "indented", "but no block");
	expect_value(AWS_SECTION_PROFILE, "p", "region", "of p");
	expect_value(AWS_SECTION_PROFILE, "p", "s3.region", "of s3");
}

static void test_credentials_win_and_the_prefixed_default(void)
{
	write_files("[default]\nregion = plain\nonly = here\n"
		    "[profile default]\nregion = prefixed\n"
		    "[default]\nregion = plain again\n"
		    "[profile a]\naws_access_key_id = of config\nregion = r\n",
		    "[a]\naws_access_key_id = of credentials\n"
		    "[profile a]\naws_access_key_id = of another\n"
		    "[default]\noutput = text\n");
	expect_profile("default", "region", "prefixed");
	expect_profile("default", "only", NULL);
	expect_profile("default", "output", "text");
	expect_profile("a", "aws_access_key_id", "of credentials");
	expect_profile("a", "region", "r");
}

static void test_files_are_read_again_when_they_change(void)
{
	struct aws_profiles *before, *after;

	write_files("[default]\nregion = one\n", "");
	before = aws_profiles_get();
	after = aws_profiles_get();
	CHECK(before == after);
	aws_profiles_unref(after);
	/* Written again, with another inode, as it was. */
	write_files("[default]\nregion = one\n", "");
	after = aws_profiles_get();
	CHECK(before == after);
	aws_profiles_unref(after);
	/* As long as before, within one tick of the file system's clock. */
	for (int i = 0; i < 10; i++) {
		FILE *f = fopen(check_path("config"), "r+e");

		CHECK(f != NULL);
		CHECK(fprintf(f, "[default]\nregion = tw%d\n", i) > 0);
		CHECK(fclose(f) == 0);
		after = aws_profiles_get();
		CHECK(before != after);
		aws_profiles_unref(before);
		before = after;
	}
	aws_profiles_unref(before);
	expect_profile("default", "region", "tw9");
}

static void expect_bad_files(const char *error)
{
	auto_profiles struct aws_profiles *p = aws_profiles_get();
	const struct aws_section *found;
	struct err err = {0};

	CHECK(p != NULL);
	CHECK(aws_profiles_find(&found, p, AWS_SECTION_PROFILE, "default",
				&err) < 0);
	CHECK(found == NULL);
	CHECK_TEXT(err.msg, error);
}

static const char *in_file(const char *file, const char *error)
{
	static char text[1200];

	(void)snprintf(text, sizeof(text), "%s%s", check_path(file), error);
	return text;
}

static void test_files_that_cannot_be_used_say_why(void)
{
	write_files("region = x\n[default]\n", "");
	expect_bad_files(in_file("config", " line 1 stands before the first "
					   "[section]"));
	write_files("[default]\n", "\n\n[default\n");
	expect_bad_files(in_file("credentials", " line 3: the name of a "
						"section has no end"));
	check_write("credentials", 0666, "[default]\n");
	expect_bad_files(in_file("credentials", " can be written by anybody: "
						"chmod o-w"));
	write_files("[default]\n", "");
	CHECK(remove(check_path("credentials")) == 0);
	CHECK(mkdir(check_path("credentials"), 0700) == 0);
	expect_bad_files(in_file("credentials", " is not a regular file"));
	CHECK(rmdir(check_path("credentials")) == 0);
	write_files("[default]\nregion = fine again\n", "");
	expect_profile("default", "region", "fine again");
}

struct chain_case {
	const char *config;
	const char *credentials;
	const char *profile; /* null: nobody chose one */
	const char *name;    /* of the source; null: error */
	const char *error;
};

#define STATIC "aws_access_key_id=AKIA\naws_secret_access_key=s\n"
#define ROLE   "role_arn=arn:aws:iam::1:role/r\n"

/* CONFIG and CREDENTIALS in an error are the paths of the files. */
static const struct chain_case chains[] = {
	{"", "[default]\n" STATIC, NULL, "profile default", NULL},
	{"[profile a]\n" STATIC, "", "a", "profile a", NULL},
	{"", "", "a", NULL,
	 "profile a: there is neither [profile a] in CONFIG nor [a] in "
	 "CREDENTIALS"},
	{"[profile a]\nregion=x\n", "", "a", NULL,
	 "profile a has no keys: no aws_access_key_id, role_arn, "
	 "web_identity_token_file, credential_process or sso_session"},
	{"", "[default]\n\naws_access_key_id=AKIA\n", NULL, NULL,
	 "profile default: aws_access_key_id stands without "
	 "aws_secret_access_key (CREDENTIALS line 3)"},
	{"[profile a]\naws_access_key_id\n", "", "a", NULL,
	 "profile a: CONFIG line 2 is no \"key = value\""},
	/* A broken line of another profile is its own business. */
	{"[profile b]\noops\n[profile a]\n" STATIC, "", "a", "profile a", NULL},
	/* Half of a pair in each file is a pair. */
	{"[profile a]\naws_access_key_id=AKIA\n",
	 "[a]\naws_secret_access_key=s\n", "a", "profile a", NULL},
	{"[profile a]\n" ROLE "source_profile=b\n[profile b]\n" STATIC, "", "a",
	 "profile a", NULL},
	{"[profile a]\n" ROLE, "", "a", NULL,
	 "profile a: role_arn needs source_profile or credential_source (CONFIG "
	 "line 2)"},
	{"[profile a]\n" ROLE "source_profile=b\ncredential_source="
	 "Environment\n",
	 "", "a", NULL,
	 "profile a: role_arn takes source_profile or credential_source, not "
	 "both (CONFIG line 2)"},
	{"[profile a]\n" ROLE "credential_source=environment\n", "", "a", NULL,
	 "profile a: credential_source = environment: must be Environment, "
	 "Ec2InstanceMetadata or EcsContainer"},
	{"[profile a]\n" ROLE "credential_source=Environment\n", "", "a",
	 "profile a", NULL},
	{"[profile a]\n" ROLE "credential_source=Ec2InstanceMetadata\n", "",
	 "a", "profile a", NULL},
	{"[profile a]\n" ROLE "credential_source=EcsContainer\n", "", "a", NULL,
	 "profile a: AWS_CONTAINER_CREDENTIALS_RELATIVE_URI and "
	 "AWS_CONTAINER_CREDENTIALS_FULL_URI are not set"},
	{"[profile a]\n" ROLE "source_profile=b\n", "", "a", NULL,
	 "profile a: profile b: there is neither [profile b] in CONFIG nor [b] "
	 "in CREDENTIALS"},
	/* It may be its own source, if it has keys as well. */
	{"[profile a]\n" ROLE "source_profile=a\n" STATIC, "", "a", "profile a",
	 NULL},
	{"[profile a]\n" ROLE "source_profile=a\n", "", "a", NULL,
	 "profile a: profile a: its source_profile leads back to it"},
	{"[profile a]\n" ROLE "source_profile=b\n"
	 "[profile b]\n" ROLE "source_profile=c\n"
	 "[profile c]\n" ROLE "source_profile=b\n",
	 "", "a", NULL,
	 "profile a: profile b: profile c: profile b: its source_profile leads "
	 "back to it"},
	{"[profile a]\n" ROLE "source_profile=b\n"
	 "[profile b]\n" ROLE "source_profile=c\n"
	 "[profile c]\ncredential_process=/bin/true\n",
	 "", "a", "profile a", NULL},
	/* What another profile refers to are its keys, not its role. */
	{"[profile a]\n" ROLE "source_profile=b\n"
	 "[profile b]\n" ROLE "source_profile=a\n" STATIC,
	 "", "a", "profile a", NULL},
	{"[profile a]\n" ROLE
	 "source_profile=b\nmfa_serial=arn\n[profile b]\n" STATIC,
	 "", "a", NULL,
	 "profile a: mfa_serial: nobody is there to type its code: use "
	 "sso_session, credential_process or a role without MFA"},
	{"[profile a]\nweb_identity_token_file=/t\n", "", "a", NULL,
	 "profile a: a web identity token needs the role to assume: "
	 "AWS_ROLE_ARN, or role_arn in the profile"},
	{"[profile a]\nweb_identity_token_file=/t\n" ROLE, "", "a", "profile a",
	 NULL},
	{"[profile a]\ncredential_process=x 'y\n", "", "a", NULL,
	 "profile a: credential_process: it ends inside of a quote"},
	{"[profile a]\nsso_session=s\n", "", "a", NULL,
	 "profile a: there is no [sso-session s] in CONFIG"},
	{"[profile a]\nsso_session=s\nsso_account_id=1\nsso_role_name=r\n"
	 "[sso-session s]\nsso_region=us-east-1\n",
	 "", "a", NULL, "profile a: sso_start_url is not set"},
	{"[profile a]\nsso_session=s\nsso_account_id=1\nsso_role_name=r\n"
	 "sso_region=eu-west-1\n"
	 "[sso-session s]\nsso_region=us-east-1\nsso_start_url=https://x\n",
	 "", "a", NULL,
	 "profile a: sso_region is not that of its sso_session (CONFIG line "
	 "5)"},
	{"[profile a]\nsso_session=s\nsso_account_id=1\nsso_role_name=r\n"
	 "[sso-session s]\nsso_region=us-east-1\nsso_start_url=https://x\n",
	 "", "a", "profile a", NULL},
	{"[profile a]\nlogin_session=x\n", "", "a", NULL,
	 "profile a: login_session: the login of the console cannot be used "
	 "here: use sso_session"},
	/* Nobody chose a profile, and none is there. */
	{"[default]\nregion=x\n", "", NULL, NULL,
	 "AWS keys: AWS_EC2_METADATA_DISABLED is set, and nothing else is "
	 "configured: no AWS_ACCESS_KEY_ID, AWS_WEB_IDENTITY_TOKEN_FILE or "
	 "AWS_CONTAINER_CREDENTIALS_*_URI, no keys of profile default in CONFIG "
	 "and CREDENTIALS"},
	{"[profile a]\n" STATIC "[x\n", "", "a", NULL,
	 "profile a: CONFIG line 4: the name of a section has no end"},
};

/* error with the paths in it. */
static void expand(char out[1024], const char *error)
{
	size_t n = 0;

	while (*error != '\0') {
		const char *name = NULL;

		if (strncmp(error, "CONFIG", 6) == 0)
			name = "config";
		else if (strncmp(error, "CREDENTIALS ", 12) == 0 ||
			 strcmp(error, "CREDENTIALS") == 0)
			name = "credentials";
		if (name == NULL) {
			out[n++] = *error++;
			continue;
		}
		n += (size_t)snprintf(out + n, 1024 - n, "%s",
				      check_path(name));
		error += strlen(name);
	}
	out[n] = '\0';
}

static void expect_chain(const char *profile, const char *name,
			 const char *error)
{
	unsigned char digest[AWS_SOURCE_DIGEST_SIZE];
	auto_settings struct aws_settings settings = {0};
	struct aws_source *source = NULL;
	struct err err = {0};
	char text[1024];
	int rc;

	CHECK(aws_settings_init(&settings, profile, NULL, &err) == 0);
	rc = aws_chain_create(&source, digest, &settings, &err);
	expand(text, error != NULL ? error : "");
	CHECK_TEXT(err.msg, text);
	CHECK_TEXT(source != NULL ? source->name : NULL, name);
	CHECK((rc < 0) == (error != NULL) && rc == -err.code);
	aws_source_destroy(source);
}

static void test_chain_of_profiles(void)
{
	for (size_t i = 0; i < COUNT(chains); i++) {
		write_files(chains[i].config, chains[i].credentials);
		expect_chain(chains[i].profile, chains[i].name,
			     chains[i].error);
	}
}

/* The first that is configured, whether it works or not. */
static void test_chain_of_the_environment(void)
{
	write_files("", "[default]\n" STATIC "[other]\n" STATIC);
	CHECK(setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://localhost/",
		     1) == 0);
	expect_chain(NULL, "profile default", NULL);
	CHECK(setenv("AWS_PROFILE", "other", 1) == 0);
	expect_chain(NULL, "profile other", NULL);
	CHECK(setenv("AWS_PROFILE", "missing", 1) == 0);
	expect_chain(NULL, NULL,
		     "AWS_PROFILE: there is no profile missing in CONFIG and "
		     "CREDENTIALS");
	CHECK(unsetenv("AWS_PROFILE") == 0);
	CHECK(setenv("AWS_WEB_IDENTITY_TOKEN_FILE", "/token", 1) == 0);
	expect_chain(NULL, NULL,
		     "web identity: a web identity token needs the role to "
		     "assume: AWS_ROLE_ARN, or role_arn in the profile");
	CHECK(setenv("AWS_ROLE_ARN", "arn:aws:iam::1:role/r", 1) == 0);
	expect_chain(NULL, "web identity", NULL);
	CHECK(setenv("AWS_ACCESS_KEY_ID", "AKIA", 1) == 0);
	expect_chain(NULL, "environment", NULL);
	/* The spec's profile is all that counts. */
	expect_chain("other", "profile other", NULL);
	CHECK(unsetenv("AWS_ACCESS_KEY_ID") == 0);
	CHECK(unsetenv("AWS_ROLE_ARN") == 0);
	CHECK(unsetenv("AWS_WEB_IDENTITY_TOKEN_FILE") == 0);
	write_files("", "");
	expect_chain(NULL, "container", NULL);
	CHECK(setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://evil/", 1) ==
	      0);
	expect_chain(NULL, NULL,
		     "container: AWS_CONTAINER_CREDENTIALS_FULL_URI: evil is "
		     "neither https nor an address of this machine or of the "
		     "agents of ECS and EKS");
	CHECK(unsetenv("AWS_CONTAINER_CREDENTIALS_FULL_URI") == 0);
	CHECK(unsetenv("AWS_EC2_METADATA_DISABLED") == 0);
	expect_chain(NULL, "imds", NULL);
	CHECK(setenv("AWS_EC2_METADATA_DISABLED", "TRUE", 1) == 0);
}

static void get_digest(unsigned char digest[AWS_SOURCE_DIGEST_SIZE])
{
	auto_settings struct aws_settings settings = {0};
	struct aws_source *source = NULL;
	struct err err = {0};

	CHECK(aws_settings_init(&settings, "a", NULL, &err) == 0);
	CHECK(aws_chain_create(&source, digest, &settings, &err) == 0);
	aws_source_destroy(source);
}

/* Others' changes do not make keys be obtained anew. */
static void test_digest_is_of_what_a_source_depends_on(void)
{
	static const char config[] = "[profile a]\n" ROLE "source_profile=b\n";
	unsigned char before[AWS_SOURCE_DIGEST_SIZE];
	unsigned char after[AWS_SOURCE_DIGEST_SIZE];

	write_files(config, "[b]\n" STATIC);
	get_digest(before);
	write_files(config, "[c]\n" STATIC "[b]\n" STATIC);
	get_digest(after);
	CHECK(memcmp(before, after, sizeof(after)) == 0);
	write_files(config, "[b]\n" STATIC "aws_session_token=t\n");
	get_digest(after);
	CHECK(memcmp(before, after, sizeof(after)) != 0);
}

int main(int argc, char **argv)
{
	check_init(argc, argv);
	aws_home_init();
	test_files_that_are_missing_are_empty();
	test_lines_are_read_as_other_tools_do();
	test_blocks_hang_below_a_key();
	test_credentials_win_and_the_prefixed_default();
	test_files_are_read_again_when_they_change();
	test_files_that_cannot_be_used_say_why();
	test_chain_of_profiles();
	test_chain_of_the_environment();
	test_digest_is_of_what_a_source_depends_on();
	return 0;
}
