/* SPDX-License-Identifier: MIT */
#include "auth/auth.h"

#include "auth/aws/http.h"
#include "auth/program.h"
#include "auth/refresher.h"

void auth_stop(void)
{
	refresher_stop();
	program_stop();
	http_stop();
}
