/* SPDX-License-Identifier: MIT */
/*
 * A thread that waits for the disk in the loop's place: brings spooled bytes
 * that have left the page cache back into it. Started at its first use.
 */
#ifndef CONNFS_FS_DISK_READER_H
#define CONNFS_FS_DISK_READER_H

#include <stddef.h>
#include <stdint.h>

#include "fs/loop.h"

struct disk_reader;
struct spool;

struct disk_fetch {
	struct loop_event event; /* posted when the bytes are there */
	struct disk_fetch *next;
	struct spool *spool; /* the owner's, who keeps it until the event */
	uint64_t off;
	size_t size;
	int rc; /* 0 or a negative errno, when the event runs */
};

/* Null when there is no memory. */
struct disk_reader *disk_reader_create(struct loop *loop);
void disk_reader_destroy(struct disk_reader *reader); /* null is allowed */

/* fetch is the caller's again when its event runs. 0 or a negative errno. */
int disk_reader_fetch(struct disk_reader *reader, struct disk_fetch *fetch);

#endif
