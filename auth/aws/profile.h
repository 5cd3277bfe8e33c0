/* SPDX-License-Identifier: MIT */
/*
 * The two ini files that AWS's tools share: AWS_CONFIG_FILE (~/.aws/config) and
 * AWS_SHARED_CREDENTIALS_FILE (~/.aws/credentials).
 *
 * Sections: [default], [profile NAME], [sso-session NAME] and [services NAME]
 * in the first, [NAME] in the second; names may be quoted. The file of
 * credentials wins where both have a key, the later line where one file has it
 * twice, and [profile default] against [default]. Keys are the same in upper
 * and lower case. "#" and ";" begin a comment at the start of a line and after
 * a blank. Indented lines below a key without a value are its block.
 *
 * A struct aws_profiles never changes: what changed on the disk is another one.
 * Any thread.
 */
#ifndef CONNFS_AUTH_AWS_PROFILE_H
#define CONNFS_AUTH_AWS_PROFILE_H

#include <stddef.h>

#include "common/err.h"

struct aws_profiles;
struct aws_section;

enum aws_section_kind {
	AWS_SECTION_PROFILE,
	AWS_SECTION_SSO_SESSION,
	AWS_SECTION_SERVICES,
};

enum { AWS_PROFILE_FILE_MAX = 4 * 1024 * 1024 }; /* bytes of a file */

/*
 * The files as they are; the same object as before when they have not changed.
 * Files that are missing are empty. For aws_profiles_unref(); null: out of
 * memory.
 */
struct aws_profiles *aws_profiles_get(void);
void aws_profiles_unref(struct aws_profiles *profiles); /* null is allowed */
static inline void aws_profiles_unrefp(struct aws_profiles **profiles)
{
	aws_profiles_unref(*profiles);
}
#define auto_profiles __attribute__((cleanup(aws_profiles_unrefp)))

/*
 * Null: there is none of that name. 0, or why nothing of the files can be used:
 * one cannot be read, anybody may write it, it is not an ini file.
 */
int aws_profiles_find(const struct aws_section **out,
		      const struct aws_profiles *profiles,
		      enum aws_section_kind kind, const char *name,
		      struct err *err);

/* The paths of config and credentials, for texts. */
const char *aws_profiles_config_path(const struct aws_profiles *profiles);
const char *aws_profiles_credentials_path(const struct aws_profiles *profiles);

/* Section may be null. The value; null: there is none, or it is empty. */
const char *aws_section_get(const struct aws_section *section, const char *key);

/* The value of a key in the block of another key. */
const char *aws_section_get_nested(const struct aws_section *section,
				   const char *block, const char *key);

/*
 * Where a key stands: "/home/a/.aws/config line 12"; a section itself for a
 * null key, or one that it lacks.
 */
enum { AWS_PLACE_SIZE = 320 };
void aws_section_place(const struct aws_section *section, const char *key,
		       char out[AWS_PLACE_SIZE]);

/* 0, or an error that says which line of the section is no "key = value". */
int aws_section_check(const struct aws_section *section, struct err *err);

/* Calls back with each key and value, in the order in which they stand. */
void aws_section_each(const struct aws_section *section,
		      void (*each)(void *arg, const char *key,
				   const char *value),
		      void *arg);

#endif
