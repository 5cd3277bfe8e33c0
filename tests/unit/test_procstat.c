/* SPDX-License-Identifier: MIT */
/*
 * Which pending signals end a process. A process that is stopped receives
 * none, as one that waits in a request: they stay pending, and are seen.
 */
#include "fs/procstat.h"

#include <pthread.h>
#include <sys/ptrace.h>

#include "tests/unit/check.h"
#include "tests/unit/children.h"
#include "tests/unit/stuck.h"

enum disposition { DEFAULT, CAUGHT, IGNORED, BLOCKED, CAUGHT_BLOCKED };

struct signal_case {
	int signo;
	enum disposition how;
	bool dying;
};

static void on_signal(int signo)
{
	(void)signo;
}

static void run_with_signal(int ready, void *arg)
{
	const struct signal_case *c = arg;
	struct sigaction action = {.sa_handler = SIG_DFL};
	sigset_t set;

	if (c->how == CAUGHT || c->how == CAUGHT_BLOCKED)
		action.sa_handler = on_signal;
	else if (c->how == IGNORED)
		action.sa_handler = SIG_IGN;
	CHECK(sigaction(c->signo, &action, NULL) == 0);
	CHECK(sigemptyset(&set) == 0);
	if (c->how == BLOCKED || c->how == CAUGHT_BLOCKED)
		CHECK(sigaddset(&set, c->signo) == 0);
	CHECK(sigprocmask(SIG_SETMASK, &set, NULL) == 0);
	child_stays(ready);
}

static void stop(pid_t child)
{
	CHECK(kill(child, SIGSTOP) == 0);
	CHECK(waitpid(child, NULL, WUNTRACED) == child);
}

static void check_dying(pid_t tid, pid_t tgid, bool dying)
{
	struct procstat stat;

	CHECK(procstat_read(&stat, tid) == 0);
	CHECK(stat.tgid == tgid);
	CHECK(stat.dying == dying);
}

static const struct signal_case signal_cases[] = {
	{SIGINT, DEFAULT, true},
	{SIGINT, CAUGHT, true}, /* a shell that returns to its prompt */
	{SIGINT, IGNORED, false},
	{SIGINT, BLOCKED, false},
	{SIGINT, CAUGHT_BLOCKED, false},
	{SIGTERM, DEFAULT, true},
	{SIGTERM, CAUGHT, false},
	{SIGTERM, IGNORED, false},
	{SIGTERM, BLOCKED, false},
	{SIGHUP, DEFAULT, true},
	{SIGHUP, CAUGHT, false},
	{SIGQUIT, DEFAULT, true},
	{SIGQUIT, CAUGHT, false},
	{SIGALRM, DEFAULT, true},
	{SIGALRM, CAUGHT, false},
	{SIGUSR1, DEFAULT, true},
	{SIGPIPE, DEFAULT, true},
	{SIGTRAP, DEFAULT, true},
	{SIGSEGV, DEFAULT, true},
	{SIGVTALRM, DEFAULT, true},
	{SIGCHLD, DEFAULT, false},
	{SIGCHLD, CAUGHT, false},
	{SIGWINCH, DEFAULT, false},
	{SIGWINCH, CAUGHT, false},
	{SIGURG, CAUGHT, false},
	{SIGTSTP, DEFAULT, false},
	{SIGTSTP, CAUGHT, false},
	{SIGTTIN, DEFAULT, false},
	{SIGTTOU, DEFAULT, false},
	{40, DEFAULT, true},
	{40, CAUGHT, false},
	{64, DEFAULT, true},
};

static void test_pending_signals(void)
{
	for (size_t i = 0; i < COUNT(signal_cases); i++) {
		struct signal_case c = signal_cases[i];
		pid_t child = child_start(run_with_signal, &c);

		stop(child);
		check_dying(child, child, false);
		CHECK(kill(child, c.signo) == 0);
		check_dying(child, child, c.dying);
		child_end(child);
	}
}

/* pthread_create() blocks all signals in its caller until it returns. */
static pthread_barrier_t created;

static void *run_idle_thread(void *arg)
{
	(void)pthread_barrier_wait(&created);
	child_says(*(int *)arg, gettid());
	(void)pause();
	return NULL;
}

static void run_two_threads(int ready, void *arg)
{
	pthread_t thread;

	(void)arg;
	CHECK(pthread_barrier_init(&created, NULL, 2) == 0);
	CHECK(pthread_create(&thread, NULL, run_idle_thread, &ready) == 0);
	(void)pthread_barrier_wait(&created);
	(void)pthread_join(thread, NULL);
}

/* SigPnd of the one thread, ShdPnd of all. */
static void test_threads(void)
{
	pid_t tid;
	pid_t child = child_start_as(0, &tid, run_two_threads, NULL);

	CHECK(tid != child);
	stop(child);
	check_dying(tid, child, false);
	CHECK(syscall(SYS_tgkill, child, tid, SIGTERM) == 0);
	check_dying(tid, child, true);
	check_dying(child, child, false);
	CHECK(kill(child, SIGHUP) == 0);
	check_dying(child, child, true);
	child_end(child);
}

static void test_traced(void)
{
	struct signal_case c = {SIGTRAP, DEFAULT, false};
	pid_t child = child_start(run_with_signal, &c);

	CHECK(ptrace(PTRACE_SEIZE, child, 0, 0) == 0);
	CHECK(ptrace(PTRACE_INTERRUPT, child, 0, 0) == 0);
	CHECK(waitpid(child, NULL, 0) == child);
	check_dying(child, child, false);
	CHECK(kill(child, SIGTRAP) == 0);
	check_dying(child, child, false);
	CHECK(kill(child, SIGTERM) == 0);
	check_dying(child, child, true);
	child_end(child);
}

static void run_named(int ready, void *arg)
{
	(void)arg;
	CHECK(prctl(PR_SET_NAME, "a) 9 \nShdPnd:\t1") == 0);
	child_says(ready, getpid());
}

/* What was pending is gone, but the exit code tells. */
static void test_ended(void)
{
	static const int signals[] = {SIGKILL, SIGTERM, SIGQUIT,
				      SIGXCPU, SIGPIPE, 40};
	pid_t child;

	for (size_t i = 0; i < COUNT(signals); i++) {
		child = child_start(run_staying, NULL);
		child_to_zombie(child, signals[i]);
		check_dying(child, child, true);
		CHECK(waitpid(child, NULL, 0) == child);
	}
	child = child_start(run_named, NULL);
	child_to_zombie(child, 0);
	check_dying(child, child, false);
	CHECK(waitpid(child, NULL, 0) == child);
}

/* It can be told nevertheless whether it ends. */
static void test_inside_exec(void)
{
	pid_t server = stuck_mount();
	pid_t child = stuck_start(run_stuck_in_exec);

	check_dying(child, child, false);
	CHECK(kill(child, SIGTERM) == 0);
	check_dying(child, child, true);
	stuck_end(server);
	CHECK(waitpid(child, NULL, 0) == child);
}

static void test_gone(void)
{
	pid_t child = child_start(run_staying, NULL);
	struct procstat stat;

	child_end(child);
	CHECK(procstat_read(&stat, child) == -ESRCH);
}

int main(int argc, char **argv)
{
	check_init(argc, argv);
	test_pending_signals();
	test_threads();
	test_traced();
	test_ended();
	test_inside_exec();
	test_gone();
	return 0;
}
