/* SPDX-License-Identifier: MIT */
/* The table of `type`s. Constant; any thread. */
#ifndef CONNFS_FS_ENGINES_H
#define CONNFS_FS_ENGINES_H

struct engine;
struct err;

/*
 * The engine of a type, in any case of letters. Null: unknown (err has the
 * nearest one that is known) or not supported yet. err begins "type:".
 */
const struct engine *engine_find(const char *type, struct err *err);

#endif
