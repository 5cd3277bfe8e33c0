/* SPDX-License-Identifier: MIT */
#include "fs/procstat.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "fs/proc_file.h"

enum {
	STAT_MAX = 4096,     /* bytes; the file has about 300 */
	STAT_EXIT_CODE = 52, /* number of the field, see proc(5) */
};

static uint64_t bit(int signo)
{
	return UINT64_C(1) << (signo - 1);
}

/* Signals whose default does not end a process. */
static uint64_t harmless(void)
{
	return bit(SIGCHLD) | bit(SIGCONT) | bit(SIGSTOP) | bit(SIGTSTP) |
	       bit(SIGTTIN) | bit(SIGTTOU) | bit(SIGURG) | bit(SIGWINCH);
}

static uint64_t mask(const char *status, const char *key)
{
	uint64_t value = 0;

	(void)proc_status_number(&value, status, key, 16);
	return value;
}

static bool fatal_pending(const char *status)
{
	uint64_t pending = mask(status, "SigPnd") | mask(status, "ShdPnd");
	uint64_t open = pending & ~mask(status, "SigBlk") &
			~mask(status, "SigIgn") & ~harmless();
	uint64_t tracer = 0;

	if (pending & bit(SIGKILL))
		return true;
	/* A debugger's own signal goes to the debugger. */
	(void)proc_status_number(&tracer, status, "TracerPid", 10);
	if (tracer != 0)
		open &= ~bit(SIGTRAP);
	return (open & (bit(SIGINT) | ~mask(status, "SigCgt"))) != 0;
}

/* The signal that ended a process, from the text of stat; 0: none. */
static int exit_signal(const char *stat)
{
	/* The name in the second field may hold anything, ")" too. */
	const char *p = strrchr(stat, ')');

	for (int field = 2; p != NULL && field < STAT_EXIT_CODE; field++) {
		p = strchr(p, ' ');
		p += p != NULL;
	}
	return p != NULL ? (int)(strtol(p, NULL, 10) & 0x7f) : 0;
}

static bool killed(pid_t tid)
{
	struct buf text;
	const char *stat = NULL;
	bool yes;

	buf_init(&text, STAT_MAX);
	if (proc_file_read(&text, tid, "stat") == 0)
		stat = buf_cstr(&text);
	yes = stat != NULL && exit_signal(stat) != 0;
	buf_finish(&text);
	return yes;
}

static int parse(struct procstat *out, const char *status, pid_t tid)
{
	uint64_t tgid;

	if (status == NULL)
		return -ENOMEM;
	if (!proc_status_number(&tgid, status, "Tgid", 10))
		return -ESRCH;
	out->tgid = (pid_t)tgid;
	out->dying = fatal_pending(status);
	/*
	 * A process that exits has given up its memory before its files are
	 * closed; exec, under which stat would block, always has one.
	 */
	if (!out->dying && proc_status_find(status, "VmSize") == NULL)
		out->dying = killed(tid);
	return 0;
}

int procstat_read(struct procstat *out, pid_t tid)
{
	struct buf text;
	int rc;

	*out = (struct procstat){0};
	buf_init(&text, PROC_STATUS_MAX);
	rc = proc_file_read(&text, tid, "status");
	if (rc == 0)
		rc = parse(out, buf_cstr(&text), tid);
	buf_finish(&text);
	return rc;
}
