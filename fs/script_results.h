/* SPDX-License-Identifier: MIT */
/*
 * The result sets of a script: what script.h says of them stands in
 * script_results.c. For script.c only. Thread of the loop.
 */
#ifndef CONNFS_FS_SCRIPT_RESULTS_H
#define CONNFS_FS_SCRIPT_RESULTS_H

struct script;

/* Takes over what the current statement has begun since the last look. */
void script_collect(struct script *script);

/* Ends what runs for readers that have gone, or that cannot come any more. */
void script_check_readers(struct script *script);

#endif
