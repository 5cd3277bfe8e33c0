/* SPDX-License-Identifier: MIT */
#include "fs/caller_kernel.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/cleanup.h"
#include "common/err.h"
#include "fs/proc_file.h"
#include "fs/process_table.h"

/*
 * Of linux/pidfd.h of Linux 6.13; Debian 12 has the header of 6.1. The ioctl's
 * number holds the size of the struct: this is its first version, which every
 * later kernel accepts.
 */
struct pidfd_info {
	uint64_t mask; /* in: what is wanted; out: what was filled in */
	uint64_t cgroupid;
	uint32_t pid;
	uint32_t tgid;
	uint32_t ppid;
	uint32_t ids[8]; /* real, effective, saved and fs uid and gid */
	uint32_t spare;
};

#define PIDFD_GET_MNT_NAMESPACE  _IO(0xff, 3) /* 6.11 */
#define PIDFD_GET_PID_NAMESPACE  _IO(0xff, 5)
#define PIDFD_GET_USER_NAMESPACE _IO(0xff, 9)
#define PIDFD_GET_INFO           _IOWR(0xff, 11, struct pidfd_info) /* 6.13 */

enum {
	PIDFD_THREAD = O_EXCL, /* 6.9, as pidfs */
	PIDFD_INFO_PID = 1,
	PIDFS_MAGIC = 0x50494446,
};

_Static_assert(sizeof(struct pidfd_info) == 64, "PIDFD_INFO_SIZE_VER0");

static unsigned features;
static struct kernel_ns own_ns;

/* Of the process table. */
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

unsigned kernel_features(void)
{
	return features;
}

static int open_pidfd(pid_t pid, unsigned flags)
{
	return (int)syscall(SYS_pidfd_open, pid, flags);
}

/* False: not possible this way. */
static bool get_info(struct pidfd_info *info, int pidfd)
{
	*info = (struct pidfd_info){.mask = PIDFD_INFO_PID};
	return ioctl(pidfd, PIDFD_GET_INFO, info) == 0 &&
	       (info->mask & PIDFD_INFO_PID) != 0;
}

static uint64_t inode_of(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 ? st.st_ino : 0;
}

static uint64_t namespace_by_ioctl(int pidfd, unsigned long request)
{
	auto_close int fd = ioctl(pidfd, request, 0);

	return fd >= 0 ? inode_of(fd) : 0;
}

static uint64_t namespace_by_link(pid_t tid, const char *name)
{
	char path[64];
	struct stat st;

	(void)snprintf(path, sizeof(path), "/proc/%d/ns/%s", tid, name);
	return stat(path, &st) == 0 ? st.st_ino : 0;
}

static void get_ns(struct kernel_ns *out, pid_t tid, int pidfd)
{
	if (pidfd >= 0 && (features & KERNEL_NAMESPACE)) {
		out->mnt = namespace_by_ioctl(pidfd, PIDFD_GET_MNT_NAMESPACE);
		out->pid = namespace_by_ioctl(pidfd, PIDFD_GET_PID_NAMESPACE);
		out->user = namespace_by_ioctl(pidfd, PIDFD_GET_USER_NAMESPACE);
		return;
	}
	out->mnt = namespace_by_link(tid, "mnt");
	out->pid = namespace_by_link(tid, "pid");
	out->user = namespace_by_link(tid, "user");
}

static unsigned probe(void)
{
	auto_close int pidfd = open_pidfd(getpid(), 0);
	struct pidfd_info info;
	struct statfs fs;
	unsigned found = 0;

	/* With 32 bits an inode number would be used again. */
	if (pidfd < 0 || fstatfs(pidfd, &fs) < 0 || fs.f_type != PIDFS_MAGIC ||
	    sizeof(long) < 8)
		return 0;
	found |= KERNEL_PIDFS;
	if (namespace_by_ioctl(pidfd, PIDFD_GET_USER_NAMESPACE) != 0)
		found |= KERNEL_NAMESPACE;
	if (get_info(&info, pidfd))
		found |= KERNEL_PID_INFO;
	return found;
}

/*
 * Holds the daemon's namespaces open, which makes it cheaper to look at those
 * of a caller that shares them: less than half the time.
 */
int kernel_own_ns_of(pid_t pid, struct err *err)
{
	static const char *const names[] = {"mnt", "pid", "user"};
	static int fds[] = {-1, -1, -1};

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		char path[64];

		(void)snprintf(path, sizeof(path), "/proc/%d/ns/%s", pid,
			       names[i]);
		if (fds[i] >= 0)
			(void)close(fds[i]);
		fds[i] = open(path, O_RDONLY | O_CLOEXEC);
		if (fds[i] < 0)
			return err_sys(err, errno, "%s", path);
	}
	own_ns.mnt = inode_of(fds[0]);
	own_ns.pid = inode_of(fds[1]);
	own_ns.user = inode_of(fds[2]);
	return 0;
}

const struct kernel_ns *kernel_own_ns(void)
{
	return &own_ns;
}

int kernel_init(unsigned wanted, struct err *err)
{
	char self[16];
	ssize_t n = readlink("/proc/self", self, sizeof(self) - 1);

	if (n < 0)
		return err_sys(err, errno, "/proc");
	self[n] = '\0';
	if (strtol(self, NULL, 10) != getpid())
		return err_set(err, EINVAL,
			       "/proc belongs to another pid namespace");
	features = probe() & wanted;
	process_table_init((features & KERNEL_PIDFS) != 0);
	return kernel_own_ns_of(getpid(), err);
}

/* From status, which never blocks. */
static int read_ids(pid_t *tgid, pid_t *ppid, pid_t tid)
{
	const char *status = NULL;
	struct buf text;
	uint64_t leader = 0;
	uint64_t parent = 0;

	buf_init(&text, PROC_STATUS_MAX);
	if (proc_file_read(&text, tid, "status") == 0)
		status = buf_cstr(&text);
	if (status != NULL) {
		(void)proc_status_number(&leader, status, "Tgid", 10);
		(void)proc_status_number(&parent, status, "PPid", 10);
	}
	buf_finish(&text);
	*tgid = (pid_t)leader;
	*ppid = (pid_t)parent;
	return leader != 0 ? 0 : -ESRCH;
}

static int get_ids(pid_t *tgid, pid_t *ppid, pid_t tid, int pidfd)
{
	struct pidfd_info info;

	/* It refuses one whose parent is outside our pid namespace. */
	if (!(features & KERNEL_PID_INFO) || !get_info(&info, pidfd))
		return read_ids(tgid, ppid, tid);
	*tgid = (pid_t)info.tgid;
	*ppid = (pid_t)info.ppid;
	return 0;
}

/* tid is not the first thread of its process. */
static int look_at_thread(struct kernel_thread *out, pid_t tid)
{
	auto_close int pidfd = -1;
	struct known_process *p;
	int rc;

	if (features & KERNEL_PIDFS)
		pidfd = open_pidfd(tid, PIDFD_THREAD);
	rc = get_ids(&out->tgid, &out->ppid, tid, pidfd);
	if (rc < 0)
		return rc;
	get_ns(&out->ns, tid, pidfd);
	/* The first thread may have ended; the process has not. */
	if (process_get(&p, out->tgid) == 0)
		out->birth = p->birth;
	return 0;
}

int kernel_thread(struct kernel_thread *out, pid_t tid)
{
	auto_lock(&mutex);
	struct known_process *p;
	int rc;

	*out = (struct kernel_thread){0};
	rc = process_get(&p, tid);
	if (rc < 0 || p->pidfd < 0)
		return look_at_thread(out, tid);
	rc = get_ids(&out->tgid, &out->ppid, tid, p->pidfd);
	if (rc < 0)
		return rc;
	get_ns(&out->ns, tid, p->pidfd);
	out->birth = p->birth;
	return 0;
}

/*
 * A process keeps its parent as long as that one lives: what was read once
 * holds while the parent's own pidfd says so.
 */
static bool same_parent(const struct known_process *p)
{
	const struct known_process *parent;

	if (p->ppid == 0)
		return false;
	parent = process_known(p->ppid);
	return parent != NULL && parent->birth == p->parent_birth;
}

/*
 * Reads the parent's number and remembers it when it is still the same after
 * the parent has got into the table: then that is the parent.
 */
static int learn_parent(pid_t *out, pid_t pid)
{
	struct known_process *p;
	uint64_t birth;
	pid_t tgid;
	pid_t before;
	int rc;

	rc = read_ids(&tgid, &before, pid);
	*out = before;
	if (rc < 0 || before == 0 || process_get(&p, before) < 0)
		return rc;
	birth = p->birth;
	rc = read_ids(&tgid, out, pid);
	if (rc < 0 || *out != before)
		return rc;
	p = process_known(pid);
	if (p != NULL && birth != 0) {
		p->ppid = before;
		p->parent_birth = birth;
	}
	return 0;
}

int kernel_process(struct kernel_process *out, pid_t pid)
{
	auto_lock(&mutex);
	struct known_process *p;
	pid_t tgid;
	int rc;

	*out = (struct kernel_process){0};
	rc = process_get(&p, pid);
	if (rc < 0)
		return rc;
	out->birth = p->birth;
	if ((features & KERNEL_PID_INFO) && p->pidfd >= 0)
		return get_ids(&tgid, &out->ppid, pid, p->pidfd);
	if (!same_parent(p))
		return learn_parent(&out->ppid, pid);
	out->ppid = p->ppid;
	return 0;
}

int kernel_birth(uint64_t *out, pid_t pid)
{
	auto_lock(&mutex);
	struct known_process *p;
	int rc;

	*out = 0;
	rc = process_get(&p, pid);
	if (rc == 0)
		*out = p->birth;
	return rc;
}
