/* SPDX-License-Identifier: MIT */
#include "fs/ns_hold.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/caller.h"
#include "fs/caller_kernel.h"

/* Of linux/nsfs.h of Linux 6.11; Debian 12 has the header of 6.1. */
#define NS_GET_PID_FROM_PIDNS _IOR(0xb7, 0x6, int)

static int hold(int *out, const struct caller *c, const char *name,
		uint64_t number, uint64_t own)
{
	struct stat st;
	char path[64];
	int rc = 0;

	if (number == own || number == 0)
		return 0;
	(void)snprintf(path, sizeof(path), "/proc/%d/ns/%s", c->tid, name);
	*out = open(path, O_RDONLY | O_CLOEXEC);
	if (*out < 0 || fstat(*out, &st) < 0)
		rc = -errno;
	else if (st.st_ino != number)
		rc = -EACCES;
	return rc;
}

int ns_hold_init(struct ns_hold *out, const struct caller *c)
{
	const struct kernel_ns *own = kernel_own_ns();
	int rc;

	*out = NS_HOLD_NONE;
	rc = hold(&out->pid_ns, c, "pid", c->pid_ns, own->pid);
	if (rc == 0)
		rc = hold(&out->user_ns, c, "user", c->user_ns, own->user);
	if (rc < 0)
		ns_hold_finish(out);
	return rc;
}

void ns_hold_finish(struct ns_hold *h)
{
	if (h->pid_ns >= 0)
		(void)close(h->pid_ns);
	if (h->user_ns >= 0)
		(void)close(h->user_ns);
	*h = NS_HOLD_NONE;
}

bool ns_hold_is_over(const struct ns_hold *h)
{
	return h->pid_ns >= 0 &&
	       ioctl(h->pid_ns, NS_GET_PID_FROM_PIDNS, 1) < 0 && errno == ESRCH;
}
