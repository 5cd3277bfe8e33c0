/* SPDX-License-Identifier: MIT */
/* Chance, so that what began together does not go on together. No secrets. */
#ifndef CONNFS_COMMON_CHANCE_H
#define CONNFS_COMMON_CHANCE_H

#include <stdint.h>

/* From 0 to most, both included. */
uint32_t chance_up_to(uint32_t most);

#endif
