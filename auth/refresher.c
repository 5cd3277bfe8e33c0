/* SPDX-License-Identifier: MIT */
/*
 * Sleeping is left to poll(), whose clock stands still while the machine is
 * suspended and does not step. A timer that never expires, but is cancelled
 * whenever the wall clock is set or the machine wakes up, makes up for that.
 */
#include "auth/refresher.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/secret.h"
#include "common/thread.h"

enum { STACK_SIZE = 1024 * 1024 };

#define YEAR_2200 7258118400 /* Unix seconds */

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static struct refresher_task *queue; /* mutex; by due */
static bool running;                 /* mutex */
static bool stopping;                /* mutex */
static bool warned;                  /* mutex */
/* Opened before the thread starts, for the rest of the process. */
static int wake_fd = -1;  /* eventfd: look at the queue again */
static int clock_fd = -1; /* timerfd: the wall clock was set */

/* Called with the mutex held. */
static void enqueue(struct refresher_task *task, int64_t due)
{
	struct refresher_task **at = &queue;

	while (*at != NULL && (*at)->due <= due)
		at = &(*at)->next;
	task->due = due;
	task->queued = true;
	task->next = *at;
	*at = task;
}

/* Called with the mutex held. */
static bool dequeue(struct refresher_task *task)
{
	struct refresher_task **at = &queue;

	if (!task->queued)
		return false;
	while (*at != task)
		at = &(*at)->next;
	*at = task->next;
	task->queued = false;
	return true;
}

static void wake(void)
{
	const uint64_t one = 1;

	/* Fails only when it is awake 2^64 - 2 times over. */
	(void)!write(wake_fd, &one, sizeof(one));
}

/* Milliseconds until the first task is due; -1: there is none. Mutex held. */
static int time_left(void)
{
	int64_t left;

	if (queue == NULL)
		return -1;
	left = queue->due - clock_wall_ms();
	if (left <= 0)
		return 0;
	return left < INT32_MAX ? (int)left : INT32_MAX;
}

static void sleep_for(int ms)
{
	struct pollfd fds[] = {
		{.fd = wake_fd, .events = POLLIN},
		{.fd = clock_fd, .events = POLLIN},
	};
	uint64_t count;

	if (poll(fds, 2, ms) <= 0)
		return;
	/* Neither waits; what they hold says no more than that they do. */
	(void)!read(wake_fd, &count, sizeof(count));
	(void)!read(clock_fd, &count, sizeof(count));
}

/* Called with the mutex held, and gives it up meanwhile. */
static void run_first(void)
{
	struct refresher_task *task = queue;

	(void)dequeue(task);
	(void)pthread_mutex_unlock(&mutex);
	task->run(task); /* it may be freed then */
	secret_wipe_stack();
	(void)pthread_mutex_lock(&mutex);
}

static void *refresher(void *arg)
{
	(void)arg;
	(void)pthread_mutex_lock(&mutex);
	while (!stopping) {
		int left = time_left();

		if (left == 0) {
			run_first();
			continue;
		}
		(void)pthread_mutex_unlock(&mutex);
		sleep_for(left);
		(void)pthread_mutex_lock(&mutex);
	}
	running = false;
	(void)pthread_mutex_unlock(&mutex);
	return NULL;
}

/* Both are open afterwards, or it is a negative errno. */
static int open_files(void)
{
	const struct itimerspec never = {.it_value.tv_sec = YEAR_2200};

	if (wake_fd < 0)
		wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (wake_fd < 0)
		return -errno;
	if (clock_fd < 0)
		clock_fd = timerfd_create(CLOCK_REALTIME,
					  TFD_CLOEXEC | TFD_NONBLOCK);
	if (clock_fd < 0)
		return -errno;
	if (timerfd_settime(clock_fd,
			    TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &never,
			    NULL) < 0)
		return -errno;
	return 0;
}

/* Nobody joins it: it may be in a call of AWS when the process ends. */
static int start(void)
{
	int rc = open_files();

	if (rc < 0)
		return rc;
	secret_wipe_stack();
	return thread_start(NULL, STACK_SIZE, refresher, NULL);
}

/* Called with the mutex held. */
static bool is_running(void)
{
	int rc;

	if (running || stopping)
		return running && !stopping;
	rc = start();
	running = rc == 0;
	if (!running && !warned)
		log_warn("credentials are not renewed in the background: %s",
			 strerrordesc_np(-rc));
	warned = !running;
	return running;
}

bool refresher_schedule(struct refresher_task *task, int64_t wall_ms)
{
	auto_lock(&mutex);
	(void)dequeue(task);
	if (!is_running())
		return false;
	enqueue(task, wall_ms);
	if (queue == task)
		wake();
	return true;
}

bool refresher_withdraw(struct refresher_task *task)
{
	auto_lock(&mutex);
	return dequeue(task);
}

void refresher_stop(void)
{
	auto_lock(&mutex);
	stopping = true;
	if (running)
		wake();
}
