/* SPDX-License-Identifier: MIT */
#include "fs/jobs.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

#include "common/cleanup.h"
#include "common/thread.h"

struct jobs {
	struct loop *loop;
	pthread_t thread;
	bool started; /* thread of the loop */
	pthread_mutex_t lock;
	pthread_cond_t cond;
	struct job *first; /* lock */
	struct job **last; /* lock */
	bool stop;         /* lock */
};

struct jobs *jobs_create(struct loop *loop)
{
	struct jobs *jobs = calloc(1, sizeof(*jobs));

	if (jobs == NULL)
		return NULL;
	jobs->loop = loop;
	jobs->last = &jobs->first;
	(void)pthread_mutex_init(&jobs->lock, NULL);
	(void)pthread_cond_init(&jobs->cond, NULL);
	return jobs;
}

static void *run(void *arg)
{
	struct jobs *jobs = arg;

	for (;;) {
		struct job *job;

		{
			auto_lock(&jobs->lock);
			while (jobs->first == NULL && !jobs->stop)
				(void)pthread_cond_wait(&jobs->cond,
							&jobs->lock);
			job = jobs->first;
			if (job == NULL)
				return NULL;
			jobs->first = job->next;
			if (jobs->first == NULL)
				jobs->last = &jobs->first;
		}
		job->work(job);
		(void)loop_post(jobs->loop, &job->event);
	}
}

int jobs_add(struct jobs *jobs, struct job *job)
{
	if (!jobs->started) {
		int rc = thread_start(&jobs->thread, 0, run, jobs);

		if (rc < 0)
			return rc;
		jobs->started = true;
	}
	auto_lock(&jobs->lock);
	job->next = NULL;
	*jobs->last = job;
	jobs->last = &job->next;
	(void)pthread_cond_signal(&jobs->cond);
	return 0;
}

void jobs_destroy(struct jobs *jobs)
{
	if (jobs == NULL)
		return;
	{
		auto_lock(&jobs->lock);
		jobs->stop = true;
		(void)pthread_cond_signal(&jobs->cond);
	}
	if (jobs->started)
		(void)pthread_join(jobs->thread, NULL);
	(void)pthread_cond_destroy(&jobs->cond);
	(void)pthread_mutex_destroy(&jobs->lock);
	free(jobs);
}
