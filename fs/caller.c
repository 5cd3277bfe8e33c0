/* SPDX-License-Identifier: MIT */
#include "fs/caller.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/err.h"
#include "fs/caller_kernel.h"

/* Of a chain of processes: further up nobody looks. */
enum { MOST_STEPS = 128 };

static uid_t own_uid;

int caller_init(struct err *err)
{
	own_uid = geteuid();
	return kernel_init(KERNEL_ALL, err);
}

int caller_take_ns(pid_t pid, struct err *err)
{
	return kernel_own_ns_of(pid, err);
}

/* The next one up; the last place is overwritten when there is no other. */
static void push(struct caller *c, pid_t pid, uint64_t birth)
{
	size_t at = c->n_chain;

	if (at == CALLER_MAX_CHAIN)
		at--;
	else
		c->n_chain++;
	c->chain[at] = (struct process){.pid = pid, .birth = birth};
	c->depth++;
}

/* From self up, as long as it is the same Unix session. */
static void climb(struct caller *c, pid_t session, pid_t parent)
{
	push(c, c->self.pid, c->self.birth);
	while (parent > 0 && c->chain[c->n_chain - 1].pid != session &&
	       c->depth < MOST_STEPS && getsid(parent) == session) {
		struct kernel_process p;

		if (kernel_process(&p, parent) < 0)
			break;
		push(c, parent, p.birth);
		parent = p.ppid;
	}
}

/*
 * The leader ends the chain, although the way to it may be broken: a process
 * whose parent has ended is a child of init, outside of the session.
 */
static void add_leader(struct caller *c)
{
	const struct process *last = &c->chain[c->n_chain - 1];

	if (last->pid == c->sid) {
		c->leader_birth = last->birth;
		return;
	}
	if (kernel_birth(&c->leader_birth, c->sid) == 0)
		push(c, c->sid, c->leader_birth);
}

int caller_identify(struct caller *out, pid_t tid, uid_t uid, gid_t gid)
{
	struct kernel_thread t;

	*out = (struct caller){.uid = uid, .gid = gid, .tid = tid};
	if (tid <= 0 || kernel_thread(&t, tid) < 0)
		return -EACCES;
	out->self = (struct process){.pid = t.tgid, .birth = t.birth};
	out->mnt_ns = t.ns.mnt;
	out->pid_ns = t.ns.pid;
	out->user_ns = t.ns.user;
	out->pgid = getpgid(t.tgid);
	out->sid = getsid(t.tgid);
	if (out->pgid < 0 || out->sid < 0)
		return -EACCES;
	climb(out, out->sid, t.ppid);
	/* Two shells brought in from outside must not pass for one session. */
	if (out->sid == 0)
		out->sid = out->chain[out->n_chain - 1].pid;
	add_leader(out);
	return 0;
}

bool process_alive(const struct process *p)
{
	uint64_t birth;

	if (p->pid <= 0 || kernel_birth(&birth, p->pid) < 0)
		return false;
	return birth == p->birth || birth == 0 || p->birth == 0;
}

static bool same_process(const struct process *a, const struct process *b)
{
	return a->pid == b->pid &&
	       (a->birth == b->birth || a->birth == 0 || b->birth == 0);
}

/* Its place in c's chain, or n_chain. */
static size_t find(const struct caller *c, const struct process *p)
{
	size_t i = 0;

	while (i < c->n_chain && !same_process(&c->chain[i], p))
		i++;
	return i;
}

/* How many there are from the leader down to chain[i]. */
static size_t depth_of(const struct caller *c, size_t i)
{
	return i + 1 == c->n_chain ? 1 : c->depth - i;
}

size_t caller_common_ancestors(const struct caller *a, const struct caller *b)
{
	for (size_t i = 0; i < b->n_chain; i++) {
		if (find(a, &b->chain[i]) < a->n_chain)
			return depth_of(b, i);
	}
	return 0;
}

bool caller_superseded_by(const struct caller *a, const struct caller *b)
{
	size_t last = a->n_chain - 1;

	for (size_t i = 0; i < a->n_chain; i++) {
		if (find(b, &a->chain[i]) == b->n_chain &&
		    process_alive(&a->chain[i]))
			return false;
	}
	/* Those between the last two are not known: b must have them too. */
	return a->depth == a->n_chain || last == 0 ||
	       find(b, &a->chain[last - 1]) < b->n_chain;
}

static bool in_ns_of(const struct caller *c, pid_t pid)
{
	struct kernel_thread t;

	return kernel_thread(&t, pid) == 0 && t.ns.mnt == c->mnt_ns &&
	       t.ns.pid == c->pid_ns && t.ns.user == c->user_ns;
}

/*
 * A process, not a zombie, whose session is sid; in the namespaces of c, if
 * that is not null.
 */
static bool has_member(pid_t sid, const struct caller *c)
{
	auto_closedir DIR *proc = opendir("/proc");
	const struct dirent *entry;

	/* Rather keep a session too long than end it under its owner. */
	if (proc == NULL)
		return true;
	while ((entry = readdir(proc)) != NULL) {
		pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10);
		uint64_t birth;

		if (pid > 0 && getsid(pid) == sid &&
		    kernel_birth(&birth, pid) == 0 &&
		    (c == NULL || in_ns_of(c, pid)))
			return true;
	}
	return false;
}

bool session_alive(pid_t sid, uint64_t leader_birth)
{
	uint64_t birth;

	if (kernel_birth(&birth, sid) < 0)
		return has_member(sid, NULL);
	/*
	 * As long as a session lives, no new process gets its number: another
	 * birth, or a leader where there was none left, is a later session.
	 */
	if (birth != 0 && leader_birth != 0)
		return birth == leader_birth;
	return getsid(sid) == sid &&
	       (birth == 0 || !(kernel_features() & KERNEL_PIDFS));
}

bool caller_session_alive(const struct caller *c)
{
	if (!session_alive(c->sid, c->leader_birth))
		return false;
	/* Looking at other processes' namespaces in /proc could block. */
	if (!(kernel_features() & KERNEL_NAMESPACE) || in_ns_of(c, c->sid))
		return true;
	return process_alive(&c->self) || has_member(c->sid, c);
}

bool caller_in_own_mount_ns(const struct caller *c)
{
	return c->mnt_ns != 0 && c->mnt_ns == kernel_own_ns()->mnt;
}

bool caller_in_own_user_ns(const struct caller *c)
{
	return c->user_ns != 0 && c->user_ns == kernel_own_ns()->user;
}

bool caller_is_owner(const struct caller *c)
{
	return c->uid == own_uid && caller_in_own_user_ns(c) &&
	       c->pid_ns != 0 && c->pid_ns == kernel_own_ns()->pid;
}

bool caller_trusts_size(const struct caller *c)
{
	static const char *const by_size[] = {"curl", "file", "git", "rsync",
					      "tar"};
	char path[64];
	char exe[4096];
	const char *name;
	ssize_t n;

	(void)snprintf(path, sizeof(path), "/proc/%d/exe", c->tid);
	n = readlink(path, exe, sizeof(exe) - 1);
	if (n <= 0)
		return false;
	exe[n] = '\0';
	name = strrchr(exe, '/');
	name = name != NULL ? name + 1 : exe;
	for (size_t i = 0; i < sizeof(by_size) / sizeof(*by_size); i++) {
		if (strcmp(name, by_size[i]) == 0)
			return true;
	}
	return strncmp(name, "busybox", strlen("busybox")) == 0 ||
	       strncmp(name, "toybox", strlen("toybox")) == 0 ||
	       strstr(name, "coreutils") != NULL ||
	       strstr(name, "uutils") != NULL;
}
