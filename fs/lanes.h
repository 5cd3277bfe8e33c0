/* SPDX-License-Identifier: MIT */
/*
 * Sixteen bytes of text at a time, compared lane by lane: SSE2, NEON, or
 * whatever the compiler finds. Pure.
 */
#ifndef CONNFS_FS_LANES_H
#define CONNFS_FS_LANES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum { LANES = 16 };

typedef unsigned char lanes __attribute__((vector_size(LANES)));

static inline lanes lanes_load(const char *p)
{
	lanes v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static inline void lanes_store(char *p, lanes v)
{
	memcpy(p, &v, sizeof(v));
}

/* The last bytes of a text, len < LANES of them, with zeros behind. */
static inline lanes lanes_load_tail(const char *p, size_t len)
{
	char pad[LANES] = {0};

	memcpy(pad, p, len);
	return lanes_load(pad);
}

/*
 * What is at p. The lanes from limit on, which is where the memory ends that
 * may be read, are zero.
 */
static inline lanes lanes_load_until(const char *p, const char *limit)
{
	size_t len = (size_t)(limit - p);

	return len >= LANES ? lanes_load(p) : lanes_load_tail(p, len);
}

/* All lanes c. A cast of a vector is no conversion, hence the subtraction. */
static inline lanes lanes_fill(char c)
{
	return (lanes){0} + (unsigned char)c;
}

/* Of a comparison: some lane is true. */
static inline bool lanes_any(lanes mask)
{
	uint64_t half[2];

	memcpy(half, &mask, sizeof(half));
	return (half[0] | half[1]) != 0;
}

/* The first lane that is true, or LANES. */
static inline size_t lanes_first(lanes mask)
{
#ifdef __SSE2__
	typedef char signed_lanes __attribute__((vector_size(LANES)));
	unsigned bits =
		(unsigned)__builtin_ia32_pmovmskb128((signed_lanes)mask);

	return (size_t)__builtin_ctz(bits | 1u << LANES);
#else
	unsigned char lane[LANES];
	size_t i = 0;

	if (!lanes_any(mask))
		return LANES;
	memcpy(lane, &mask, sizeof(lane));
	while (lane[i] == 0)
		i++;
	return i;
#endif
}

#endif
