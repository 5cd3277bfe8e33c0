/* SPDX-License-Identifier: MIT */
#include "fs/flusher.h"

#include "fs/procstat.h"

enum flusher flusher_of(const struct process *opener, pid_t tid)
{
	struct procstat stat = {0};

	(void)procstat_read(&stat, tid);
	if (stat.tgid != opener->pid && process_alive(opener))
		return FLUSHER_OTHER;
	return stat.dying ? FLUSHER_DYING : FLUSHER_OPENER;
}
