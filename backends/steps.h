/* SPDX-License-Identifier: MIT */
/*
 * The steps of a login in words, the same for all drivers: see enum db_step in
 * db.h. Nothing is done where nobody asks. Any thread.
 */
#ifndef CONNFS_BACKENDS_STEPS_H
#define CONNFS_BACKENDS_STEPS_H

#include <stdbool.h>

struct db_params;

void step_dialled(const struct db_params *params, const char *address,
		  unsigned port);
void step_dialled_socket(const struct db_params *params, const char *path);
void step_opened(const struct db_params *params); /* a file: host */

struct step_tls {
	const char *version;
	/* What of the server's certificate has been verified. */
	bool chain;
	bool name;
	bool fingerprint;
};
void step_secured(const struct db_params *params, const struct step_tls *tls);
void step_plain(const struct db_params *params);
void step_admitted(const struct db_params *params);

#endif
