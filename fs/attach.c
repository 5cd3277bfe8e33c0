/* SPDX-License-Identifier: MIT */
#include "fs/attach.h"

#include <errno.h>
#include <stdbool.h>

#include "common/cleanup.h"
#include "common/err.h"
#include "common/mountinfo.h"
#include "fs/attach_enter.h"
#include "fs/attach_others.h"
#include "fs/attach_place.h"
#include "fs/attach_source.h"

/* A container that mounts dead ones as fast as they are taken off. */
enum { MAX_DEAD = 16 };

/* A bare directory at the place, made if need be. */
static int make_room(struct place *p, struct err *err)
{
	for (int i = 0; i < MAX_DEAD; i++) {
		int rc = place_find(p, err);

		if (rc == -ENOENT)
			rc = place_make(p, err);
		if (rc == 0)
			rc = place_state(p, err);
		if (rc == PLACE_DEAD)
			rc = attach_enter_unmount(p->ns_fd, p->at_fd, err);
		else if (rc == PLACE_CONNFS)
			return err_set(err, EBUSY, "%s: a connfs is there",
				       p->target->at);
		else if (rc == PLACE_OTHER)
			return err_set(err, EBUSY,
				       "%s: something else is mounted there",
				       p->target->at);
		else
			return rc;
		if (rc < 0)
			return rc;
	}
	return err_set(err, EBUSY, "%s: dead mounts do not end", p->target->at);
}

int attach_mount(const char *from, const struct attach_target *to,
		 struct err *err)
{
	auto_close int tree = -1;
	struct place p;
	int rc = place_open(&p, to, err);

	if (rc == 0)
		rc = attach_source(&tree, from, err);
	if (rc == 0)
		rc = make_room(&p, err);
	if (rc == 0)
		rc = attach_enter_move(p.ns_fd, tree, p.at_fd, err);
	place_close(&p);
	return rc;
}

/* The directory goes too, unless another container has something on it. */
static int take_off(struct place *p, struct err *err)
{
	struct backing b;
	bool known =
		backing_of(&b, p->mountinfo, mountinfo_id_of(p->at_fd)) == 0;
	int rc = attach_enter_unmount(p->ns_fd, p->at_fd, err);

	if (rc == 0 && known && !backing_is_used(&b))
		place_remove(p);
	return rc;
}

int attach_remove(const struct attach_target *from, struct err *err)
{
	struct place p;
	int rc = place_open(&p, from, err);

	if (rc == 0)
		rc = place_find(&p, err);
	if (rc == 0)
		rc = place_state(&p, err);
	if (rc == PLACE_CONNFS || rc == PLACE_DEAD)
		rc = take_off(&p, err);
	else if (rc >= 0 || rc == -ENOENT)
		rc = err_set(err, ENODEV, "%s: no connfs is mounted there",
			     from->at);
	place_close(&p);
	return rc;
}
