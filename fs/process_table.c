/* SPDX-License-Identifier: MIT */
#include "fs/process_table.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
	MOST_ENTRIES = 1024,
	FIRST_SWEEP = 64,
	SHARE_OF_FDS = 4, /* of those the daemon may open: one in so many */
};

static struct {
	struct known_process *entries; /* sorted by pid */
	size_t n;
	size_t cap;
	size_t sweep_in; /* so many newcomers */
	uint64_t last;   /* the newest birth */
	bool pidfs;
	struct known_process spare; /* for when there is no more room */
} table = {.sweep_in = FIRST_SWEEP, .spare = {.pidfd = -1}};

void process_table_init(bool pidfs)
{
	for (size_t i = 0; i < table.n; i++)
		(void)close(table.entries[i].pidfd);
	table.n = 0;
	table.sweep_in = FIRST_SWEEP;
	table.pidfs = pidfs;
}

/* It may still be a zombie. */
static bool ended(int pidfd)
{
	struct pollfd p = {.fd = pidfd, .events = POLLIN};

	return poll(&p, 1, 0) > 0;
}

static size_t limit(void)
{
	struct rlimit fds;
	rlim_t n = 0;

	if (getrlimit(RLIMIT_NOFILE, &fds) == 0)
		n = fds.rlim_cur / SHARE_OF_FDS;
	return n < MOST_ENTRIES ? (size_t)n : MOST_ENTRIES;
}

/* Where pid is, or belongs. */
static size_t place(pid_t pid)
{
	size_t low = 0;
	size_t high = table.n;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (table.entries[mid].pid < pid)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

/*
 * So many newcomers later: before there is no more room, but seldom enough to
 * add little to the price of each.
 */
static size_t next_sweep(void)
{
	size_t most = limit();
	size_t room = most > table.n ? most - table.n : 0;
	size_t least = (FIRST_SWEEP + table.n) / 4;
	size_t next = table.n < FIRST_SWEEP ? FIRST_SWEEP : table.n;

	if (next > room)
		next = room;
	return next < least ? least : next;
}

/* Forgets those that have ended. */
static void sweep(void)
{
	size_t kept = 0;

	for (size_t i = 0; i < table.n; i++) {
		if (ended(table.entries[i].pidfd))
			(void)close(table.entries[i].pidfd);
		else
			table.entries[kept++] = table.entries[i];
	}
	table.n = kept;
	table.sweep_in = next_sweep();
}

/* For a newcomer; true when it can be kept. */
static bool make_room(void)
{
	struct known_process *entries;
	size_t cap;

	if (table.sweep_in == 0)
		sweep();
	table.sweep_in--;
	if (table.n >= limit())
		return false;
	if (table.n < table.cap)
		return true;
	cap = table.cap != 0 ? 2 * table.cap : FIRST_SWEEP;
	entries = realloc(table.entries, cap * sizeof(*entries));
	if (entries == NULL)
		return false;
	table.entries = entries;
	table.cap = cap;
	return true;
}

static struct known_process *insert(const struct known_process *p)
{
	size_t at = place(p->pid);

	memmove(&table.entries[at + 1], &table.entries[at],
		(table.n - at) * sizeof(*p));
	table.entries[at] = *p;
	table.n++;
	return &table.entries[at];
}

static struct known_process *use_spare(const struct known_process *p)
{
	if (table.spare.pidfd >= 0)
		(void)close(table.spare.pidfd);
	table.spare = *p;
	return &table.spare;
}

/* errno of pidfd_open(): has it found none, or could it not be asked? */
static int without_pidfd(struct known_process **out, struct known_process *p)
{
	/* The last two are of a thread that is not the first of its process. */
	if (errno == ESRCH || errno == EINVAL || errno == ENOENT)
		return -ESRCH;
	/* Signal 0 is none; it only looks whether there is a process. */
	if (kill(p->pid, 0) < 0 && errno == ESRCH)
		return -ESRCH;
	*out = use_spare(p);
	return 0;
}

static int meet(struct known_process **out, pid_t pid)
{
	struct known_process p = {.pid = pid};
	bool room = make_room();
	struct stat st;

	p.pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (p.pidfd < 0)
		return without_pidfd(out, &p);
	if (ended(p.pidfd)) {
		(void)close(p.pidfd);
		return -ESRCH;
	}
	if (!table.pidfs)
		p.birth = room ? ++table.last : 0;
	else if (fstat(p.pidfd, &st) == 0)
		p.birth = st.st_ino;
	*out = room ? insert(&p) : use_spare(&p);
	return 0;
}

struct known_process *process_known(pid_t pid)
{
	size_t at = place(pid);

	if (at == table.n || table.entries[at].pid != pid)
		return NULL;
	if (!ended(table.entries[at].pidfd))
		return &table.entries[at];
	(void)close(table.entries[at].pidfd);
	table.n--;
	memmove(&table.entries[at], &table.entries[at + 1],
		(table.n - at) * sizeof(*table.entries));
	return NULL;
}

int process_get(struct known_process **out, pid_t pid)
{
	*out = process_known(pid);
	return *out != NULL ? 0 : meet(out, pid);
}
