/* SPDX-License-Identifier: MIT */
/*
 * The thread that renews: when it runs what, and how it is called off.
 *
 *     test_refresher DIRECTORY
 */
#include "auth/refresher.h"

#include <pthread.h>
#include <semaphore.h>
#include <signal.h>

#include "common/clock.h"
#include "tests/unit/check.h"
#include "tests/unit/fake_clock.h"

enum { HOUR_MS = 3600 * 1000 };

struct job {
	struct refresher_task task;
	sem_t begun;
	sem_t go; /* run ends when it is posted */
	sem_t ended;
	int order; /* of its last run, 1 is the first of all jobs */
	int n_runs;
	void (*then)(struct job *job);
};

static int n_ran; /* the thread's */

static void run(struct refresher_task *task)
{
	struct job *job = (struct job *)task;
	sigset_t blocked;

	CHECK(pthread_sigmask(SIG_BLOCK, NULL, &blocked) == 0);
	CHECK(sigismember(&blocked, SIGTERM) == 1);
	job->order = ++n_ran;
	job->n_runs++;
	CHECK(sem_post(&job->begun) == 0);
	CHECK(sem_wait(&job->go) == 0);
	if (job->then != NULL)
		job->then(job);
	else
		CHECK(sem_post(&job->ended) == 0);
}

/* go: how many runs do not wait. */
static void init(struct job *job, unsigned go)
{
	*job = (struct job){.task.run = run};
	CHECK(sem_init(&job->begun, 0, 0) == 0);
	CHECK(sem_init(&job->go, 0, go) == 0);
	CHECK(sem_init(&job->ended, 0, 0) == 0);
}

static void test_runs_by_due_time(void)
{
	int64_t now = clock_wall_ms();
	static struct job jobs[4];

	for (size_t i = 0; i < COUNT(jobs); i++)
		init(&jobs[i], 1);
	n_ran = 0;
	CHECK(refresher_schedule(&jobs[0].task, now + 41));
	CHECK(refresher_schedule(&jobs[1].task, now + 40));
	CHECK(refresher_schedule(&jobs[2].task, now + 20));
	/* The later order is the one that counts. */
	CHECK(refresher_schedule(&jobs[3].task, now + HOUR_MS));
	CHECK(refresher_schedule(&jobs[3].task, now + 30));
	(void)fake_clock_advance(40);
	CHECK(sem_wait(&jobs[1].ended) == 0);
	CHECK(jobs[2].order == 1 && jobs[3].order == 2 && jobs[1].order == 3);
	CHECK(jobs[3].n_runs == 1);
	CHECK(refresher_withdraw(&jobs[0].task));
	CHECK(!refresher_withdraw(&jobs[3].task));
	CHECK(jobs[0].n_runs == 0);
}

static void once_more(struct job *job)
{
	job->then = NULL;
	CHECK(refresher_schedule(&job->task, 0));
}

static void test_schedules_itself(void)
{
	static struct job job;

	init(&job, 2);
	job.then = once_more;
	CHECK(refresher_schedule(&job.task, 0));
	CHECK(sem_wait(&job.ended) == 0);
	CHECK(job.n_runs == 2);
}

static void free_job(struct job *job)
{
	free(job);
}

static void test_is_freed_by_its_own_run(void)
{
	struct job *job = malloc(sizeof(*job));
	static struct job next;

	CHECK(job != NULL);
	init(job, 1);
	init(&next, 1);
	job->then = free_job;
	CHECK(refresher_schedule(&job->task, 0));
	CHECK(refresher_schedule(&next.task, 1));
	CHECK(sem_wait(&next.ended) == 0);
}

static void test_withdraw_does_not_wait(void)
{
	static struct job job;

	init(&job, 0);
	CHECK(!refresher_withdraw(&job.task));
	CHECK(refresher_schedule(&job.task, clock_wall_ms() + HOUR_MS));
	CHECK(refresher_withdraw(&job.task));
	CHECK(!refresher_withdraw(&job.task));
	CHECK(refresher_schedule(&job.task, 0));
	CHECK(sem_wait(&job.begun) == 0);
	/* It runs, and is ordered once more meanwhile. */
	CHECK(!refresher_withdraw(&job.task));
	CHECK(refresher_schedule(&job.task, 0));
	CHECK(refresher_withdraw(&job.task));
	CHECK(sem_post(&job.go) == 0);
	CHECK(sem_wait(&job.ended) == 0);
	CHECK(job.n_runs == 1);
}

/* It sleeps for an hour by poll()'s clock when the wall clock steps. */
static void test_a_step_of_the_clock_is_noticed(void)
{
	unsigned sleeps = fake_clock_sleeps();
	static struct job job;

	init(&job, 1);
	CHECK(refresher_schedule(&job.task, clock_wall_ms() + HOUR_MS));
	fake_clock_await_sleep(sleeps);
	(void)fake_clock_advance(HOUR_MS);
	CHECK(sem_wait(&job.ended) == 0);
}

static void test_nothing_begins_after_stop(void)
{
	static struct job job;

	init(&job, 1);
	CHECK(refresher_schedule(&job.task, clock_wall_ms() + HOUR_MS));
	refresher_stop();
	CHECK(!refresher_schedule(&job.task, 0));
	(void)fake_clock_advance(HOUR_MS);
	CHECK(!refresher_withdraw(&job.task));
	CHECK(job.n_runs == 0);
}

int main(int argc, char **argv)
{
	check_init(argc, argv);
	test_runs_by_due_time();
	test_schedules_itself();
	test_is_freed_by_its_own_run();
	test_withdraw_does_not_wait();
	test_a_step_of_the_clock_is_noticed();
	test_nothing_begins_after_stop();
	return 0;
}
