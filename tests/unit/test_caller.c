/* SPDX-License-Identifier: MIT */
/*
 * Who a process is, and who its relatives are: everything once with all that
 * the kernel offers, and again with what older ones have.
 */
#include "fs/caller.h"

#include <sys/mount.h>
#include <sys/resource.h>

#include "common/err.h"
#include "fs/caller_kernel.h"
#include "tests/unit/check.h"
#include "tests/unit/children.h"
#include "tests/unit/puppets.h"
#include "tests/unit/stuck.h"

static struct caller identify(pid_t tid)
{
	struct caller c;

	CHECK(caller_identify(&c, tid, geteuid(), getegid()) == 0);
	return c;
}

static void check_chain(const struct caller *c, const pid_t *pids, size_t n)
{
	CHECK(c->n_chain == n);
	CHECK(c->depth == n);
	for (size_t i = 0; i < n; i++) {
		CHECK(c->chain[i].pid == pids[i]);
		CHECK(c->chain[i].birth != 0);
		CHECK(process_alive(&c->chain[i]));
		for (size_t j = 0; j < i; j++)
			CHECK(c->chain[i].birth != c->chain[j].birth);
	}
}

static void test_identity_of_a_grandchild(void)
{
	pid_t shell = puppet_first();
	pid_t make = puppet_fork(0, 1);
	pid_t cat = puppet_fork(1, 2);
	struct caller c = identify(cat);

	CHECK(c.uid == geteuid());
	CHECK(c.gid == getegid());
	CHECK(c.tid == cat);
	CHECK(c.self.pid == cat);
	CHECK(c.pgid == shell);
	CHECK(c.sid == shell);
	CHECK(c.leader_birth == c.chain[2].birth);
	CHECK(c.mnt_ns != 0);
	CHECK(c.mnt_ns == kernel_own_ns()->mnt);
	CHECK(c.pid_ns == kernel_own_ns()->pid);
	CHECK(c.user_ns == kernel_own_ns()->user);
	check_chain(&c, (pid_t[]){cat, make, shell}, 3);
	puppets_end(shell);
}

static void test_identity_stays_the_same(void)
{
	pid_t shell = puppet_first();
	pid_t child = puppet_fork(0, 1);
	struct caller a = identify(child);
	struct caller b = identify(child);

	CHECK(a.self.birth == b.self.birth);
	CHECK(a.leader_birth == b.leader_birth);
	CHECK(caller_common_ancestors(&a, &b) == a.depth);
	puppets_end(shell);
}

/* The pid of a request is a thread's. */
static void test_thread(void)
{
	pid_t shell = puppet_first();
	pid_t child = puppet_fork(0, 1);
	pid_t tid = puppet_tell(1, (struct order){.what = PUPPET_THREAD});
	struct caller of_process = identify(child);
	struct caller of_thread = identify(tid);

	CHECK(tid != child);
	CHECK(of_thread.tid == tid);
	CHECK(of_thread.self.pid == child);
	CHECK(of_thread.self.birth == of_process.self.birth);
	check_chain(&of_thread, (pid_t[]){child, shell}, 2);
	/* A number that is only a thread's is no process. */
	CHECK(!process_alive(&(struct process){.pid = tid, .birth = 1}));
	puppets_end(shell);
}

static void test_unknown_callers(void)
{
	pid_t child = child_start(run_staying, NULL);
	struct caller c;

	child_end(child);
	CHECK(caller_identify(&c, 0, 0, 0) == -EACCES);
	CHECK(caller_identify(&c, -1, 0, 0) == -EACCES);
	CHECK(caller_identify(&c, child, 0, 0) == -EACCES);
}

static void test_process_alive(void)
{
	pid_t child = child_start(run_staying, NULL);
	struct process p = identify(child).self;
	struct process other = {.pid = child, .birth = p.birth + 100000};

	CHECK(process_alive(&p));
	CHECK(!process_alive(&other));
	child_to_zombie(child, SIGKILL);
	CHECK(!process_alive(&p));
	CHECK(waitpid(child, NULL, 0) == child);
	CHECK(!process_alive(&p));
}

static void test_number_is_used_again(void)
{
	pid_t child = child_start(run_staying, NULL);
	struct caller before = identify(child);
	struct caller after;

	child_end(child);
	CHECK(child_start_as(child, NULL, run_staying, NULL) == child);
	after = identify(child);
	CHECK(after.self.birth != before.self.birth);
	CHECK(!process_alive(&before.self));
	CHECK(process_alive(&after.self));
	child_end(child);
}

static void test_session_outlives_its_leader(void)
{
	pid_t shell = puppet_first();
	pid_t child = puppet_fork(0, 1);
	struct caller before = identify(child);
	struct caller after;

	CHECK(session_alive(before.sid, before.leader_birth));
	(void)puppet_tell(0, (struct order){.what = PUPPET_EXIT});
	child_to_zombie(shell, 0);
	CHECK(session_alive(before.sid, before.leader_birth));
	CHECK(waitpid(shell, NULL, 0) == shell);
	CHECK(session_alive(before.sid, before.leader_birth));
	after = identify(child);
	CHECK(after.sid == shell);
	CHECK(after.leader_birth == 0);
	check_chain(&after, (pid_t[]){child}, 1);
	CHECK(session_alive(after.sid, after.leader_birth));

	CHECK(kill(child, SIGKILL) == 0);
	while (process_alive(&after.self))
		(void)sched_yield();
	CHECK(!session_alive(before.sid, before.leader_birth));
	CHECK(!session_alive(after.sid, after.leader_birth));
	for (int i = 0; i < N_PUPPETS; i++) {
		(void)close(puppet_orders[i][0]);
		(void)close(puppet_orders[i][1]);
	}
	(void)close(puppet_answers[0]);
	(void)close(puppet_answers[1]);
}

/* A later session of the same number is another one. */
static void test_session_number_is_used_again(void)
{
	pid_t shell = puppet_first();
	pid_t first = puppet_fork(0, 1);
	struct order leave = {.what = PUPPET_SETSID};
	struct caller before;

	CHECK(puppet_tell(1, leave) == first);
	before = identify(first);
	CHECK(before.sid == first);
	puppet_end(1, 0, first);
	CHECK(!session_alive(before.sid, before.leader_birth));
	CHECK(puppet_fork_as(0, 2, first) == first);
	CHECK(!session_alive(before.sid, before.leader_birth));
	CHECK(puppet_tell(2, leave) == first);
	CHECK(!session_alive(before.sid, before.leader_birth));
	CHECK(session_alive(first, identify(first).leader_birth));
	puppets_end(shell);
}

/* shell - xargs - two jobs, each with a command; and one of the shell's. */
static void test_common_ancestors(void)
{
	pid_t shell = puppet_first();
	struct caller xargs = identify(puppet_fork(0, 1));
	struct caller job1 = identify(puppet_fork(1, 2));
	struct caller job2 = identify(puppet_fork(1, 3));
	struct caller cat1 = identify(puppet_fork(2, 4));
	struct caller other = identify(puppet_fork(0, 5));
	struct caller leader = identify(shell);

	CHECK(caller_common_ancestors(&job1, &cat1) == 3);
	CHECK(caller_common_ancestors(&cat1, &job1) == job1.depth);
	CHECK(caller_common_ancestors(&job2, &cat1) == 2);
	CHECK(caller_common_ancestors(&xargs, &cat1) == 2);
	CHECK(caller_common_ancestors(&other, &cat1) == 1);
	CHECK(caller_common_ancestors(&leader, &cat1) == 1);
	CHECK(caller_common_ancestors(&cat1, &cat1) == 4);
	puppets_end(shell);
}

static void test_strangers_share_nothing(void)
{
	pid_t shell = puppet_first();
	struct caller child = identify(puppet_fork(0, 1));
	struct caller test = identify(getpid());

	CHECK(caller_common_ancestors(&child, &test) == 0);
	CHECK(!caller_superseded_by(&child, &test));
	puppets_end(shell);
}

/* Its way up is broken, but it is still of the session. */
static void test_orphan_keeps_its_leader(void)
{
	pid_t shell = puppet_first();
	pid_t parent = puppet_fork(0, 1);
	pid_t orphan = puppet_fork(1, 2);
	struct caller c;
	struct caller leader = identify(shell);

	puppet_end(1, 0, parent);
	c = identify(orphan);
	check_chain(&c, (pid_t[]){orphan, shell}, 2);
	CHECK(c.leader_birth == leader.self.birth);
	CHECK(caller_common_ancestors(&leader, &c) == 1);
	puppets_end(shell);
}

static void test_superseded(void)
{
	pid_t shell = puppet_first();
	pid_t xargs = puppet_fork(0, 1);
	pid_t job1_pid = puppet_fork(1, 2);
	struct caller job1 = identify(job1_pid);
	struct caller job2 = identify(puppet_fork(1, 3));
	struct caller other = identify(puppet_fork(0, 4));
	struct caller parent = identify(xargs);

	CHECK(!caller_superseded_by(&job1, &job2));
	CHECK(caller_superseded_by(&job1, &job1));
	puppet_end(2, 1, job1_pid);
	CHECK(caller_superseded_by(&job1, &job2));
	CHECK(!caller_superseded_by(&job1, &other));
	CHECK(!caller_superseded_by(&job2, &other));
	puppet_end(3, 1, job2.self.pid);
	CHECK(caller_superseded_by(&job2, &parent));
	puppets_end(shell);
}

/* Deeper than the chain is long: near relatives and the leader are known. */
static void test_deep_chain(void)
{
	enum { DEPTH = 35 };
	pid_t shell = puppet_first();
	struct caller levels[DEPTH];
	struct caller side;
	const struct caller *last = &levels[DEPTH - 1];

	levels[0] = identify(shell);
	for (int i = 1; i < DEPTH; i++)
		levels[i] = identify(puppet_fork(i - 1, i));
	side = identify(puppet_fork(DEPTH - 2, DEPTH));
	CHECK(last->depth == DEPTH);
	CHECK(last->n_chain == CALLER_MAX_CHAIN);
	CHECK(last->chain[CALLER_MAX_CHAIN - 1].pid == shell);
	CHECK(last->leader_birth == levels[0].self.birth);
	CHECK(caller_common_ancestors(last, &side) == DEPTH - 1);
	CHECK(caller_common_ancestors(&levels[0], last) == 1);
	/* One that the chain has no room for. */
	CHECK(caller_common_ancestors(&levels[5], last) == 1);
	for (int i = DEPTH - CALLER_MAX_CHAIN + 1; i < DEPTH; i++)
		CHECK(caller_common_ancestors(&levels[i], last) ==
		      levels[i].depth);
	CHECK(!caller_superseded_by(last, &levels[0]));
	CHECK(!caller_superseded_by(last, &side));
	puppets_end(shell);
}

/* What is left out of a chain may be alive: then nothing is superseded. */
static void test_deep_chain_superseded(void)
{
	enum { DEPTH = 30 };
	pid_t shell = puppet_first();
	struct caller cousin = identify(puppet_fork(0, DEPTH + 1));
	struct caller last;
	pid_t pids[DEPTH];

	for (int i = 1; i < DEPTH; i++)
		pids[i] = puppet_fork(i - 1, i);
	last = identify(pids[DEPTH - 1]);
	for (int i = DEPTH - 1; i > 1; i--)
		puppet_end(i, i - 1, pids[i]);
	CHECK(!process_alive(&last.chain[CALLER_MAX_CHAIN - 2]));
	CHECK(!caller_superseded_by(&last, &cousin));
	puppets_end(shell);
}

static void test_owner(void)
{
	pid_t shell = puppet_first();
	pid_t plain = puppet_fork(0, 1);
	pid_t in_user_ns = puppet_fork(0, 2);
	struct order new_user = {.what = PUPPET_UNSHARE, .arg = CLONE_NEWUSER};
	struct order new_pid = {.what = PUPPET_UNSHARE, .arg = CLONE_NEWPID};
	struct caller c = identify(plain);

	CHECK(caller_is_owner(&c));
	CHECK(caller_identify(&c, plain, geteuid() + 1, getegid()) == 0);
	CHECK(!caller_is_owner(&c));
	c.uid = geteuid();
	c.user_ns = 0;
	CHECK(!caller_is_owner(&c));
	c = identify(plain);
	c.pid_ns = 0;
	CHECK(!caller_is_owner(&c));

	CHECK(puppet_tell(2, new_user) == 0);
	c = identify(in_user_ns);
	CHECK(c.user_ns != 0);
	CHECK(c.user_ns != kernel_own_ns()->user);
	CHECK(!caller_is_owner(&c));

	CHECK(puppet_tell(1, new_pid) == 0);
	c = identify(puppet_fork(1, 3));
	CHECK(c.pid_ns != 0);
	CHECK(c.pid_ns != kernel_own_ns()->pid);
	CHECK(c.user_ns == kernel_own_ns()->user);
	CHECK(c.sid == shell);
	CHECK(c.depth == 3);
	CHECK(!caller_is_owner(&c));
	puppets_end(shell);
}

/* A daemon that may not look at everybody's namespaces. */
static void run_unprivileged(int ready, void *arg)
{
	unsigned wanted = *(unsigned *)arg;
	struct err err;
	struct caller c;

	CHECK(setresgid(1000, 1000, 1000) == 0);
	CHECK(setresuid(1000, 1000, 1000) == 0);
	CHECK(prctl(PR_SET_DUMPABLE, 1) == 0);
	CHECK(caller_init(&err) == 0);
	CHECK(kernel_init(wanted, &err) == 0);
	c = identify(getpid());
	CHECK(caller_is_owner(&c));

	CHECK(caller_identify(&c, getppid(), 1000, 1000) == 0);
	CHECK(c.self.pid == getppid());
	CHECK(c.user_ns == 0);
	CHECK(c.pid_ns == 0);
	CHECK(!caller_is_owner(&c));
	child_stays(ready);
}

static void test_unprivileged_daemon(void)
{
	unsigned wanted = kernel_features();

	child_end(child_start(run_unprivileged, &wanted));
}

/* In puppet 2, the first process of a pid namespace. */
static void look_from_inside(void)
{
	unsigned wanted = kernel_features();
	struct err err;
	struct caller me;
	struct caller child;
	struct caller beside;

	CHECK(mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0);
	CHECK(kernel_init(wanted, &err) == -EINVAL);
	CHECK(mount("proc", "/proc", "proc", 0, NULL) == 0);
	CHECK(kernel_init(wanted, &err) == 0);
	CHECK(getsid(0) == 0);
	me = identify(getpid());
	CHECK(me.sid == getpid());
	CHECK(me.leader_birth == me.self.birth);
	child = identify(child_start(run_staying, NULL));
	CHECK(child.sid == me.sid);
	CHECK(child.leader_birth == me.leader_birth);
	CHECK(caller_common_ancestors(&me, &child) == 1);
	CHECK(session_alive(me.sid, me.leader_birth));

	/* Brought in from outside, as by nsenter: its parent is not seen. */
	beside = identify(2);
	CHECK(beside.sid == 2);
	CHECK(beside.leader_birth == beside.self.birth);
	CHECK(caller_common_ancestors(&me, &beside) == 0);
	CHECK(kill(2, SIGKILL) == 0);
	while (process_alive(&beside.self))
		(void)sched_yield();
	CHECK(!session_alive(beside.sid, beside.leader_birth));
}

/* Sessions whose leaders are outside of the daemon's pid namespace. */
static void test_leader_outside(void)
{
	struct order new_ns = {.what = PUPPET_UNSHARE,
			       .arg = CLONE_NEWPID | CLONE_NEWNS};
	pid_t shell;

	puppet_call = look_from_inside;
	shell = puppet_first();
	(void)puppet_fork(0, 1);
	CHECK(puppet_tell(1, new_ns) == 0);
	(void)puppet_fork(1, 2);
	(void)puppet_fork(1, 3);
	CHECK(puppet_tell(2, (struct order){.what = PUPPET_CALL}) == 1);
	puppets_end(shell);
}

static void run_stuck_with_child(int ready, void *arg)
{
	(void)arg;
	CHECK(setsid() == getpid());
	child_says(ready, child_start(run_staying, NULL));
	stick();
}

/*
 * Most of what /proc has of a process cannot be read while it is in exec, and
 * that may be until this daemon answers its child.
 */
static void test_parent_inside_exec(void)
{
	pid_t server = stuck_mount();
	pid_t child;
	pid_t parent = stuck_start_as(&child, run_stuck_with_child);
	struct caller c = identify(child);

	check_chain(&c, (pid_t[]){child, parent}, 2);
	CHECK(c.sid == parent);
	CHECK(session_alive(c.sid, c.leader_birth));
	stuck_end(server);
	child_end(parent);
}

/* More processes than descriptors: those who are left out are still known. */
static void test_few_descriptors(void)
{
	enum { DEPTH = N_PUPPETS };
	pid_t shell = puppet_first();
	struct rlimit before;
	struct rlimit few;
	struct caller c;
	pid_t pid = shell;
	int lowest = dup(0);

	CHECK(lowest >= 0);
	CHECK(close(lowest) == 0);
	CHECK(getrlimit(RLIMIT_NOFILE, &before) == 0);
	few = before;
	/* A quarter is less than there will be processes. */
	few.rlim_cur = (rlim_t)lowest + 48;
	CHECK(kernel_init(kernel_features(), NULL) == 0);
	CHECK(setrlimit(RLIMIT_NOFILE, &few) == 0);
	for (int i = 1; i < DEPTH; i++)
		pid = puppet_fork(i - 1, i);
	c = identify(pid);
	CHECK(c.depth == DEPTH);
	CHECK(c.sid == shell);
	CHECK(process_alive(&c.chain[0]));
	CHECK(process_alive(&c.chain[CALLER_MAX_CHAIN - 2]));
	CHECK(session_alive(c.sid, c.leader_birth));
	CHECK(setrlimit(RLIMIT_NOFILE, &before) == 0);
	puppets_end(shell);
}

/* Hundreds of short-lived callers do not use up the descriptors. */
static void test_many_callers_come_and_go(void)
{
	int lowest;
	int fd;

	CHECK(kernel_init(kernel_features(), NULL) == 0);
	lowest = dup(0);
	CHECK(lowest >= 0);
	CHECK(close(lowest) == 0);
	for (int i = 0; i < 300; i++) {
		pid_t child = child_start(run_staying, NULL);

		CHECK(identify(child).self.pid == child);
		child_end(child);
	}
	fd = dup(0);
	CHECK(fd - lowest < 100);
	CHECK(close(fd) == 0);
}

static void run_all(unsigned features)
{
	CHECK(kernel_init(features, NULL) == 0);
	CHECK((kernel_features() & ~features) == 0);
	test_identity_of_a_grandchild();
	test_identity_stays_the_same();
	test_thread();
	test_unknown_callers();
	test_process_alive();
	test_number_is_used_again();
	test_session_outlives_its_leader();
	test_session_number_is_used_again();
	test_common_ancestors();
	test_strangers_share_nothing();
	test_orphan_keeps_its_leader();
	test_superseded();
	test_deep_chain();
	test_deep_chain_superseded();
	test_owner();
	test_unprivileged_daemon();
	test_leader_outside();
	test_parent_inside_exec();
	test_few_descriptors();
	test_many_callers_come_and_go();
}

int main(int argc, char **argv)
{
	struct err err;

	check_init(argc, argv);
	CHECK(caller_init(&err) == 0);
	run_all(KERNEL_ALL);
	run_all(KERNEL_PIDFS | KERNEL_NAMESPACE);
	run_all(KERNEL_PIDFS);
	run_all(0);
	return 0;
}
