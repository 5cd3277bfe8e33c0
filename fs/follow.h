/* SPDX-License-Identifier: MIT */
/*
 * A session whose result sets are read one after another while its script
 * runs, as `sql` does it. There
 *
 * - opening results/N.csv waits until the N-th result set has come, or until
 *   it is sure that it will not: the name does not exist then. For programs
 *   that go by a file's size it has come when it is whole. The OPEN that
 *   waited answers ESTALE, and the kernel looks the name up again;
 * - the script waits with its next statement when SCRIPT_MAX_RESULTS have not
 *   been read: those before the highest number that was looked up, by the
 *   process that made the session or what it has started, are done with;
 * - a result set that fills the spool waits for its reader, although there are
 *   statements behind it.
 *
 * Belongs to a conversation; thread of the loop.
 */
#ifndef CONNFS_FS_FOLLOW_H
#define CONNFS_FS_FOLLOW_H

#include <stdbool.h>
#include <stdint.h>

#include "fs/format.h"

struct conversation;
struct node;
struct script;
struct view;

/* Makes it such a session. 0 or -ENOMEM. */
int follow_begin(struct conversation *conv);

/* The conversation ends: who waits is told. */
void follow_end(struct conversation *conv);

/* Of any session: result_make_number(), and in such a one what is to come. */
int follow_lookup(struct node **out, const struct view *v, uint64_t n,
		  enum format format);

/* Something has changed; in other conversations it does nothing. */
void follow_check(struct conversation *conv);

/* query.sql was closed; likewise. */
void follow_wrote(struct conversation *conv);

/* The script's next statement has to wait for the reader. */
bool follow_holds(const struct script *script);

#endif
