/* SPDX-License-Identifier: MIT */
#include "backends/steps.h"

#include <stddef.h>
#include <stdio.h>

#include "backends/db.h"

enum { DETAIL_SIZE = 200 }; /* what is longer is cut */

static void tell(const struct db_params *params, enum db_step step,
		 const char *detail)
{
	if (params->on_step != NULL)
		params->on_step(params->step_arg, step, detail);
}

static const char *mode_of(const struct db_params *params)
{
	return params->sslmode != NULL ? params->sslmode : "prefer";
}

void step_dialled(const struct db_params *params, const char *address,
		  unsigned port)
{
	char detail[DETAIL_SIZE];

	(void)snprintf(detail, sizeof(detail), "%s port %u", address, port);
	tell(params, DB_DIALLED, detail);
}

void step_dialled_socket(const struct db_params *params, const char *path)
{
	char detail[DETAIL_SIZE];

	(void)snprintf(detail, sizeof(detail), "socket %s", path);
	tell(params, DB_DIALLED, detail);
}

void step_opened(const struct db_params *params)
{
	tell(params, DB_DIALLED, params->host);
}

void step_secured(const struct db_params *params, const struct step_tls *tls)
{
	char detail[DETAIL_SIZE];
	const char *verified = tls->chain && tls->name
				       ? "chain and name verified"
			       : tls->chain       ? "chain verified, name not"
			       : tls->fingerprint ? "chain not verified"
						  : "not verified";

	(void)snprintf(detail, sizeof(detail), "%s, %s: %s%s", tls->version,
		       mode_of(params), verified,
		       tls->fingerprint ? ", fingerprint verified" : "");
	tell(params, DB_SECURED, detail);
}

void step_plain(const struct db_params *params)
{
	tell(params, DB_PLAIN, mode_of(params));
}

void step_admitted(const struct db_params *params)
{
	tell(params, DB_ADMITTED, params->user != NULL ? params->user : "");
}
