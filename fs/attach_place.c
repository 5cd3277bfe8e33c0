/* SPDX-License-Identifier: MIT */
#include "fs/attach_place.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/err.h"
#include "common/mountinfo.h"
#include "fs/attach.h"
#include "fs/attach_others.h"
#include "fs/attach_source.h"

enum { DIR_MODE = 0555 };

/* In the container: nothing leads out of it. */
#define STRICT (RESOLVE_IN_ROOT | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS)

/* Of the host's own making, as the runtime names it. */
#define HOSTS (RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS)

static int open_dir(int below, const char *path, unsigned resolve)
{
	const struct open_how how = {.flags = O_PATH | O_DIRECTORY | O_CLOEXEC,
				     .resolve = resolve};

	return (int)syscall(SYS_openat2, below, path, &how, sizeof(how));
}

static bool has_ended(const struct place *p)
{
	struct pollfd pfd = {.fd = p->pid_fd, .events = POLLIN};

	return poll(&pfd, 1, 0) != 0;
}

static int process_failed(const struct place *p, struct err *err)
{
	int code = errno;

	/* One that is ending has lost these before its pidfd says so. */
	if ((p->proc_fd >= 0 && (code == ENOENT || code == ESRCH)) ||
	    (p->pid_fd >= 0 && has_ended(p)))
		return err_set(err, ESRCH, "process %d has ended",
			       p->target->pid);
	if (code == EPERM || code == EACCES)
		return err_set(err, EPERM,
			       "process %d is not ours to look into: this "
			       "needs root",
			       p->target->pid);
	return err_sys(err, code, "process %d", p->target->pid);
}

/* /proc/<pid> is of one process for good, as the pidfd is. */
static int open_process(struct place *p, struct err *err)
{
	char path[32];

	p->pid_fd = (int)syscall(SYS_pidfd_open, p->target->pid, 0);
	if (p->pid_fd < 0 && errno == EINVAL)
		return err_set(err, EINVAL, "%d is a thread, not a process",
			       p->target->pid);
	if (p->pid_fd < 0)
		return process_failed(p, err);
	(void)snprintf(path, sizeof(path), "/proc/%d", p->target->pid);
	p->proc_fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (p->proc_fd < 0 || has_ended(p))
		return process_failed(p, err);
	(void)snprintf(p->mountinfo, sizeof(p->mountinfo),
		       "/proc/self/fd/%d/mountinfo", p->proc_fd);
	return 0;
}

static bool is_ours(const struct stat *ns, const char *self)
{
	struct stat ours;

	return stat(self, &ours) == 0 && ours.st_dev == ns->st_dev &&
	       ours.st_ino == ns->st_ino;
}

static int open_namespace(struct place *p, struct err *err)
{
	struct stat ns;

	p->ns_fd = openat(p->proc_fd, "ns/mnt", O_RDONLY | O_CLOEXEC);
	if (p->ns_fd >= 0)
		p->root_fd = openat(p->proc_fd, "root",
				    O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (p->root_fd < 0 || fstat(p->ns_fd, &ns) < 0)
		return process_failed(p, err);
	if (is_ours(&ns, "/proc/self/ns/mnt"))
		return err_set(err, EINVAL,
			       "process %d has this mount namespace: it is in "
			       "no container",
			       p->target->pid);
	return 0;
}

static int place_failed(const struct place *p, int code, struct err *err)
{
	const char *at = p->target->at;

	switch (code) {
	case ELOOP:
		return err_set(err, code,
			       "%s: there is a symbolic link on the way", at);
	case ENOTDIR:
		return err_set(err, code, "%s: not a directory", at);
	case EROFS:
		return err_set(err, code,
			       "%s: the file system is read-only; make the "
			       "directory in the image",
			       at);
	case ENOENT:
		return err_set(err, code,
			       "%s: the directory it is in is missing", at);
	default:
		return err_sys(err, code, "%s", at);
	}
}

/* The directory it is in; ends at the last slash. null: not a usable place. */
static char *split(struct place *p)
{
	char *dir = strdup(p->target->at);
	char *end = dir != NULL ? dir + strlen(dir) : NULL;

	while (end != NULL && end > dir && end[-1] == '/')
		*--end = '\0';
	while (end != NULL && end > dir && end[-1] != '/')
		end--;
	if (dir == NULL || dir[0] != '/' || *end == '\0' ||
	    strlen(end) >= sizeof(p->name) || strcmp(end, ".") == 0 ||
	    strcmp(end, "..") == 0) {
		free(dir);
		return NULL;
	}
	(void)snprintf(p->name, sizeof(p->name), "%s", end);
	*end = '\0';
	return dir;
}

/* Runtimes look at what is there, and must not see something else. */
static bool is_kernels(int dir_fd)
{
	struct statfs st;

	if (fstatfs(dir_fd, &st) < 0)
		return false;
	return st.f_type == PROC_SUPER_MAGIC || st.f_type == SYSFS_MAGIC ||
	       st.f_type == CGROUP_SUPER_MAGIC ||
	       st.f_type == CGROUP2_SUPER_MAGIC;
}

static int open_around(struct place *p, struct err *err)
{
	const char *root = p->target->root;
	auto_free char *dir = split(p);
	int fd, id;

	if (dir == NULL)
		return err_set(err, EINVAL,
			       "%s: not an absolute path of a directory",
			       p->target->at);
	fd = open_dir(p->root_fd, root, HOSTS);
	if (fd < 0)
		return err_sys(err, errno, "root directory %s", root);
	(void)close(p->root_fd);
	p->root_fd = fd;
	p->dir_fd = open_dir(p->root_fd, dir, STRICT);
	if (p->dir_fd < 0)
		return place_failed(p, errno, err);
	if (is_kernels(p->dir_fd))
		return err_set(err, EINVAL,
			       "%s: in a file system of the kernel",
			       p->target->at);
	id = mountinfo_id_of(p->dir_fd);
	if (id < 0 || attach_spreads_here(p->mountinfo, id))
		return err_set(err, EINVAL,
			       "%s: what is mounted there would appear outside "
			       "of the container, as the mounts are shared",
			       p->target->at);
	return 0;
}

int place_open(struct place *out, const struct attach_target *target,
	       struct err *err)
{
	int rc;

	*out = (struct place){.target = target,
			      .pid_fd = -1,
			      .proc_fd = -1,
			      .ns_fd = -1,
			      .root_fd = -1,
			      .dir_fd = -1,
			      .at_fd = -1};
	rc = open_process(out, err);
	if (rc == 0)
		rc = open_namespace(out, err);
	return rc == 0 ? open_around(out, err) : rc;
}

void place_close(struct place *p)
{
	cleanup_close(&p->at_fd);
	cleanup_close(&p->dir_fd);
	cleanup_close(&p->root_fd);
	cleanup_close(&p->ns_fd);
	cleanup_close(&p->proc_fd);
	cleanup_close(&p->pid_fd);
}

int place_find(struct place *p, struct err *err)
{
	cleanup_close(&p->at_fd);
	p->at_fd = open_dir(p->dir_fd, p->name, STRICT);
	if (p->at_fd >= 0)
		return 0;
	return errno == ENOENT ? -ENOENT : place_failed(p, errno, err);
}

struct type {
	int id;
	bool is_connfs;
};

static bool visit_type(void *arg, const struct mountinfo *m)
{
	struct type *type = arg;

	if (m->id != type->id)
		return true;
	type->is_connfs = mountinfo_is_connfs(m);
	return false;
}

int place_state(const struct place *p, struct err *err)
{
	struct type type = {.id = mountinfo_id_of(p->at_fd)};
	int below = mountinfo_id_of(p->dir_fd);
	int rc;

	if (type.id < 0 || below < 0)
		return err_sys(err, EIO, "mount of %s", p->target->at);
	if (type.id == below)
		return PLACE_BARE;
	rc = mountinfo_each(p->mountinfo, visit_type, &type);
	if (rc == -EINVAL) /* it has no namespace any more */
		rc = -ESRCH;
	if (rc < 0) {
		errno = -rc;
		return process_failed(p, err);
	}
	if (!type.is_connfs)
		return PLACE_OTHER;
	return attach_is_dead(p->at_fd) ? PLACE_DEAD : PLACE_CONNFS;
}

/* Lines "first-inside first-outside count"; true when id is one outside. */
static bool is_mapped(const struct place *p, const char *map, unsigned id)
{
	auto_close int fd = openat(p->proc_fd, map, O_RDONLY | O_CLOEXEC);
	auto_fclose FILE *f = fd >= 0 ? fdopen(fd, "r") : NULL;
	char line[128];

	if (f == NULL)
		return false;
	(void)take_fd(&fd);
	while (fgets(line, sizeof(line), f) != NULL) {
		char *rest;
		unsigned long first, count;

		(void)strtoul(line, &rest, 10);
		first = strtoul(rest, &rest, 10);
		count = strtoul(rest, &rest, 10);
		if (id >= first && id - first < count)
			return true;
	}
	return false;
}

/*
 * Whether the container could have made it: the directory that its processes
 * see as root may be one of the host, as with unshare(1).
 */
static bool root_is_its_own(const struct place *p, const struct stat *root)
{
	struct stat ns;

	if (fstatat(p->proc_fd, "ns/user", &ns, 0) < 0)
		return false;
	if (is_ours(&ns, "/proc/self/ns/user"))
		return true;
	return is_mapped(p, "uid_map", root->st_uid) &&
	       is_mapped(p, "gid_map", root->st_gid);
}

/* On the same mount as the root, with an owner that the container has. */
static int check_root(const struct place *p, struct stat *root)
{
	int id = mountinfo_id_of(p->root_fd);

	if (fstat(p->root_fd, root) < 0)
		return -errno;
	return id >= 0 && id == mountinfo_id_of(p->dir_fd) &&
			       root_is_its_own(p, root)
		       ? 0
		       : -EXDEV;
}

/* mkdir or rmdir, with the rights of that owner; 0 or a negative errno. */
static int as_owner(const struct stat *owner, const struct place *p,
		    int (*run)(const struct place *p))
{
	mode_t mask = umask(0);
	int gid = setfsgid(owner->st_gid);
	int uid = setfsuid(owner->st_uid);
	int rc = -EPERM;

	/* They return what was before, whether they did it or not. */
	if ((uid_t)setfsuid(owner->st_uid) == owner->st_uid &&
	    (gid_t)setfsgid(owner->st_gid) == owner->st_gid)
		rc = run(p);
	(void)setfsuid((uid_t)uid);
	(void)setfsgid((gid_t)gid);
	(void)umask(mask);
	return rc;
}

static int make(const struct place *p)
{
	return mkdirat(p->dir_fd, p->name, DIR_MODE) < 0 ? -errno : 0;
}

int place_make(struct place *p, struct err *err)
{
	struct stat root;
	int rc = check_root(p, &root);

	if (rc == -EXDEV)
		return err_set(err, ENOENT,
			       "%s: no such directory; make it in the image",
			       p->target->at);
	if (rc == 0)
		rc = as_owner(&root, p, make);
	if (rc < 0 && rc != -EEXIST)
		return place_failed(p, -rc, err);
	rc = place_find(p, err);
	return rc == -ENOENT ? place_failed(p, ENOENT, err) : rc;
}

static int remove_it(const struct place *p)
{
	return unlinkat(p->dir_fd, p->name, AT_REMOVEDIR) < 0 ? -errno : 0;
}

void place_remove(struct place *p)
{
	struct stat root, st;

	if (place_find(p, NULL) == 0 && fstat(p->at_fd, &st) == 0 &&
	    check_root(p, &root) == 0 && st.st_uid == root.st_uid &&
	    (st.st_mode & ALLPERMS) == DIR_MODE)
		(void)as_owner(&root, p, remove_it); /* or it is not empty */
}
