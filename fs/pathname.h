/* SPDX-License-Identifier: MIT */
/*
 * conn_id and names in the tree. A conn_id is cut at '/' into components, each
 * of which is a directory. A component that would collide with a name of the
 * tree, or cannot be shown as it is, is percent-encoded: %41, upper case. The
 * encoding has exactly one form, so that one connection has one path, and no
 * component becomes a name of the tree: "a" and "a/b" can both be connections.
 */
#ifndef CONNFS_FS_PATHNAME_H
#define CONNFS_FS_PATHNAME_H

#include <stdbool.h>
#include <stddef.h>

struct err;

enum {
	PATHNAME_MAX = 255,    /* bytes of one name in the tree */
	PATHNAME_ID_MAX = 1024 /* bytes of a conn_id */
};

/*
 * The name of a component: len bytes, no '/', not empty. 0, or -ENAMETOOLONG
 * when the name would have more than PATHNAME_MAX bytes.
 */
int pathname_encode(char out[PATHNAME_MAX + 1], const char *component,
		    size_t len);

/*
 * The component behind a name. 0, or -ENOENT when the name is not exactly
 * what pathname_encode() makes of it.
 */
int pathname_decode(char out[PATHNAME_MAX + 1], const char *name);

/*
 * Takes the next component off *rest, which starts as the conn_id; false at
 * the end. The component is lent from the conn_id.
 */
bool pathname_next(const char **rest, const char **component, size_t *len);

/*
 * 0, or -EINVAL: empty, an empty component, a component or the whole too long.
 */
int pathname_check(const char *conn_id, struct err *err);

#endif
