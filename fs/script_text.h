/* SPDX-License-Identifier: MIT */
/*
 * A script's text into its queue of statements. For script.c only.
 */
#ifndef CONNFS_FS_SCRIPT_TEXT_H
#define CONNFS_FS_SCRIPT_TEXT_H

#include <stddef.h>

struct connection;
struct script;
struct statement;

/*
 * Appends text and queues the statements it completes. A text that cannot be
 * one (not UTF-8, too long, a client command) is queued as a statement that
 * will be refused, so that what stands before it runs first. 0 or -ENOMEM.
 */
int script_text_add(struct script *script, const char *data, size_t len);

/* Queues what stands there without a semicolon, unless it is blank. */
int script_text_end(struct script *script);

/*
 * What was held until the statements before it were over, as they may change
 * how it is to be split; when they are. 0 or -ENOMEM.
 */
int script_text_resume(struct script *script);

/* Forgets what is not complete. */
void script_text_drop(struct script *script);

/* Puts down in s who holds the sessions of c. */
void script_note_holders(struct statement *s, struct connection *c);

#endif
