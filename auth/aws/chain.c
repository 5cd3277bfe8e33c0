/* SPDX-License-Identifier: MIT */
/*
 * Which source it is. The first that is configured decides: one that is broken
 * must not be hidden by another that happens to work, with other rights.
 */
#include "auth/aws/source.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

#include "auth/aws/metadata.h"
#include "auth/aws/sts.h"
#include "auth/env.h"
#include "common/cleanup.h"

enum { DEPTH_MAX = 10 }; /* profiles that one leads to */

struct chain {
	const struct aws_settings *settings;
	EVP_MD_CTX *digest; /* of all sections that were looked at */
	const char *visited[DEPTH_MAX];
	size_t n_visited;
};

static int profile_source(struct chain *chain, const char *name,
			  struct aws_source **out, struct err *err);

static void digest_entry(void *arg, const char *key, const char *value)
{
	struct chain *chain = arg;

	(void)EVP_DigestUpdate(chain->digest, key, strlen(key) + 1);
	(void)EVP_DigestUpdate(chain->digest, value, strlen(value) + 1);
}

/* Null: there is none. */
static int find_section(struct chain *chain, enum aws_section_kind kind,
			const char *name, const struct aws_section **out,
			struct err *err)
{
	int rc = aws_profiles_find(out, chain->settings->profiles, kind, name,
				   err);

	if (rc < 0 || *out == NULL)
		return rc;
	digest_entry(chain, "", name);
	aws_section_each(*out, digest_entry, chain);
	return aws_section_check(*out, err);
}

static bool has_static_keys(const struct aws_section *section)
{
	return aws_section_get(section, "aws_access_key_id") != NULL ||
	       aws_section_get(section, "aws_secret_access_key") != NULL;
}

static bool is_visited(const struct chain *chain, const char *name)
{
	for (size_t i = 0; i < chain->n_visited; i++) {
		if (strcmp(chain->visited[i], name) == 0)
			return true;
	}
	return false;
}

/* 0: not a number, which is as good as nothing. */
static unsigned number(const char *text)
{
	unsigned long value;
	char *end;

	if (text == NULL || text[0] < '0' || text[0] > '9')
		return 0;
	value = strtoul(text, &end, 10);
	return *end == '\0' && value <= INT_MAX ? (unsigned)value : 0;
}

static int named_source(struct chain *chain, const char *name,
			struct aws_source **out, struct err *err)
{
	if (strcmp(name, "Environment") == 0)
		return aws_env_source_create(out, err);
	if (strcmp(name, "Ec2InstanceMetadata") == 0)
		return aws_imds_source_create(out, chain->settings, NULL, err);
	if (strcmp(name, "EcsContainer") == 0)
		return aws_container_source_create(out, err);
	return err_set(err, EINVAL,
		       "credential_source = %s: must be Environment, "
		       "Ec2InstanceMetadata or EcsContainer",
		       name);
}

/* Where a role gets the keys from that assume it. */
static int inner_source(struct chain *chain, const struct aws_section *section,
			struct aws_source **out, struct err *err)
{
	const char *profile = aws_section_get(section, "source_profile");
	const char *source = aws_section_get(section, "credential_source");
	char place[AWS_PLACE_SIZE];

	aws_section_place(section, "role_arn", place);
	if (profile != NULL && source != NULL)
		return err_set(err, EINVAL,
			       "role_arn takes source_profile or "
			       "credential_source, not both (%s)",
			       place);
	if (profile == NULL && source == NULL)
		return err_set(err, EINVAL,
			       "role_arn needs source_profile or "
			       "credential_source (%s)",
			       place);
	if (profile != NULL)
		return profile_source(chain, profile, out, err);
	return named_source(chain, source, out, err);
}

static int role_source(struct chain *chain, const struct aws_section *section,
		       struct aws_source **out, struct err *err)
{
	const struct aws_role role = {
		.arn = aws_section_get(section, "role_arn"),
		.session_name = aws_section_get(section, "role_session_name"),
		.external_id = aws_section_get(section, "external_id"),
		.region = aws_section_get(section, "region"),
		.duration_s =
			number(aws_section_get(section, "duration_seconds")),
	};
	struct aws_source *inner = NULL;
	int rc;

	if (aws_section_get(section, "mfa_serial") != NULL)
		return err_set(err, EOPNOTSUPP,
			       "mfa_serial: nobody is there to type its code: "
			       "use sso_session, credential_process or a role "
			       "without MFA");
	rc = inner_source(chain, section, &inner, err);
	if (rc < 0)
		return rc;
	return aws_role_source_create(out, inner, &role, chain->settings, err);
}

/* A key of the profile that its session has, too, must say the same. */
static int agree(const struct aws_section *section,
		 const struct aws_section *session, const char *key,
		 const char **out, struct err *err)
{
	const char *own = aws_section_get(section, key);
	char place[AWS_PLACE_SIZE];

	*out = aws_section_get(session, key);
	if (own == NULL || *out == NULL) {
		if (*out == NULL)
			*out = own;
		return 0;
	}
	if (strcmp(own, *out) == 0)
		return 0;
	aws_section_place(section, key, place);
	return err_set(err, EINVAL, "%s is not that of its sso_session (%s)",
		       key, place);
}

static int sso_source(struct chain *chain, const struct aws_section *section,
		      const char *profile, struct aws_source **out,
		      struct err *err)
{
	const struct aws_section *session = NULL;
	struct aws_sso sso = {
		.session = aws_section_get(section, "sso_session"),
		.account_id = aws_section_get(section, "sso_account_id"),
		.role_name = aws_section_get(section, "sso_role_name"),
		.profile = profile,
	};
	int rc = 0;

	if (sso.session != NULL)
		rc = find_section(chain, AWS_SECTION_SSO_SESSION, sso.session,
				  &session, err);
	if (rc < 0)
		return rc;
	if (sso.session != NULL && session == NULL)
		return err_set(
			err, EINVAL, "there is no [sso-session %s] in %s",
			sso.session,
			aws_profiles_config_path(chain->settings->profiles));
	rc = agree(section, session, "sso_start_url", &sso.start_url, err);
	if (rc == 0)
		rc = agree(section, session, "sso_region", &sso.region, err);
	if (rc < 0)
		return rc;
	return aws_sso_source_create(out, &sso, chain->settings, err);
}

static bool has_sso(const struct aws_section *section)
{
	return aws_section_get(section, "sso_session") != NULL ||
	       aws_section_get(section, "sso_start_url") != NULL ||
	       aws_section_get(section, "sso_account_id") != NULL ||
	       aws_section_get(section, "sso_role_name") != NULL;
}

static int web_identity_source(struct chain *chain,
			       const struct aws_section *section,
			       struct aws_source **out, struct err *err)
{
	const struct aws_web_identity config = {
		.token_file =
			aws_section_get(section, "web_identity_token_file"),
		.role_arn = aws_section_get(section, "role_arn"),
		.session_name = aws_section_get(section, "role_session_name"),
		.region = aws_section_get(section, "region"),
	};

	return aws_web_identity_source_create(out, &config, chain->settings,
					      err);
}

/* *out stays null when the section has no keys of any kind. */
static int section_source(struct chain *chain,
			  const struct aws_section *section, const char *name,
			  struct aws_source **out, struct err *err)
{
	const char *token_file =
		aws_section_get(section, "web_identity_token_file");
	const char *process = aws_section_get(section, "credential_process");

	/* What another profile refers to are its keys, not its role. */
	if (chain->n_visited > 1 && has_static_keys(section))
		return aws_static_source_create(out, section, err);
	if (aws_section_get(section, "role_arn") != NULL && token_file == NULL)
		return role_source(chain, section, out, err);
	if (has_static_keys(section))
		return aws_static_source_create(out, section, err);
	if (token_file != NULL)
		return web_identity_source(chain, section, out, err);
	if (process != NULL)
		return aws_process_source_create(out, process, err);
	if (has_sso(section))
		return sso_source(chain, section, name, out, err);
	if (aws_section_get(section, "login_session") != NULL)
		return err_set(err, EOPNOTSUPP,
			       "login_session: the login of the console cannot "
			       "be used here: use sso_session");
	return 0;
}

/* *is_there: there is such a section. *out stays null when it has no keys. */
static int find_profile(struct chain *chain, const char *name, bool *is_there,
			struct aws_source **out, struct err *err)
{
	const struct aws_section *section = NULL;
	int rc = find_section(chain, AWS_SECTION_PROFILE, name, &section, err);

	*is_there = section != NULL;
	if (rc < 0 || section == NULL)
		return rc;
	if (is_visited(chain, name) && !has_static_keys(section))
		return err_set(err, ELOOP,
			       "its source_profile leads back to it");
	if (chain->n_visited == DEPTH_MAX)
		return err_set(err, ELOOP,
			       "there are more than %d profiles before it",
			       DEPTH_MAX);
	chain->visited[chain->n_visited++] = name;
	rc = section_source(chain, section, name, out, err);
	if (*out != NULL)
		(void)snprintf((*out)->name, sizeof((*out)->name), "profile %s",
			       name);
	return rc;
}

/* One that has to be there and to have keys. */
static int profile_source(struct chain *chain, const char *name,
			  struct aws_source **out, struct err *err)
{
	const struct aws_profiles *files = chain->settings->profiles;
	struct err why = {0};
	bool is_there;
	int rc = find_profile(chain, name, &is_there, out, &why);

	if (rc < 0)
		return err_set(err, why.code, "profile %s: %s", name, why.msg);
	if (!is_there)
		return err_set(err, ENOENT,
			       "profile %s: there is neither [profile %s] in "
			       "%s nor [%s] in %s",
			       name, name, aws_profiles_config_path(files),
			       name, aws_profiles_credentials_path(files));
	if (*out == NULL)
		return err_set(err, ENOENT,
			       "profile %s has no keys: no aws_access_key_id, "
			       "role_arn, web_identity_token_file, "
			       "credential_process or sso_session",
			       name);
	return 0;
}

static bool is_set(const char *name)
{
	auto_secret struct secret value = {0};

	return auth_taken_env(&value, name) == 0;
}

static int web_identity_env(struct chain *chain, struct aws_source **out,
			    struct err *err)
{
	auto_free char *token_file = auth_env("AWS_WEB_IDENTITY_TOKEN_FILE");
	auto_free char *role_arn = auth_env("AWS_ROLE_ARN");
	auto_free char *session_name = auth_env("AWS_ROLE_SESSION_NAME");
	const struct aws_web_identity config = {
		.token_file = token_file,
		.role_arn = role_arn,
		.session_name = session_name,
	};
	struct err why = {0};

	if (token_file == NULL)
		return err_set(err, ENOMEM, "out of memory");
	if (aws_web_identity_source_create(out, &config, chain->settings,
					   &why) < 0)
		return err_set(err, why.code, "web identity: %s", why.msg);
	(void)snprintf((*out)->name, sizeof((*out)->name), "web identity");
	return 0;
}

/* The last resort; name is the profile that was looked for. */
static int imds_source(struct chain *chain, const char *name,
		       struct aws_source **out, struct err *err)
{
	const struct aws_profiles *files = chain->settings->profiles;
	char hint[ERR_MSG_SIZE];

	(void)snprintf(hint, sizeof(hint),
		       "nothing else is configured: no AWS_ACCESS_KEY_ID, "
		       "AWS_WEB_IDENTITY_TOKEN_FILE or "
		       "AWS_CONTAINER_CREDENTIALS_*_URI, no keys of profile %s "
		       "in %s and %s",
		       name, aws_profiles_config_path(files),
		       aws_profiles_credentials_path(files));
	if (aws_metadata_is_disabled())
		return err_set(err, ENOENT,
			       "AWS keys: AWS_EC2_METADATA_DISABLED is set, and "
			       "%s",
			       hint);
	return aws_imds_source_create(out, chain->settings, hint, err);
}

static int container_source(struct aws_source **out, struct err *err)
{
	struct err why = {0};

	if (aws_container_source_create(out, &why) < 0)
		return err_set(err, why.code, "container: %s", why.msg);
	return 0;
}

/* Nobody chose a profile in the spec. */
static int any_source(struct chain *chain, struct aws_source **out,
		      struct err *err)
{
	auto_free char *name = NULL;
	struct err why = {0};
	bool is_named, is_there;
	int rc;

	if (is_set("AWS_ACCESS_KEY_ID"))
		return aws_env_source_create(out, err);
	if (is_set("AWS_WEB_IDENTITY_TOKEN_FILE"))
		return web_identity_env(chain, out, err);
	name = aws_settings_profile(chain->settings, &is_named);
	if (name == NULL)
		return err_set(err, ENOMEM, "out of memory");
	rc = find_profile(chain, name, &is_there, out, &why);
	if (rc < 0)
		return err_set(err, why.code, "profile %s: %s", name, why.msg);
	if (*out != NULL)
		return 0;
	if (is_named && !is_there)
		return err_set(err, ENOENT,
			       "AWS_PROFILE: there is no profile %s in %s and "
			       "%s",
			       name,
			       aws_profiles_config_path(
				       chain->settings->profiles),
			       aws_profiles_credentials_path(
				       chain->settings->profiles));
	if (is_set("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI") ||
	    is_set("AWS_CONTAINER_CREDENTIALS_FULL_URI"))
		return container_source(out, err);
	return imds_source(chain, name, out, err);
}

int aws_chain_create(struct aws_source **out,
		     unsigned char digest[AWS_SOURCE_DIGEST_SIZE],
		     const struct aws_settings *settings, struct err *err)
{
	struct chain chain = {
		.settings = settings,
		.digest = EVP_MD_CTX_new(),
	};
	int rc = 0;

	*out = NULL;
	if (chain.digest == NULL ||
	    EVP_DigestInit_ex(chain.digest, EVP_sha256(), NULL) != 1)
		rc = err_set(err, ENOMEM, "AWS keys: out of memory");
	if (rc == 0 && settings->profile != NULL)
		rc = profile_source(&chain, settings->profile, out, err);
	else if (rc == 0)
		rc = any_source(&chain, out, err);
	if (rc == 0)
		(void)EVP_DigestFinal_ex(chain.digest, digest, NULL);
	EVP_MD_CTX_free(chain.digest);
	return rc;
}
