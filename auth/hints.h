/* SPDX-License-Identifier: MIT */
/*
 * What to look at when a server refuses a credential: a server says only that
 * it does. Any thread; never blocks.
 */
#ifndef CONNFS_AUTH_HINTS_H
#define CONNFS_AUTH_HINTS_H

#include "auth/auth.h"
#include "auth/resolution.h"
#include "common/err.h"

/*
 * Into err, with EKEYREJECTED: reason, the server's own text, and what may be
 * behind it. used: what was refused; resolved: where such come from.
 */
void auth_hint(struct err *err, const char *reason,
	       const struct auth_config *config, const struct credential *used,
	       const struct resolved *resolved);

#endif
