/* SPDX-License-Identifier: MIT */
#include "common/chance.h"

#include <sys/random.h>

uint32_t chance_up_to(uint32_t most)
{
	uint32_t random = UINT32_MAX;

	/* Can fail only where the system call does not exist. */
	(void)getrandom(&random, sizeof(random), 0);
	return (uint32_t)(((uint64_t)most + 1) * random >> 32);
}
