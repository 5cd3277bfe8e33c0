/* SPDX-License-Identifier: MIT */
/*
 * A process decides how long a read of its environ takes: its memory may be a
 * mapping of a file whose server does not answer. So threads do it that may be
 * lost, and one more, the watcher, that never reads answers in their place
 * when the time is up.
 */
#include "fs/caller.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/buf.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/thread.h"
#include "fs/caller_text.h"
#include "fs/proc_file.h"

enum {
	LIMIT_MS = 50,
	MOST_THREADS = 5,
	ENVIRON_MAX = 128 * 1024,
	STACK_SIZE = 256 * 1024, /* bytes; room for sanitizers */
};

enum job_state {
	JOB_QUEUED,
	JOB_READING,
	JOB_ANSWERED, /* by the watcher; its thread frees it */
};

struct job {
	struct job *next; /* mutex */
	pid_t tid;
	env_reader_done done;
	void *arg;
	uint64_t deadline_ms;
	enum job_state state; /* mutex */
	struct slot *slot;    /* mutex; of the thread that reads it */
};

struct slot {
	struct env_reader *reader;
	pthread_t thread;
	bool lost;  /* mutex; its job was answered by the watcher */
	bool ended; /* mutex; it can be joined */
};

struct env_reader {
	pthread_mutex_t mutex;
	pthread_cond_t work;  /* for the threads */
	pthread_cond_t watch; /* for the watcher */
	pthread_cond_t quiet; /* for the owner: see env_reader_destroy() */
	pthread_t watcher;
	struct slot slots[MOST_THREADS]; /* n_threads of them are in use */
	size_t n_threads;                /* owner */
	size_t n_idle;                   /* mutex */
	size_t n_lost;                   /* mutex */
	size_t most_lost;                /* mutex; ever: that was logged */
	size_t n_answering;              /* mutex; threads inside done() */
	size_t refs;                     /* mutex; threads and the owner */
	struct job *jobs;                /* mutex; not answered, by deadline */
	bool watching; /* mutex; the watcher looks again by itself */
	bool stop;     /* mutex */
};

static void take_value(char *out, size_t size, const char *entry,
		       const char *name)
{
	size_t len = strlen(name);

	/* As getenv(): of two the first counts. */
	if (out[0] == '\0' && strncmp(entry, name, len) == 0)
		(void)caller_text(out, size, entry + len, strlen(entry + len),
				  "");
}

static void read_environ(struct caller_env *out, pid_t tid)
{
	struct buf text;
	const char *end;

	buf_init(&text, ENVIRON_MAX);
	*out = (struct caller_env){0};
	if (proc_file_read(&text, tid, "environ") == 0 && text.len > 0) {
		/* One that is cut off by the maximum is not looked at. */
		for (const char *p = text.data;
		     (end = memchr(p, '\0',
				   text.len - (size_t)(p - text.data)));
		     p = end + 1) {
			take_value(out->realm, sizeof(out->realm), p,
				   "LAVA_REALM=");
			take_value(out->job_id, sizeof(out->job_id), p,
				   "LAVA_JOB_ID=");
		}
	}
	buf_finish(&text);
}

/* Under the mutex. */
static void unlink_job(struct env_reader *r, struct job *job)
{
	struct job **p = &r->jobs;

	while (*p != job)
		p = &(*p)->next;
	*p = job->next;
}

/* Under the mutex; the reader is freed by whoever is the last. */
static bool drop_ref(struct env_reader *r)
{
	return --r->refs == 0;
}

static void free_reader(struct env_reader *r)
{
	(void)pthread_cond_destroy(&r->work);
	(void)pthread_cond_destroy(&r->watch);
	(void)pthread_cond_destroy(&r->quiet);
	(void)pthread_mutex_destroy(&r->mutex);
	free(r);
}

/* Under the mutex. */
static struct job *first_queued(struct env_reader *r)
{
	struct job *job = r->jobs;

	while (job != NULL && job->state != JOB_QUEUED)
		job = job->next;
	return job;
}

/* Under the mutex, which is released meanwhile. */
static void answer(struct env_reader *r, const struct job *job,
		   const struct caller_env *env)
{
	r->n_answering++;
	(void)pthread_mutex_unlock(&r->mutex);
	job->done(job->arg, env);
	(void)pthread_mutex_lock(&r->mutex);
	if (--r->n_answering == 0)
		(void)pthread_cond_signal(&r->quiet);
}

/* Under the mutex, which is released while reading and answering. */
static void serve(struct env_reader *r, struct slot *slot, struct job *job)
{
	struct caller_env env;

	job->state = JOB_READING;
	job->slot = slot;
	r->n_idle--;
	(void)pthread_mutex_unlock(&r->mutex);
	read_environ(&env, job->tid);
	(void)pthread_mutex_lock(&r->mutex);
	r->n_lost -= slot->lost;
	slot->lost = false;
	if (job->state == JOB_READING) {
		unlink_job(r, job);
		answer(r, job, &env);
	}
	free(job);
	r->n_idle++;
}

static void *run_thread(void *arg)
{
	struct slot *slot = arg;
	struct env_reader *r = slot->reader;
	bool last;

	(void)pthread_mutex_lock(&r->mutex);
	while (!r->stop) {
		struct job *job = first_queued(r);

		if (job != NULL)
			serve(r, slot, job);
		else
			(void)pthread_cond_wait(&r->work, &r->mutex);
	}
	slot->ended = true;
	(void)pthread_cond_signal(&r->quiet);
	last = drop_ref(r);
	(void)pthread_mutex_unlock(&r->mutex);
	if (last)
		free_reader(r);
	return NULL;
}

/* Under the mutex. */
static void lose(struct env_reader *r, const struct job *job)
{
	job->slot->lost = true;
	if (++r->n_lost <= r->most_lost)
		return;
	r->most_lost = r->n_lost;
	log_warn("process %d does not let its environment be read; %zu of %d "
		 "threads wait for such processes",
		 job->tid, r->n_lost, MOST_THREADS);
}

/* Under the mutex, which is released while answering. */
static void answer_nothing(struct env_reader *r, struct job *job)
{
	static const struct caller_env nothing;
	struct job copy = *job;

	unlink_job(r, job);
	job->state = JOB_ANSWERED;
	if (copy.state == JOB_QUEUED)
		free(job);
	else if (!r->stop)
		lose(r, &copy);
	answer(r, &copy, &nothing);
}

/* Under the mutex: a job that will have no other answer, or null. */
static struct job *first_hopeless(struct env_reader *r)
{
	struct job *job = r->jobs;

	if (job == NULL)
		return NULL;
	if (r->stop || r->n_lost == MOST_THREADS ||
	    clock_mono_ms() >= job->deadline_ms)
		return job;
	return NULL;
}

/* 0, or ETIMEDOUT when it is that late. */
static int wait_until(struct env_reader *r, pthread_cond_t *cond, uint64_t ms)
{
	struct timespec until = {
		.tv_sec = (time_t)(ms / 1000),
		.tv_nsec = (long)(ms % 1000) * 1000000,
	};

	return pthread_cond_timedwait(cond, &r->mutex, &until);
}

/*
 * After each job it looks once more before it sleeps for good: a stream of
 * requests need not wake it.
 */
static void *run_watcher(void *arg)
{
	struct env_reader *r = arg;
	struct job *job;

	(void)pthread_mutex_lock(&r->mutex);
	while (!r->stop || r->jobs != NULL) {
		job = first_hopeless(r);
		if (job != NULL) {
			answer_nothing(r, job);
		} else if (r->jobs != NULL) {
			(void)wait_until(r, &r->watch, r->jobs->deadline_ms);
		} else if (r->watching) {
			(void)wait_until(r, &r->watch,
					 clock_mono_ms() + LIMIT_MS);
			r->watching = r->jobs != NULL;
		} else {
			(void)pthread_cond_wait(&r->watch, &r->mutex);
		}
	}
	(void)pthread_mutex_unlock(&r->mutex);
	return NULL;
}

struct env_reader *env_reader_create(void)
{
	struct env_reader *r = calloc(1, sizeof(*r));
	pthread_condattr_t attr;

	if (r == NULL)
		return NULL;
	(void)pthread_condattr_init(&attr);
	(void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	(void)pthread_mutex_init(&r->mutex, NULL);
	(void)pthread_cond_init(&r->work, NULL);
	(void)pthread_cond_init(&r->watch, &attr);
	(void)pthread_cond_init(&r->quiet, &attr);
	(void)pthread_condattr_destroy(&attr);
	r->refs = 1;
	if (thread_start(&r->watcher, STACK_SIZE, run_watcher, r) < 0) {
		free_reader(r);
		return NULL;
	}
	return r;
}

/* Under the mutex. Without a thread the watcher answers. */
static void add_thread(struct env_reader *r)
{
	struct slot *slot = &r->slots[r->n_threads];

	slot->reader = r;
	if (thread_start(&slot->thread, STACK_SIZE, run_thread, slot) < 0)
		return;
	r->n_threads++;
	r->n_idle++;
	r->refs++;
}

void env_reader_request(struct env_reader *r, pid_t tid, env_reader_done done,
			void *arg)
{
	static const struct caller_env nothing;
	struct job *job = calloc(1, sizeof(*job));
	struct job **last = &r->jobs;
	size_t n_queued = 1;

	if (job == NULL) {
		done(arg, &nothing);
		return;
	}
	*job = (struct job){.tid = tid, .done = done, .arg = arg};
	auto_lock(&r->mutex);
	job->deadline_ms = clock_mono_ms() + LIMIT_MS;
	for (; *last != NULL; last = &(*last)->next)
		n_queued += (*last)->state == JOB_QUEUED;
	*last = job;
	if (r->n_idle < n_queued && r->n_threads < MOST_THREADS)
		add_thread(r);
	(void)pthread_cond_signal(&r->work);
	if (!r->watching || r->n_lost == MOST_THREADS)
		(void)pthread_cond_signal(&r->watch);
	r->watching = true;
}

/* Under the mutex. */
static bool all_ended(const struct env_reader *r)
{
	size_t n = 0;

	while (n < r->n_threads && r->slots[n].ended)
		n++;
	return n == r->n_threads;
}

/* Those that hang keep what they need, and free it if they ever end. */
static void join_threads(struct env_reader *r)
{
	uint64_t deadline_ms = clock_mono_ms() + LIMIT_MS;
	bool ended[MOST_THREADS] = {false};

	(void)pthread_mutex_lock(&r->mutex);
	while (r->n_answering > 0)
		(void)pthread_cond_wait(&r->quiet, &r->mutex);
	while (!all_ended(r) && wait_until(r, &r->quiet, deadline_ms) == 0)
		continue;
	for (size_t i = 0; i < r->n_threads; i++)
		ended[i] = r->slots[i].ended;
	(void)pthread_mutex_unlock(&r->mutex);
	for (size_t i = 0; i < r->n_threads; i++) {
		if (ended[i])
			(void)pthread_join(r->slots[i].thread, NULL);
		else
			(void)pthread_detach(r->slots[i].thread);
	}
}

void env_reader_destroy(struct env_reader *r)
{
	bool last;

	if (r == NULL)
		return;
	(void)pthread_mutex_lock(&r->mutex);
	r->stop = true;
	(void)pthread_cond_broadcast(&r->work);
	(void)pthread_cond_signal(&r->watch);
	(void)pthread_mutex_unlock(&r->mutex);
	(void)pthread_join(r->watcher, NULL);
	join_threads(r);
	(void)pthread_mutex_lock(&r->mutex);
	last = drop_ref(r);
	(void)pthread_mutex_unlock(&r->mutex);
	if (last)
		free_reader(r);
}
