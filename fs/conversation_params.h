/* SPDX-License-Identifier: MIT */
/*
 * The parameters that wait in a conversation for the next statement of those
 * who wrote them. Thread of the loop.
 *
 * They belong to the process that opened params.json, and once it has ended to
 * its parent, and so on up to the shell, or, when none of these lives, to the
 * whole conversation. A statement takes those of its writer's process or else
 * of the nearest one above; of these the last, and the earlier ones go with it.
 * In a directory of sessions/ all other Unix sessions come last of all. So jobs
 * of one shell do not get each other's, and
 *
 *     /bin/echo '[1]' > params.json; /bin/echo 'select $1' > query.sql
 *
 * works, where the two writers are children of the shell.
 */
#ifndef CONNFS_FS_CONVERSATION_PARAMS_H
#define CONNFS_FS_CONVERSATION_PARAMS_H

#include <stdint.h>

struct caller;
struct conversation;
struct err;
struct params;

/*
 * Complete parameters of writer, in place of what it wrote before; counted.
 * -EDQUOT: too many of processes that still live, or too large together;
 * -ENOMEM.
 */
int conversation_add_params(struct conversation *conv,
			    const struct caller *writer, struct params *params,
			    struct err *err);

/*
 * None in place of what it wrote before, and of what is above: they were cut
 * to nothing, or err says why they were refused.
 */
void conversation_clear_params(struct conversation *conv,
			       const struct caller *writer,
			       const struct err *err);

/* For writer's next statement; counted by the caller from now on, or null. */
struct params *conversation_take_params(struct conversation *conv,
					const struct caller *writer);

/* What the above would give; borrowed. */
const struct params *conversation_params(struct conversation *conv,
					 const struct caller *writer);

/* Why they were refused that the above would have given, or null. */
const struct err *conversation_params_error(struct conversation *conv,
					    const struct caller *writer);

/* When these, or the refusal, were written, in ms; 0: there is neither. */
int64_t conversation_params_time(struct conversation *conv,
				 const struct caller *writer);

void conversation_drop_params(struct conversation *conv);

#endif
