/* SPDX-License-Identifier: MIT */
/* Small files that others write: tokens, caches, the files of profiles. */
#ifndef CONNFS_AUTH_AWS_FILES_H
#define CONNFS_AUTH_AWS_FILES_H

#include <sys/stat.h>

#include "common/err.h"
#include "common/secret.h"

/*
 * Its content, and what it was while it was read (st may be null). 0, or a
 * negative errno with the path in err: -ENOENT, -EFBIG over max bytes, -EINVAL
 * when it is no regular file, ..
 */
int aws_file_read(struct secret *out, const char *path, size_t max,
		  struct stat *st, struct err *err);

/*
 * What its first line has but blanks at its ends, for tokens. -EINVAL: it is
 * empty, or more than that one line.
 */
int aws_file_read_line(struct secret *out, const char *path, size_t max,
		       struct err *err);

/* Replaces the file at once or not at all; mode 0600. 0 or a negative errno. */
int aws_file_replace(const char *path, const struct secret *text,
		     struct err *err);

/* path with "~" and "~/" as HOME has it, for free(). 0 or -ENOMEM. */
int aws_file_path(char **out, const char *path);

#endif
