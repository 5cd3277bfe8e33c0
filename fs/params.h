/* SPDX-License-Identifier: MIT */
/*
 * Bind parameters: the JSON text of params.json, taken a piece at a time, and
 * what a driver is given of it.
 *
 *     params_create -> params_feed ... -> 1 -> params_args
 *
 * Counted. The text belongs to the thread of the loop; once it is complete,
 * any thread that holds a reference may use the arguments.
 */
#ifndef CONNFS_FS_PARAMS_H
#define CONNFS_FS_PARAMS_H

#include <stddef.h>

struct buf;
struct db_args;
struct err;
struct params;

enum { PARAMS_MAX_TEXT = 16 * 1024 * 1024 };

struct params *params_create(void); /* null: no memory */
struct params *params_ref(struct params *p);
void params_unref(struct params *p); /* null is allowed */

/*
 * More text: 0 when it goes on, 1 when it is complete (white space may
 * follow), or a negative errno, by which the later calls fail as well:
 * -EINVAL, -EFBIG or -ENOMEM. err names line and column, and no value.
 */
int params_feed(struct params *p, const char *data, size_t len,
		struct err *err);

/* The text ends here: 0 when it is complete or blank, else -EINVAL. */
int params_end(const struct params *p, struct err *err);

/* Null when p is null or has no parameters. As long as p is counted. */
const struct db_args *params_args(const struct params *p);

/* The text as it was written; params_forget_text() frees it. */
void params_text(const struct params *p, struct buf *out);
void params_forget_text(struct params *p);

/* Bytes it holds. */
size_t params_size(const struct params *p);

#endif
