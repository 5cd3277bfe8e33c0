/* SPDX-License-Identifier: MIT */
/*
 * Whether a caller is ending. May be asked in every request, for as long as
 * the caller is held in it: it reads /proc/<tid>/status, which never blocks,
 * and /proc/<tid>/stat only of a process that has no memory any more. Any
 * thread.
 *
 * What there is to be seen (Linux 6.18, a process in WRITE, READ or FLUSH):
 *
 * - A signal whose default is to end the process, neither caught nor blocked:
 *   itself in ShdPnd (SigPnd when sent to the thread), and KILL in SigPnd of
 *   every thread. Without KILL when it dumps core, when a debugger is
 *   attached, or when another signal was pending before.
 * - A caught one: itself in ShdPnd, until the request is answered, if no other
 *   thread takes it. A blocked one too, but it causes no interrupt. Ignored
 *   ones, and uncaught ones of the first process of a container: nothing.
 * - TSTP, TTIN, TTOU, STOP: themselves, until CONT removes them. An attaching
 *   debugger: an interrupt, and STOP in SigPnd or nothing.
 * - Another thread that ends the process or calls exec: KILL in SigPnd.
 * - In the FLUSH by which the kernel closes the files of a killed process the
 *   KILL is gone; the signal itself is still in ShdPnd or SigPnd, but not when
 *   it dumps core or was delivered in the ordinary way. The exit code in stat
 *   has it always, and is 0 for a process that exits.
 * - A FLUSH at exit cannot be interrupted: signals that come later are
 *   dropped, KILL too. That of a process killed by a signal that does not dump
 *   core comes with its interrupt.
 */
#ifndef CONNFS_FS_PROCSTAT_H
#define CONNFS_FS_PROCSTAT_H

#include <stdbool.h>
#include <sys/types.h>

struct procstat {
	pid_t tgid;
	/*
	 * A signal that ends the process is pending or has ended it: KILL; INT
	 * that is neither blocked nor ignored (a shell that catches it returns
	 * to its prompt); TERM, HUP, QUIT and other fatal ones that are neither
	 * blocked, ignored nor caught. Not a process that exits by itself.
	 */
	bool dying;
};

/* 0, -ESRCH when the process is gone, or -ENOMEM. */
int procstat_read(struct procstat *out, pid_t tid);

#endif
