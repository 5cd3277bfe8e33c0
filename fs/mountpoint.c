/* SPDX-License-Identifier: MIT */
#include "fs/mountpoint.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/err.h"
#include "common/log.h"
#include "fs/mount_at.h"
#include "fs/probe.h"

enum {
	LOCK_MS = 3000, /* another daemon mounts; that takes far less */
	LOCK_AGAIN_MS = 10,
	ANSWER_MS = 3000, /* a daemon that lives answers at once */
	STACKED_MAX = 100 /* dead mounts, one upon the other */
};

/*
 * Of the directory above: what is mounted at path may hang. Anybody who can
 * read that can lock it, too, so that nobody waits for long.
 */
int mountpoint_lock(const char *path)
{
	uint64_t deadline = clock_mono_ms() + LOCK_MS;
	size_t len = (size_t)(strrchr(path, '/') - path);
	auto_free char *above = strndup(path, len > 0 ? len : 1);
	auto_close int fd = -1;

	if (above != NULL)
		fd = open(above, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	while (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) < 0) {
		if (errno != EWOULDBLOCK || clock_mono_ms() >= deadline)
			return -1;
		(void)poll(NULL, 0, LOCK_AGAIN_MS);
	}
	return take_fd(&fd);
}

/* The kernel lets in who has mounted it; others may not be asked at all. */
struct owner {
	uid_t uid;
	gid_t gid;
	bool is_known;
};

static bool number_of(unsigned *out, const char *options, const char *key)
{
	const char *at = strstr(options, key);

	if (at == NULL)
		return false;
	*out = (unsigned)strtoul(at + strlen(key), NULL, 10);
	return true;
}

static struct owner owner_of(const struct mount_at *at)
{
	struct owner owner = {0};

	owner.is_known = number_of(&owner.uid, at->options, "user_id=") &&
			 number_of(&owner.gid, at->options, "group_id=");
	return owner;
}

/*
 * In a copy of a process with threads: by system calls, as the library would
 * change the identity of those as well.
 */
static int ask_daemon(int fd, void *arg)
{
	const struct owner *owner = arg;
	struct statfs fs;

	if (owner->is_known && geteuid() == 0) {
		(void)syscall(SYS_setresgid, owner->gid, owner->gid,
			      owner->gid);
		(void)syscall(SYS_setresuid, owner->uid, owner->uid,
			      owner->uid);
	}
	return fstatfs(fd, &fs) < 0 ? errno : 0;
}

static int run_fusermount(const char *path)
{
	const char *const argv[] = {"fusermount3", "-u", "-z",
				    "--",          path, NULL};
	char *const no_env[] = {NULL};
	pid_t pid;
	int status;
	int rc = posix_spawnp(&pid, argv[0], NULL, NULL, (char *const *)argv,
			      no_env);

	if (rc != 0)
		return -rc;
	if (TEMP_FAILURE_RETRY(waitpid(pid, &status, 0)) < 0)
		return -errno;
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -EPERM;
}

/* By the descriptor: what is at the path may be another one by now. */
static int detach(const struct mount_at *at, struct err *err)
{
	char name[40];
	int rc = 0;

	(void)snprintf(name, sizeof(name), "/proc/self/fd/%d", at->fd);
	if (umount2(name, MNT_DETACH) < 0)
		rc = errno == EPERM ? run_fusermount(at->path) : -errno;
	if (rc < 0)
		return err_sys(err, -rc,
			       "MOUNTPOINT %s: the connfs there, of %s, has "
			       "ended, and cannot be unmounted",
			       at->path, at->source);
	log_info("unmounted %s: the connfs there, of %s, has ended", at->path,
		 at->source);
	return 0;
}

static int tell_busy(const char *path, const char *source, struct err *err)
{
	return err_set(err, EBUSY,
		       "MOUNTPOINT %s: a connfs is mounted there already, of "
		       "%s; %s %s ends it",
		       path, source,
		       geteuid() == 0 ? "umount" : "fusermount3 -u", path);
}

/* 0: it was dead and is gone; look again. */
static int clear_connfs(const struct mount_at *at, struct err *err)
{
	struct owner owner = owner_of(at);
	int rc = probe_run(ask_daemon, at->fd, &owner, ANSWER_MS);

	switch (rc) {
	case ENOTCONN:
	case ECONNABORTED:
	case ECONNREFUSED:
		return detach(at, err);
	case -ETIMEDOUT:
		return err_set(err, EBUSY,
			       "MOUNTPOINT %s: the connfs there, of %s, does "
			       "not answer; as root, echo 1 "
			       ">/sys/fs/fuse/connections/%u/abort ends it",
			       at->path, at->source, minor(at->dev));
	default:
		break;
	}
	if (rc < 0)
		return err_sys(err, -rc, "MOUNTPOINT %s", at->path);
	return tell_busy(at->path, at->source, err);
}

static int check_directory(int fd, const char *path, struct err *err)
{
	struct stat st;
	int rc = fstat(fd, &st) < 0 ? errno : 0;

	/* What is mounted is a directory; a file would take it, and hang. */
	if (rc == 0 && !S_ISDIR(st.st_mode))
		rc = ENOTDIR;
	return rc != 0 ? err_sys(err, rc, "MOUNTPOINT %s", path) : 0;
}

int mountpoint_clear(const char *path, struct err *err)
{
	for (int i = 0; i < STACKED_MAX; i++) {
		auto_mount_at struct mount_at at;
		struct err why;
		int rc = mount_at_open(&at, path, 0, &why);

		if (rc < 0)
			return err_set(err, -rc, "MOUNTPOINT %s", why.msg);
		if (!at.is_connfs || !at.is_root)
			return check_directory(at.fd, path, err);
		rc = clear_connfs(&at, err);
		if (rc < 0)
			return rc;
	}
	return err_set(err, EBUSY, "MOUNTPOINT %s: too much is mounted there",
		       path);
}

/* What Ubuntu's profile lets users mount upon. */
static bool is_usual(const char *path)
{
	static const char *const usual[] = {"/home/",     "/root/",  "/mnt/",
					    "/run/user/", "/media/", "/tmp/"};

	for (size_t i = 0; i < sizeof(usual) / sizeof(*usual); i++) {
		if (strncmp(path, usual[i], strlen(usual[i])) == 0)
			return true;
	}
	return false;
}

void mountpoint_explain(const char *path)
{
	if (access("/etc/apparmor.d/fusermount3", F_OK) == 0 && !is_usual(path))
		log_error("AppArmor's profile fusermount3 keeps users from "
			  "mounting at %s, unless "
			  "/etc/apparmor.d/local/fusermount3 has the lines of "
			  "share/connfs/apparmor/fusermount3; /mnt/conn needs "
			  "none",
			  path);
}
