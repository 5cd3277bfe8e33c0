/* SPDX-License-Identifier: MIT */
/*
 * What is known of a result set in the formats that are made from its CSV:
 * its size in each of them and places to resume from, once somebody has made
 * it to its end, and how its text is laid out. Any thread.
 */
#ifndef CONNFS_FS_FORMAT_INDEX_H
#define CONNFS_FS_FORMAT_INDEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fs/format.h"

struct format_index;
struct layout;

/* A place between two rows. */
struct format_point {
	uint64_t row; /* the next one, from 0 */
	uint64_t in;  /* where it begins in the CSV */
	uint64_t out; /* bytes made of what is before it */
};

/*
 * Places that one who makes all of it takes down, FORMAT_STEP bytes apart,
 * farther when they become many. Zeroed is empty; one thread at a time.
 */
enum { FORMAT_STEP = 256 * 1024 };
struct format_points {
	struct format_point *all; /* in their order */
	size_t n;
	size_t cap;
	uint64_t step; /* 0: FORMAT_STEP */
	uint64_t next; /* offset of the output where one is due */
};

bool format_points_due(const struct format_points *p, uint64_t out);

/* Without memory it is left out. */
void format_points_add(struct format_points *p, const struct format_point *at);
void format_points_finish(struct format_points *p);

/* Null when there is no memory. */
struct format_index *format_index_create(void);
void format_index_destroy(struct format_index *index); /* null is allowed */

/* All of it has been made: takes the places over. The first one counts. */
void format_index_publish(struct format_index *index, enum format format,
			  uint64_t size, struct format_points *points);
bool format_index_size(struct format_index *index, enum format format,
		       uint64_t *size);

/* The last place that is known at or before an offset; else the beginning. */
void format_index_find(struct format_index *index, enum format format,
		       uint64_t out, struct format_point *at);

/*
 * Who goes through all of it only to learn its size: at once and for a short
 * one, or on the encoding thread. False: another one has begun to, and has not
 * given it back.
 */
enum format_counting { FORMAT_AT_ONCE, FORMAT_IN_TURN, FORMAT_COUNTINGS };
bool format_index_claim(struct format_index *index, enum format format,
			enum format_counting how);
void format_index_unclaim(struct format_index *index, enum format format,
			  enum format_counting how);

/* The layout of FORMAT_TXT, counted; null: not made yet. */
struct layout *format_index_layout(struct format_index *index);

/* Sets it unless there is one; takes a reference of its own. */
void format_index_set_layout(struct format_index *index, struct layout *layout);

#endif
