/* SPDX-License-Identifier: MIT */
#include "auth/aws/settings.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "auth/aws/files.h"
#include "auth/aws/metadata.h"
#include "auth/env.h"
#include "common/cleanup.h"

int aws_settings_init(struct aws_settings *out, const char *profile,
		      const char *region, struct err *err)
{
	*out = (struct aws_settings){.profile = profile, .region = region};
	out->profiles = aws_profiles_get();
	if (out->profiles == NULL)
		return err_set(err, ENOMEM, "profile: out of memory");
	return 0;
}

void aws_settings_finish(struct aws_settings *settings)
{
	aws_profiles_unref(settings->profiles);
	*settings = (struct aws_settings){0};
}

char *aws_settings_profile(const struct aws_settings *settings, bool *is_named)
{
	char *name;

	*is_named = true;
	if (settings->profile != NULL)
		return strdup(settings->profile);
	name = auth_env("AWS_PROFILE");
	if (name != NULL)
		return name;
	*is_named = false;
	return strdup("default");
}

/* Null: there is none, or the files cannot be read: keys complain of that. */
static const struct aws_section *section_of(const struct aws_settings *settings)
{
	const struct aws_section *section = NULL;
	auto_free char *name = NULL;
	bool is_named;

	name = aws_settings_profile(settings, &is_named);
	if (name != NULL)
		(void)aws_profiles_find(&section, settings->profiles,
					AWS_SECTION_PROFILE, name, NULL);
	return section;
}

/* It becomes a part of the name of hosts. */
static int use_region(char out[AWS_REGION_SIZE], const char *region,
		      const char *where, struct err *err)
{
	if (!aws_region_is_valid(region) || strlen(region) >= AWS_REGION_SIZE)
		return err_set(err, EINVAL,
			       "%s: not the name of a region of AWS", where);
	memcpy(out, region, strlen(region) + 1);
	return 0;
}

int aws_settings_region(const struct aws_settings *settings, const char *first,
			char out[AWS_REGION_SIZE], struct err *err)
{
	const struct aws_section *section = section_of(settings);
	auto_free char *of_env = auth_env("AWS_REGION");
	auto_free char *of_old_env = auth_env("AWS_DEFAULT_REGION");
	const struct {
		const char *where;
		const char *region;
	} places[] = {
		{"region of the profile", first},
		{"region", settings->region},
		{"AWS_REGION", of_env},
		{"AWS_DEFAULT_REGION", of_old_env},
		{"region of the profile", aws_section_get(section, "region")},
	};

	for (size_t i = 0; i < sizeof(places) / sizeof(*places); i++) {
		if (places[i].region != NULL && places[i].region[0] != '\0')
			return use_region(out, places[i].region,
					  places[i].where, err);
	}
	if (aws_metadata_region(settings, out) == 0)
		return 0;
	return err_set(err, EINVAL,
		       "region: not known: set it in the spec, in AWS_REGION, "
		       "or in the profile");
}

int aws_settings_endpoint(const struct aws_settings *settings,
			  enum aws_service service, const char *region,
			  char **out, struct err *err)
{
	const struct aws_section *section = section_of(settings);
	const char *services = aws_section_get(section, "services");
	const struct aws_section *block = NULL;
	struct aws_endpoint_profile profile = {
		.endpoint_url = aws_section_get(section, "endpoint_url"),
		.ignore = aws_section_get(section,
					  "ignore_configured_endpoint_urls"),
		.fips = aws_section_get(section, "use_fips_endpoint"),
		.dualstack = aws_section_get(section, "use_dualstack_endpoint"),
	};

	*out = NULL;
	if (services != NULL) {
		int rc = aws_profiles_find(&block, settings->profiles,
					   AWS_SECTION_SERVICES, services, err);

		if (rc < 0)
			return rc;
		if (block == NULL)
			return err_set(err, EINVAL,
				       "services: there is no [services %s] in "
				       "%s",
				       services,
				       aws_profiles_config_path(
					       settings->profiles));
		profile.service_url =
			aws_section_get_nested(block, aws_service_key(service),
					       "endpoint_url");
	}
	return aws_endpoint(out, service, region, &profile, err);
}

char *aws_settings_ca_file(const struct aws_settings *settings)
{
	const char *path = aws_section_get(section_of(settings), "ca_bundle");
	char *own = auth_env("AWS_CA_BUNDLE");
	char *out;

	if (own != NULL)
		return own;
	if (path == NULL || aws_file_path(&out, path) < 0)
		return NULL;
	return out;
}
