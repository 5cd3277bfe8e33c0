/* SPDX-License-Identifier: MIT */
#include "mount-helpers/job_namespace.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/err.h"

/* What forbids user namespaces to ordinary users, and by which value. */
static const struct {
	const char *file;
	char value;
	const char *setting;
} forbidding[] = {
	{"/proc/sys/kernel/unprivileged_userns_clone", '0',
	 "kernel.unprivileged_userns_clone is 0: an administrator can set it "
	 "to 1"},
	{"/proc/sys/user/max_user_namespaces", '0',
	 "user.max_user_namespaces is 0: an administrator can raise it"},
	{"/proc/sys/kernel/apparmor_restrict_unprivileged_userns", '1',
	 "kernel.apparmor_restrict_unprivileged_userns is 1: an administrator "
	 "can set it to 0, or load an AppArmor profile that lets connfs-job "
	 "have userns"},
};

static bool begins_with(const char *file, char wanted)
{
	auto_close int fd = open(file, O_RDONLY | O_CLOEXEC);
	char text[2];

	/* "0\n", and not the "0" of "007". */
	return fd >= 0 && read(fd, text, sizeof(text)) == sizeof(text) &&
	       text[0] == wanted && text[1] == '\n';
}

static const char *what_forbids(void)
{
	for (size_t i = 0; i < sizeof(forbidding) / sizeof(*forbidding); i++) {
		if (begins_with(forbidding[i].file, forbidding[i].value))
			return forbidding[i].setting;
	}
	return "forbidden by a container (for root: no capability SYS_ADMIN; "
	       "its seccomp profile), a security module or a chroot";
}

static int forbidden(int code, const char *what, struct err *err)
{
	return err_set(err, code, "%s: %s; %s", what, strerrordesc_np(code),
		       what_forbids());
}

static int write_text(const char *file, const char *text, struct err *err)
{
	auto_close int fd = open(file, O_WRONLY | O_CLOEXEC);

	/* Taken whole or not at all. */
	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		return forbidden(errno, file, err);
	return 0;
}

static int keep_ids(uid_t uid, gid_t gid, struct err *err)
{
	char map[64];
	int rc;

	/* Without it, nobody but root may write gid_map. */
	rc = write_text("/proc/self/setgroups", "deny", err);
	if (rc < 0)
		return rc;
	(void)snprintf(map, sizeof(map), "%u %u 1", uid, uid);
	rc = write_text("/proc/self/uid_map", map, err);
	if (rc < 0)
		return rc;
	(void)snprintf(map, sizeof(map), "%u %u 1", gid, gid);
	return write_text("/proc/self/gid_map", map, err);
}

int job_namespace(bool *own_users, struct err *err)
{
	uid_t uid = geteuid();
	gid_t gid = getegid();
	int rc = 0;

	*own_users = false;
	if (unshare(CLONE_NEWNS) < 0) {
		if (errno != EPERM)
			return err_sys(err, errno, "a mount namespace");
		*own_users = true;
		if (unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0)
			return forbidden(errno, "a user namespace", err);
		rc = keep_ids(uid, gid, err);
	}
	if (rc == 0 && mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) < 0)
		rc = job_namespace_refused(errno, "/", err);
	return rc;
}

int job_namespace_refused(int code, const char *at, struct err *err)
{
	if (code == EPERM || code == EACCES)
		return forbidden(code, at, err);
	if (code == EINVAL && strcmp(at, "/") == 0)
		return err_set(err, code,
			       "/ is no mount point: in a chroot a job cannot "
			       "have a mount of its own");
	return err_sys(err, code, "%s", at);
}
