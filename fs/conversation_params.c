/* SPDX-License-Identifier: MIT */
#include "fs/conversation_params.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/err.h"
#include "fs/caller.h"
#include "fs/conversation.h"
#include "fs/params.h"

enum {
	MAX_PENDING = 64,
	MAX_BYTES = 256 * 1024 * 1024,
};

struct pending_params {
	struct pending_params *next; /* newest first */
	/* Whose they are, those above it behind; none left: everybody's. */
	struct process chain[CALLER_MAX_CHAIN];
	size_t n_chain;
	pid_t sid;             /* of who wrote them */
	bool inherited;        /* who wrote them has ended */
	struct params *params; /* counted; null: none */
	struct err err;        /* why there are none, or code 0 */
	int64_t written_wall;  /* ms */
};

static void drop(struct pending_params **p)
{
	struct pending_params *pending = *p;

	*p = pending->next;
	params_unref(pending->params);
	free(pending);
}

/* Those of processes that have ended pass to the nearest above that lives. */
static void inherit(struct pending_params *pending)
{
	size_t i = 0;

	while (i < pending->n_chain && !process_alive(&pending->chain[i]))
		i++;
	if (i == 0)
		return;
	pending->inherited = true;
	pending->n_chain -= i;
	memmove(pending->chain, pending->chain + i,
		pending->n_chain * sizeof(*pending->chain));
}

static bool same_owner(const struct pending_params *a,
		       const struct pending_params *b)
{
	if (a->n_chain == 0 || b->n_chain == 0)
		return a->n_chain == b->n_chain;
	return a->chain[0].pid == b->chain[0].pid &&
	       a->chain[0].birth == b->chain[0].birth;
}

/* Older ones of the same owner nobody can ask for. */
static void drop_older(struct pending_params *pending)
{
	struct pending_params **p = &pending->next;

	while (*p != NULL) {
		if (same_owner(*p, pending))
			drop(p);
		else
			p = &(*p)->next;
	}
}

/* Who owns what may have changed since it was last looked at. */
static void refresh(struct conversation *conv)
{
	for (struct pending_params *p = conv->params; p != NULL; p = p->next)
		inherit(p);
	for (struct pending_params *p = conv->params; p != NULL; p = p->next)
		drop_older(p);
}

/* 0: not the caller's to use; else, the more, the nearer. */
static size_t nearness(const struct conversation *conv,
		       const struct pending_params *pending,
		       const struct caller *caller)
{
	struct caller owner = {.n_chain = 1, .depth = 1};
	size_t depth;

	if (pending->n_chain == 0 ||
	    (conv->kind == CONVERSATION_NAMED && pending->sid != caller->sid))
		return 1;
	owner.chain[0] = pending->chain[0];
	depth = caller_common_ancestors(&owner, caller);
	return depth > 0 ? depth + 1 : 0;
}

/* Where the nearest is linked, or null. */
static struct pending_params **find(struct conversation *conv,
				    const struct caller *caller)
{
	struct pending_params **best = NULL;
	size_t nearest = 0;

	refresh(conv);
	for (struct pending_params **p = &conv->params; *p != NULL;
	     p = &(*p)->next) {
		size_t n = nearness(conv, *p, caller);

		if (n > nearest) {
			nearest = n;
			best = p;
		}
	}
	return best;
}

/*
 * The newest has come: of its kind the oldest go that nobody counts on, which
 * are those of processes that have ended, and any that are only a refusal.
 */
static int make_room(struct conversation *conv, struct err *err)
{
	const struct pending_params *newest = conv->params;
	bool refusals = newest->params == NULL;

	for (;;) {
		struct pending_params **oldest = NULL;
		size_t n = 0, bytes = 0;

		for (struct pending_params **p = &conv->params; *p != NULL;
		     p = &(*p)->next) {
			if (((*p)->params == NULL) != refusals)
				continue;
			n++;
			if (!refusals)
				bytes += params_size((*p)->params);
			if (*p != newest && (refusals || (*p)->inherited))
				oldest = p;
		}
		if (n <= MAX_PENDING && bytes <= MAX_BYTES)
			return 0;
		if (oldest == NULL)
			return err_set(err, EDQUOT,
				       "params.json: those of %zu processes are "
				       "waiting for their statements",
				       n - 1);
		drop(oldest);
	}
}

static int add(struct conversation *conv, const struct caller *writer,
	       struct params *params, const struct err *why, struct err *err)
{
	struct pending_params *pending = calloc(1, sizeof(*pending));
	int rc;

	if (pending == NULL)
		return err_set(err, ENOMEM, "no memory for the parameters");
	memcpy(pending->chain, writer->chain, sizeof(pending->chain));
	pending->n_chain = writer->n_chain;
	pending->sid = writer->sid;
	pending->written_wall = clock_wall_ms();
	if (params != NULL)
		pending->params = params_ref(params);
	if (why != NULL)
		pending->err = *why;
	pending->next = conv->params;
	conv->params = pending;
	refresh(conv);
	rc = make_room(conv, err);
	if (rc < 0)
		drop(&conv->params);
	return rc;
}

int conversation_add_params(struct conversation *conv,
			    const struct caller *writer, struct params *params,
			    struct err *err)
{
	return add(conv, writer, params, NULL, err);
}

void conversation_clear_params(struct conversation *conv,
			       const struct caller *writer,
			       const struct err *err)
{
	/* Without anything to be had there is nothing to hide. */
	if (err == NULL && find(conv, writer) == NULL)
		return;
	(void)add(conv, writer, NULL, err, NULL);
}

struct params *conversation_take_params(struct conversation *conv,
					const struct caller *writer)
{
	struct pending_params **p = find(conv, writer);
	struct params *params = NULL;

	if (p == NULL)
		return NULL;
	if ((*p)->params != NULL && params_args((*p)->params) != NULL)
		params = params_ref((*p)->params);
	if ((*p)->params != NULL)
		params_forget_text((*p)->params);
	drop(p);
	return params;
}

const struct params *conversation_params(struct conversation *conv,
					 const struct caller *writer)
{
	struct pending_params **p = find(conv, writer);

	return p != NULL ? (*p)->params : NULL;
}

const struct err *conversation_params_error(struct conversation *conv,
					    const struct caller *writer)
{
	struct pending_params **p = find(conv, writer);

	return p != NULL && (*p)->err.code != 0 ? &(*p)->err : NULL;
}

int64_t conversation_params_time(struct conversation *conv,
				 const struct caller *writer)
{
	struct pending_params **p = find(conv, writer);

	return p != NULL ? (*p)->written_wall : 0;
}

void conversation_drop_params(struct conversation *conv)
{
	while (conv->params != NULL)
		drop(&conv->params);
}
